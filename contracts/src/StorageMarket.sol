// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsortium} from "./interfaces/IConsortium.sol";
import {IFeeMarket} from "./interfaces/IFeeMarket.sol";
import {IStorageMarket} from "./interfaces/IStorageMarket.sol";

/// @title Prices and bonds of miners, and the audits that decide on their credits.
contract StorageMarket is IStorageMarket {
    uint16 private constant ROLE_MINER = 1 << 1;
    uint256 private constant MAX_MINERS = 64;
    uint64 private constant MAX_PRICE = type(uint40).max;

    /// @dev place is 1 + the index in _miners, zero when not enrolled.
    struct Terms {
        uint64 price;
        uint32 place;
        uint64 minedUntil;
    }

    struct Ballot {
        Verdict verdict;
        uint64 failed; // one bit per roster place
        uint64 absent;
        uint64 answered;
    }

    address public immutable consortium;
    IFeeMarket public immutable registry;
    uint64 public immutable override auditSlots;
    uint64 public immutable override retentionEpochs;
    uint256 public immutable override minimumBond;
    uint256 public immutable override penalty;
    uint64 private immutable _slotsPerEpoch;

    address[] private _miners;
    uint32 private _rosterId;
    mapping(address => Terms) private _terms;
    mapping(address => uint256) public override bondOf;
    mapping(uint64 => Audit) private _audits;
    mapping(uint64 => mapping(address => Ballot)) private _ballots;

    constructor(
        address consortium_,
        address registry_,
        uint64 auditSlots_,
        uint64 retentionEpochs_,
        uint256 minimumBond_,
        uint256 penalty_
    ) {
        if (penalty_ > minimumBond_) revert BondTooSmall(address(0), minimumBond_, penalty_);
        (consortium, registry) = (consortium_, IFeeMarket(registry_));
        (auditSlots, retentionEpochs, minimumBond, penalty) = (auditSlots_, retentionEpochs_, minimumBond_, penalty_);
        _slotsPerEpoch = IFeeMarket(registry_).params().slotsPerEpoch;
    }

    modifier onlyConsortium() {
        if (msg.sender != consortium) revert OnlyConsortium(msg.sender);
        _;
    }

    modifier onlyRegistry() {
        if (msg.sender != address(registry)) revert OnlyRegistry(msg.sender);
        _;
    }

    // ------------------------------------------------------------------ roster

    /// @inheritdoc IStorageMarket
    function setPrices(address[] calldata miners, uint64[] calldata prices) external override onlyConsortium {
        if (miners.length != prices.length) revert LengthMismatch(miners.length, prices.length);
        for (uint256 i; i < miners.length; ++i) {
            _setPrice(miners[i], prices[i]);
        }
        _changed();
    }

    /// @inheritdoc IStorageMarket
    function retire(address miner) external override onlyConsortium {
        if (_terms[miner].place == 0) revert NotEnrolled(miner);
        _leave(miner);
    }

    /// @inheritdoc IStorageMarket
    function minerRoleLost(address miner) external override onlyConsortium {
        if (_terms[miner].place != 0) _leave(miner);
    }

    function _setPrice(address miner, uint64 price) private {
        if (price > MAX_PRICE) revert PriceTooHigh(price, MAX_PRICE);
        if (IConsortium(consortium).rolesOf(miner) & ROLE_MINER == 0) revert MinerRoleMissing(miner);
        if (bondOf[miner] < minimumBond) revert BondTooSmall(miner, bondOf[miner], minimumBond);
        Terms storage terms = _terms[miner];
        if (terms.place == 0) {
            if (_miners.length == MAX_MINERS) revert TooManyMiners(_miners.length + 1, MAX_MINERS);
            _miners.push(miner);
            terms.place = uint32(_miners.length);
        }
        terms.price = price;
        emit PriceSet(miner, price);
    }

    /// @dev The others keep their order, which is the order of turns.
    function _leave(address miner) private {
        Terms storage terms = _terms[miner];
        for (uint256 i = terms.place; i < _miners.length; ++i) {
            _miners[i - 1] = _miners[i];
            _terms[_miners[i]].place = uint32(i);
        }
        _miners.pop();
        (terms.place, terms.minedUntil) = (0, registry.openEpoch().epoch);
        emit MinerRetired(miner);
        _changed();
    }

    function _changed() private {
        ++_rosterId;
        registry.rosterChanged();
    }

    /// @inheritdoc IStorageMarket
    function roster() external view override returns (uint32, address[] memory miners, uint64[] memory prices) {
        miners = _miners;
        prices = new uint64[](miners.length);
        for (uint256 i; i < miners.length; ++i) {
            prices[i] = _terms[miners[i]].price;
        }
        return (_rosterId, miners, prices);
    }

    // ------------------------------------------------------------------ bonds

    /// @inheritdoc IStorageMarket
    function bond(address miner) external payable override {
        bondOf[miner] += msg.value;
        emit Bonded(miner, msg.sender, msg.value, bondOf[miner]);
    }

    /// @inheritdoc IStorageMarket
    function unbond(uint256 amount) external override {
        Terms memory terms = _terms[msg.sender];
        uint256 held = bondOf[msg.sender];
        uint256 kept = terms.place != 0 ? minimumBond : 0;
        if (held < amount || held - amount < kept) revert BondTooSmall(msg.sender, held, amount + kept);
        uint64 locked = (terms.minedUntil + 1) * _slotsPerEpoch + 2 * auditSlots;
        if (terms.place == 0 && registry.currentSlot() <= locked) revert BondLocked(msg.sender, locked);
        bondOf[msg.sender] = held - amount;
        emit Unbonded(msg.sender, amount, held - amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert BondTransferFailed(msg.sender, amount);
    }

    // ------------------------------------------------------------------ audits

    /// @inheritdoc IStorageMarket
    function drawBeacon(uint64 epoch) external override {
        uint64 slot = registry.currentSlot();
        if (slot / _slotsPerEpoch <= epoch) revert EpochRunning(epoch);
        if (_audits[epoch].drawn) revert BeaconAlreadyDrawn(epoch);
        if (slot > _lastBeaconSlot(epoch)) revert BeaconTooLate(epoch, _lastBeaconSlot(epoch));
        _draw(epoch, slot);
    }

    /// @inheritdoc IStorageMarket
    function epochClosed(uint64 epoch, bool idle) external override onlyRegistry {
        uint64 slot = registry.currentSlot();
        if (idle || _audits[epoch].drawn || slot > _lastBeaconSlot(epoch)) return;
        _draw(epoch, slot);
    }

    function _draw(uint64 epoch, uint64 slot) private {
        bytes32 beacon = keccak256(abi.encode(blockhash(block.number - 1), block.prevrandao, address(this), epoch));
        _audits[epoch] = Audit(slot, true, beacon);
        emit BeaconDrawn(epoch, beacon, slot);
    }

    /// @inheritdoc IStorageMarket
    function attest(uint64 epoch, address miner, Verdict verdict, uint256 shownBy) external override {
        uint32 rosterId = registry.epochTotals(epoch).rosterId;
        (uint256 audited,) = registry.placeOf(rosterId, miner);
        (uint256 peer,) = registry.placeOf(rosterId, msg.sender);
        if (audited == 0) revert NotAudited(miner, epoch);
        if (peer == 0 || peer == audited) revert NotPeer(msg.sender, miner);
        uint256 miners = registry.rosterSize(rosterId);
        uint256 needed = miners / 2 + 1;
        if (verdict != Verdict.Answered) {
            _requireRunning(epoch);
            // A leaf that others cannot show either is nobody's single fault.
            uint256 shown = _count(shownBy & ((1 << miners) - 1) & ~(1 << (audited - 1)));
            if (shown < needed) revert LeafNotShown(shown, needed);
        }
        Ballot storage ballot = _ballots[epoch][miner];
        uint64 votes = _vote(ballot, epoch, miner, verdict, peer);
        emit Attested(epoch, miner, msg.sender, verdict, shownBy);
        if (_count(votes) < needed) return;
        ballot.verdict = verdict;
        emit VerdictReached(epoch, miner, verdict);
        if (verdict == Verdict.Failed) _penalise(epoch, miner);
    }

    function _vote(Ballot storage ballot, uint64 epoch, address miner, Verdict verdict, uint256 peer)
        private
        returns (uint64)
    {
        uint64 bit = uint64(1 << (peer - 1));
        Verdict present = ballot.verdict;
        if (verdict == Verdict.Answered) {
            if (present != Verdict.Absent) revert NotAbsent(epoch, miner);
            if (ballot.answered & bit != 0) revert AlreadyAttested(epoch, miner, msg.sender);
            return ballot.answered |= bit;
        }
        if (verdict == Verdict.Failed && present != Verdict.Failed) {
            if (ballot.failed & bit != 0) revert AlreadyAttested(epoch, miner, msg.sender);
            return ballot.failed |= bit;
        }
        if (verdict != Verdict.Absent || present != Verdict.None) revert InvalidVerdict(verdict);
        if (ballot.absent & bit != 0) revert AlreadyAttested(epoch, miner, msg.sender);
        return ballot.absent |= bit;
    }

    function _penalise(uint64 epoch, address miner) private {
        uint256 fromCredits = registry.forfeit(miner, epoch);
        uint256 fromBond = bondOf[miner] < penalty ? bondOf[miner] : penalty;
        bondOf[miner] -= fromBond;
        emit Penalised(epoch, miner, fromCredits, fromBond);
        registry.addToCarry{value: fromBond}();
    }

    function _requireRunning(uint64 epoch) private view {
        Audit memory held = _audits[epoch];
        if (!held.drawn) revert BeaconMissing(epoch);
        uint64 last = held.beaconSlot + auditSlots;
        if (registry.currentSlot() > last) revert AuditOver(epoch, last);
    }

    function _lastBeaconSlot(uint64 epoch) private view returns (uint64) {
        return (epoch + 1) * _slotsPerEpoch + auditSlots;
    }

    function _count(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IStorageMarket
    function isSettled(uint64 epoch, address miner) external view override returns (bool) {
        Audit memory held = _audits[epoch];
        uint64 last = held.drawn ? held.beaconSlot + auditSlots : _lastBeaconSlot(epoch);
        return registry.currentSlot() > last && _ballots[epoch][miner].verdict != Verdict.Absent;
    }

    /// @inheritdoc IStorageMarket
    function verdictOf(uint64 epoch, address miner) external view override returns (Verdict) {
        return _ballots[epoch][miner].verdict;
    }

    /// @inheritdoc IStorageMarket
    function challengeOf(uint64 epoch, address miner) external view override returns (bytes32) {
        if (!_audits[epoch].drawn) revert BeaconMissing(epoch);
        return keccak256(abi.encode(_audits[epoch].beacon, miner));
    }

    /// @inheritdoc IStorageMarket
    function audit(uint64 epoch) external view override returns (Audit memory) {
        return _audits[epoch];
    }

    /// @inheritdoc IStorageMarket
    function minedUntil(address miner) external view override returns (uint64) {
        return _terms[miner].minedUntil;
    }
}
