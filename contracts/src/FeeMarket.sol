// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "./Escrow.sol";
import {IFeeMarket} from "./interfaces/IFeeMarket.sol";
import {IStorageMarket} from "./interfaces/IStorageMarket.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";

/// @title Time, the menu in force, and the O(1) accounting of a batch.
/// @dev FeeEpochs, which TwinRegistry inherits with this file, closes epochs and pays from what is kept here.
abstract contract FeeMarket is Escrow {
    /// @dev What one seal call adds up in memory before it is written once; budget, fee and tax when it is closed.
    struct Batch {
        uint64 epoch;
        uint64 slot;
        Menu menu;
        uint64 maxItemBytes;
        int256 budget;
        uint64 bytesH;
        uint64 bytesL;
        uint256 fee;
        uint256 tax;
        uint256 outsideTax;
    }

    struct Budget {
        int128 left;
        uint64 slot;
    }

    struct Taxes {
        uint128 enrolled; // S of the open epoch
        uint128 outside; // of accounts whose namespace is not enrolled yet
    }

    uint256 private constant MAX_RATE = type(uint56).max;
    uint256 private constant MAX_SLOTS = 128;

    uint64 public immutable override start;
    FeeParams internal _params; // written once: as immutables they would fill the contract's size
    uint128 internal _numH; // tau << eta
    uint128 internal _numL;
    Taxes internal _taxesNow;
    uint256 private _costs; // C of the roster in force
    Budget private _budget;
    mapping(uint64 => EpochTotals) internal _totals;
    mapping(uint64 => mapping(address => uint64)) internal _sealedH;
    mapping(uint256 => uint256) private _headers; // slot % 2K -> slot | bytesH | bytesL
    mapping(uint32 => uint256[]) private _rosters; // price | miner
    mapping(uint32 => mapping(address => uint256)) private _places; // price | place from 1

    constructor(FeeParams memory p) {
        _check(p.slotsPerEpoch >= 1 && p.slotsPerEpoch <= MAX_SLOTS, "slotsPerEpoch", p.slotsPerEpoch);
        _check(p.slotSeconds >= 1, "slotSeconds", p.slotSeconds);
        _check(p.eta <= 32, "eta", p.eta);
        _check(p.eps >= 1 && p.eps <= MAX_RATE, "eps", p.eps);
        // An externality is at most 2K times gH or gL, and every rate must fit its 64 bits.
        _check(p.gH <= MAX_RATE / (2 * MAX_SLOTS), "gH", p.gH);
        _check(p.gL <= MAX_RATE / (2 * MAX_SLOTS), "gL", p.gL);
        _check(p.tau0H <= MAX_RATE, "tau0H", p.tau0H);
        _check(p.tau0L <= MAX_RATE, "tau0L", p.tau0L);
        _check(p.slotBytes >= 1, "slotBytes", p.slotBytes);
        _check(p.turnSlots >= 1, "turnSlots", p.turnSlots);
        _check(p.graceSlots <= p.turnSlots, "graceSlots", p.graceSlots);
        _check(p.maxItemBytes >= 1 && p.maxItemBytes <= type(uint56).max, "maxItemBytes", p.maxItemBytes);
        start = uint64(block.timestamp);
        _params = p;
        (_numH, _numL) = (uint128(p.tau0H) << p.eta, uint128(p.tau0L) << p.eta);
        _budget.left = int128(uint128(p.slotBytes));
    }

    function _check(bool holds, string memory name, uint256 value) private pure {
        if (!holds) revert InvalidParameter(name, value);
    }

    // ------------------------------------------------------------------ one batch

    /// @dev Who may seal, in which epoch and at which prices.
    function _openBatch() internal view returns (Batch memory batch) {
        uint64 slot = currentSlot();
        OpenEpoch memory open = _open;
        if (slot / _params.slotsPerEpoch != open.epoch) revert EpochNotClosed(open.epoch, slot / _params.slotsPerEpoch);
        if (_places[open.rosterId][msg.sender] == 0 || _accounts[msg.sender].roles & ROLE_MINER == 0) {
            revert NotMiner(msg.sender);
        }
        (address owner, bool exclusive) = turnOf(slot);
        if (exclusive && owner != msg.sender) revert NotYourTurn(msg.sender, owner, slot);
        batch.epoch = open.epoch;
        batch.slot = slot;
        batch.menu = menu();
        batch.maxItemBytes = _params.maxItemBytes;
        batch.budget = budget();
    }

    /// @dev Charges one item, or says why it cannot be taken and touches nothing. `packed` is the payer's slot.
    function _charge(
        Batch memory batch,
        Account storage payer,
        uint256 packed,
        bool priority,
        uint256 size,
        uint256 maxPrice
    ) internal returns (ITwinRegistry.Why, uint256 fee, uint256 tax) {
        if (size == 0 || size > batch.maxItemBytes) return (ITwinRegistry.Why.SizeOutOfRange, 0, 0);
        uint256 rho = priority ? batch.menu.rhoH : batch.menu.rhoL;
        uint256 rate = priority ? batch.menu.taxH : batch.menu.taxL;
        // Rates are below 2^57, sizes and a batch's bytes below 2^64: nothing here can overflow.
        unchecked {
            if (maxPrice < rho + rate) return (ITwinRegistry.Why.PriceTooLow, 0, 0);
            uint256 taken = uint256(batch.bytesH) + batch.bytesL;
            if (int256(taken) >= batch.budget) return (ITwinRegistry.Why.NoCapacity, 0, 0);
            (fee, tax) = (rho * size, rate * size);
            if (!_debit(payer, packed, fee + tax)) return (ITwinRegistry.Why.InsufficientBalance, 0, 0);
            if (tax > 0 && !_accrue(payer, packed, batch.epoch, tax)) batch.outsideTax += tax;
            if (priority) batch.bytesH += uint64(size);
            else batch.bytesL += uint64(size);
        }
        return (ITwinRegistry.Why.None, fee, tax);
    }

    /// @dev Writes the batch: header of the slot, totals of the epoch, the sealer's margin, taxes, budget.
    function _closeBatch(Batch memory batch) internal {
        // A batch of refused items is no seal: it must not keep an epoch from being idle.
        if (batch.bytesH == 0 && batch.bytesL == 0) return;
        unchecked {
            // Within one batch the menu is constant, so what its items paid follows from their bytes.
            batch.fee = uint256(batch.menu.rhoH) * batch.bytesH + uint256(batch.menu.rhoL) * batch.bytesL;
            batch.tax = uint256(batch.menu.taxH) * batch.bytesH + uint256(batch.menu.taxL) * batch.bytesL;
            batch.budget -= int256(uint256(batch.bytesH) + batch.bytesL);
        }
        if (!_open.sealedIn) (_open.sealedIn, _open.everSealed) = (true, true);
        EpochTotals memory totals = _totals[batch.epoch];
        _totals[batch.epoch] =
            EpochTotals(totals.bytesH + batch.bytesH, totals.bytesL + batch.bytesL, _open.rosterId);
        (uint64 bytesH, uint64 bytesL) = header(batch.slot);
        _headers[batch.slot % (2 * _params.slotsPerEpoch)] =
            uint256(batch.slot) << 128 | uint256(bytesH + batch.bytesH) << 64 | (bytesL + batch.bytesL);
        if (batch.bytesH > 0) _sealedH[batch.epoch][msg.sender] += batch.bytesH;
        Taxes memory taxes = _taxesNow;
        taxes.enrolled += uint128(batch.tax - batch.outsideTax);
        taxes.outside += uint128(batch.outsideTax);
        _taxesNow = taxes;
        _budget = Budget(int128(batch.budget), batch.slot);
    }

    // ------------------------------------------------------------------ roster and menu

    /// @inheritdoc IFeeMarket
    function rosterChanged() external override onlyStorageMarket {
        if (!_open.everSealed) _termsChanged();
    }

    /// @inheritdoc IFeeMarket
    function connect(address storageMarket_) external override onlyConsortium {
        if (storageMarket != address(0)) revert StorageMarketConnected(storageMarket);
        storageMarket = storageMarket_;
    }

    function _termsChanged() internal override {
        _takeRoster();
        _announceMenu();
    }

    /// @dev Reads the storage market's roster when it is a new one.
    function _takeRoster() internal {
        if (storageMarket == address(0)) return;
        (uint32 id, address[] memory miners, uint64[] memory prices) = IStorageMarket(storageMarket).roster();
        if (id == _open.rosterId) return;
        uint256 costs;
        uint256[] storage entries = _rosters[id];
        for (uint256 i; i < miners.length; ++i) {
            costs += prices[i];
            entries.push(uint256(prices[i]) << 160 | uint160(miners[i]));
            _places[id][miners[i]] = uint256(prices[i]) << 64 | (i + 1);
        }
        _costs = costs;
        _open.rosterId = id;
        emit RosterChanged(id, _open.epoch, miners, prices);
    }

    function _announceMenu() internal {
        Menu memory m = menu();
        emit MenuSet(_open.epoch, m.rhoH, m.rhoL, m.taxH, m.taxL);
    }

    /// @inheritdoc IFeeMarket
    function menu() public view override returns (Menu memory m) {
        m.rhoL = uint64(_costs);
        m.rhoH = m.rhoL + _params.eps;
        // With fewer than two accounts there is nobody to pay a tax to.
        if (_open.accounts < 2) return m;
        (uint64 tauH, uint64 tauL) = tau();
        m.taxL = tauL;
        m.taxH = (tauH > tauL + _params.eps ? tauH : tauL + _params.eps) - _params.eps;
    }

    /// @inheritdoc IFeeMarket
    function tau() public view override returns (uint64 tauH, uint64 tauL) {
        return (uint64(_numH >> _params.eta), uint64(_numL >> _params.eta));
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IFeeMarket
    function currentSlot() public view override returns (uint64) {
        return (uint64(block.timestamp) - start) / _params.slotSeconds;
    }

    /// @inheritdoc IFeeMarket
    function budget() public view override returns (int256 left) {
        Budget memory last = _budget;
        int256 slotBytes = int256(uint256(_params.slotBytes));
        left = last.left + int256(uint256(currentSlot() - last.slot)) * slotBytes;
        if (left > slotBytes) left = slotBytes;
    }

    /// @inheritdoc IFeeMarket
    function turnOf(uint64 slot) public view override returns (address miner, bool exclusive) {
        uint256[] storage entries = _rosters[_open.rosterId];
        if (entries.length == 0) return (address(0), false);
        miner = address(uint160(entries[(slot / _params.turnSlots) % entries.length]));
        exclusive = slot % _params.turnSlots < _params.graceSlots;
    }

    /// @inheritdoc IFeeMarket
    function header(uint64 slot) public view override returns (uint64 bytesH, uint64 bytesL) {
        uint256 word = _headers[slot % (2 * _params.slotsPerEpoch)];
        if (word >> 128 != slot) return (0, 0);
        return (uint64(word >> 64), uint64(word));
    }

    /// @inheritdoc IFeeMarket
    function roster() external view override returns (address[] memory miners, uint64[] memory prices) {
        uint256[] storage entries = _rosters[_open.rosterId];
        (miners, prices) = (new address[](entries.length), new uint64[](entries.length));
        for (uint256 i; i < entries.length; ++i) {
            (miners[i], prices[i]) = (address(uint160(entries[i])), uint64(entries[i] >> 160));
        }
    }

    /// @inheritdoc IFeeMarket
    function rosterSize(uint32 rosterId) public view override returns (uint256) {
        return _rosters[rosterId].length;
    }

    /// @inheritdoc IFeeMarket
    function placeOf(uint32 rosterId, address miner) public view override returns (uint256 place, uint64 price) {
        uint256 word = _places[rosterId][miner];
        return (uint64(word), uint64(word >> 64));
    }

    function _minerAt(uint256 index) internal view returns (address) {
        return address(uint160(_rosters[_open.rosterId][index]));
    }

    /// @inheritdoc IFeeMarket
    function epochTotals(uint64 epoch) external view override returns (EpochTotals memory) {
        return _totals[epoch];
    }

    /// @inheritdoc IFeeMarket
    function params() external view override returns (FeeParams memory) {
        return _params;
    }
}
