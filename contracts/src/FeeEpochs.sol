// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FeeMarket} from "./FeeMarket.sol";
import {IFeeMarket} from "./interfaces/IFeeMarket.sol";
import {IStorageMarket} from "./interfaces/IStorageMarket.sol";
import {Externality} from "./libraries/Externality.sol";
import {Smoothing} from "./libraries/Smoothing.sol";

/// @title Backlog posts, closing an epoch, rebates in pages, and miners' credits.
abstract contract FeeEpochs is FeeMarket {
    struct Post {
        uint128 h;
        uint128 any;
        uint64 tag; // epoch + 1
    }

    mapping(uint256 => mapping(address => Post)) private _posts; // by parity of the epoch
    mapping(address => mapping(uint64 => uint256)) private _spent; // miner -> epoch / 256 -> bits
    Rebate private _rebate;
    uint128 private _carry;

    // ------------------------------------------------------------------ posts

    /// @inheritdoc IFeeMarket
    function post(uint64 epoch, uint128 bitmapH, uint128 bitmapAny) external override {
        OpenEpoch memory open = _open;
        if (epoch != open.epoch) revert NotOpenEpoch(epoch, open.epoch);
        uint64 current = currentSlot() / _params.slotsPerEpoch;
        if (current <= epoch) revert EpochNotOver(epoch, current);
        (uint256 place,) = placeOf(open.rosterId, msg.sender);
        if (place == 0) revert NotMiner(msg.sender);
        if (hasPosted(epoch, msg.sender)) revert AlreadyPosted(epoch, msg.sender);
        if (uint256(bitmapAny) >> _params.slotsPerEpoch != 0 || bitmapH & ~bitmapAny != 0) {
            revert BitmapOutOfRange(bitmapH, bitmapAny, _params.slotsPerEpoch);
        }
        _posts[epoch & 1][msg.sender] = Post(bitmapH, bitmapAny, epoch + 1);
        _open.posted = open.posted + 1;
        emit BacklogPosted(epoch, msg.sender, bitmapH, bitmapAny);
    }

    /// @inheritdoc IFeeMarket
    function hasPosted(uint64 epoch, address miner) public view override returns (bool) {
        return _posts[epoch & 1][miner].tag == epoch + 1;
    }

    // ------------------------------------------------------------------ close

    /// @inheritdoc IFeeMarket
    function close(uint64 epoch) external override {
        OpenEpoch memory open = _open;
        if (epoch < open.epoch) revert NotOpenEpoch(epoch, open.epoch);
        if (_rebate.due) revert RebatesDue(_rebate.epoch, _rebate.cursor, _rebate.length);
        uint64 slot = currentSlot();
        if (slot / _params.slotsPerEpoch <= epoch) revert EpochNotOver(epoch, slot / _params.slotsPerEpoch);
        uint64 end = (epoch + 1) * _params.slotsPerEpoch;
        bool waited = slot >= end + _params.postSlots;
        bool quiet = !open.sealedIn && !open.sealedBefore && open.posted == 0;
        if (epoch > open.epoch && !quiet) revert EpochNotIdle(open.epoch);
        uint256 miners = rosterSize(open.rosterId);
        bool everyonePosted = epoch == open.epoch && miners > 0 && open.posted == miners;
        if (!waited && !everyonePosted) revert PostsMissing(epoch, open.posted, miners, end + _params.postSlots);
        if (quiet) _closeIdle(open.epoch, epoch);
        else _closeBusy(epoch, miners);
        _advance(epoch, open.sealedIn, quiet);
    }

    /// @dev Nothing is estimated at close(0), so an epoch 0 does not decay either. Idle epochs pay no rebate.
    function _closeIdle(uint64 first, uint64 last) private {
        uint256 steps = last + 1 - (first == 0 ? 1 : first);
        _numH = uint128(Smoothing.decay(_numH, steps, _params.eta));
        _numL = uint128(Smoothing.decay(_numL, steps, _params.eta));
        (uint64 tauH, uint64 tauL) = tau();
        emit IdleEpochsClosed(first, last, tauH, tauL);
    }

    function _closeBusy(uint64 epoch, uint256 miners) private {
        uint256 estH;
        uint256 estL;
        if (epoch > 0) {
            (estH, estL) = _estimate(epoch, miners);
            _numH = uint128(Smoothing.step(_numH, estH, _params.eta));
            _numL = uint128(Smoothing.step(_numL, estL, _params.eta));
        }
        _totals[epoch].rosterId = _open.rosterId;
        (uint64 tauH, uint64 tauL) = tau();
        (Taxes memory taxes, uint32 accounts) = (_taxesNow, _open.accounts);
        emit EpochClosed(epoch, uint64(estH), uint64(estL), tauH, tauL, taxes.enrolled, taxes.outside, _carry, accounts);
        // Without two accounts there was no tax, and a carry waits for somebody to share it.
        if (accounts < 2) return;
        _rebate = Rebate(epoch, 1, enrolmentCount + 1, accounts, true, taxes.enrolled, taxes.outside, _carry, 0);
        _taxesNow = Taxes(0, 0);
    }

    function _estimate(uint64 epoch, uint256 miners) private view returns (uint256 estH, uint256 estL) {
        uint64 slots = _params.slotsPerEpoch;
        uint256[] memory headers = new uint256[](slots);
        for (uint64 i; i < slots; ++i) {
            (uint64 bytesH, uint64 bytesL) = header((epoch - 1) * slots + i);
            headers[i] = uint256(bytesH) << 64 | bytesL;
        }
        Externality.Weights memory weights = Externality.Weights(_params.gH, _params.gL, _params.runCap);
        uint256[] memory viewsH = new uint256[](miners);
        uint256[] memory viewsL = new uint256[](miners);
        for (uint256 i; i < miners; ++i) {
            address miner = _minerAt(i);
            // An absent miner counts as zero: absence can only lower a tax.
            if (!hasPosted(epoch, miner) || !hasPosted(epoch - 1, miner)) continue;
            Post storage prior = _posts[(epoch - 1) & 1][miner];
            Post storage next = _posts[epoch & 1][miner];
            (viewsH[i], viewsL[i]) =
                Externality.estimate(headers, Externality.Backlog(prior.h, prior.any, next.h, next.any), weights);
        }
        return (Externality.lowerMedian(viewsH), Externality.lowerMedian(viewsL));
    }

    function _advance(uint64 epoch, bool sealedIn, bool idle) private {
        _open.accounts = _nextAccounts();
        (_open.epoch, _open.posted, _open.sealedBefore, _open.sealedIn) = (epoch + 1, 0, sealedIn, false);
        if (storageMarket != address(0)) IStorageMarket(storageMarket).epochClosed(epoch, idle);
        _takeRoster();
        _announceMenu();
    }

    // ------------------------------------------------------------------ rebates

    /// @inheritdoc IFeeMarket
    function payRebates(uint64 epoch, uint32 limit) external override {
        Rebate memory run = _rebate;
        if (!run.due || run.epoch != epoch) revert NoRebateDue(epoch);
        uint256 share = run.outside / run.accounts + run.carry / run.accounts;
        uint32 stop = limit < run.length - run.cursor ? run.cursor + limit : run.length;
        for (; run.cursor < stop; ++run.cursor) {
            if (!_isActive(run.cursor, epoch)) continue;
            uint256 amount = (run.taxes - taxOf(run.cursor, epoch)) / (run.accounts - 1) + share;
            if (amount == 0) continue;
            address payee = enrolment(run.cursor).account;
            run.paid += uint128(amount);
            _credit(payee, amount);
            emit RebatePaid(epoch, payee, amount);
        }
        if (run.cursor == run.length) {
            run.due = false;
            // A penalty may have joined the carry since it was frozen.
            _carry = _carry + run.taxes + run.outside - run.paid;
            emit RebatesCompleted(epoch, run.paid, _carry);
        }
        _rebate = run;
    }

    /// @inheritdoc IFeeMarket
    function addToCarry() external payable override onlyStorageMarket {
        _limitEscrow();
        _carry += uint128(msg.value);
        emit CarryAdded(msg.sender, msg.value);
    }

    // ------------------------------------------------------------------ miners' credits

    /// @inheritdoc IFeeMarket
    function collect(address miner, uint64[] calldata epochs) external override {
        for (uint256 i; i < epochs.length; ++i) {
            uint64 epoch = epochs[i];
            if (epoch >= _open.epoch || !IStorageMarket(storageMarket).isSettled(epoch, miner)) {
                revert CreditHeld(miner, epoch);
            }
            if (_isSpent(miner, epoch)) revert CreditSpent(miner, epoch);
            uint256 amount = _spend(miner, epoch);
            _credit(miner, amount);
            emit CreditCollected(miner, epoch, amount);
        }
    }

    /// @inheritdoc IFeeMarket
    function forfeit(address miner, uint64 epoch) external override onlyStorageMarket returns (uint256 amount) {
        amount = _spend(miner, epoch);
        _carry += uint128(amount);
        emit CreditForfeited(miner, epoch, amount);
    }

    /// @inheritdoc IFeeMarket
    function creditOf(address miner, uint64 epoch) public view override returns (uint256) {
        if (_isSpent(miner, epoch)) return 0;
        EpochTotals memory totals = _totals[epoch];
        (, uint64 price) = placeOf(totals.rosterId, miner);
        return uint256(price) * (uint256(totals.bytesH) + totals.bytesL) + uint256(_params.eps) * _sealedH[epoch][miner];
    }

    function _spend(address miner, uint64 epoch) private returns (uint256 amount) {
        amount = creditOf(miner, epoch);
        _spent[miner][epoch / 256] |= 1 << (epoch % 256);
    }

    function _isSpent(address miner, uint64 epoch) private view returns (bool) {
        return _spent[miner][epoch / 256] >> (epoch % 256) & 1 == 1;
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IFeeMarket
    function rebate() external view override returns (Rebate memory) {
        return _rebate;
    }

    /// @inheritdoc IFeeMarket
    function pool() external view override returns (uint256) {
        uint256 waiting = uint256(_carry) + _taxesNow.enrolled + _taxesNow.outside;
        return _rebate.due ? waiting + _rebate.taxes + _rebate.outside - _rebate.paid : waiting;
    }

    /// @inheritdoc IFeeMarket
    function carry() external view override returns (uint256) {
        return _carry;
    }
}
