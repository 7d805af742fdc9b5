// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {PoolPayments} from "./PoolPayments.sol";

/// @title Tasks as they were opened, what devices bid and chose, and the rule a payment must keep.
abstract contract TaskBook is PoolPayments {
    uint256 private constant MAX_TYPES = 32;
    uint256 private constant MAX_BIDS = 8;
    uint256 private constant PPM = 1e6;

    struct Task {
        Terms terms;
        address sponsor;
        uint128 free;
        bytes32 modelId;
    }

    uint64 public override taskCount;
    mapping(uint64 taskId => Task) private _tasks;
    mapping(uint64 taskId => uint128[]) private _rewards;
    mapping(uint64 taskId => mapping(address => bytes32)) private _commitments;
    /// @dev keccak256 of (taskId, device, claim, value, channels).
    mapping(bytes32 => bool) private _revealed;
    /// @dev 1 + 32 × type + item; zero for no choice.
    mapping(uint64 taskId => mapping(address => uint256)) private _choices;

    // ------------------------------------------------------------------ opening

    /// @inheritdoc IRewardPool
    function openTask(bytes32 modelId, Terms calldata terms, uint128[] calldata rewards, uint128[] calldata costs)
        external
        payable
        override
        whenRunning
        returns (uint64 taskId)
    {
        _requireRole(msg.sender, SPONSOR);
        _requireRole(terms.aggregator, AGGREGATOR);
        _checkTerms(terms);
        taskId = ++taskCount;
        if (terms.mechanism == Mechanism.Contract) {
            _checkMenu(rewards, costs);
            if (terms.unit != rewards[rewards.length - 1]) revert InvalidTerms("unit", terms.unit);
            _rewards[taskId] = rewards;
        } else if (rewards.length != 0 || costs.length != 0) {
            revert MenuSizeOutOfRange(rewards.length, costs.length, 0);
        }
        uint256 needed = uint256(terms.unit) * _seats(terms) * terms.rounds;
        if (msg.value < needed) revert EscrowTooSmall(msg.value, needed);
        uint128 escrow = _value128();
        _tasks[taskId] = Task(terms, msg.sender, escrow, modelId);
        emit TaskOpened(taskId, msg.sender, modelId, terms, escrow);
        if (rewards.length != 0) emit MenuPublished(taskId, rewards, costs);
    }

    function _checkTerms(Terms calldata terms) private view {
        if (terms.rounds == 0) revert InvalidTerms("rounds", 0);
        if (terms.seats == 0) revert InvalidTerms("seats", 0);
        if (terms.window == 0) revert InvalidTerms("window", 0);
        if (terms.parameters == 0) revert InvalidTerms("parameters", 0);
        if ((terms.capacity != 0) != (terms.mechanism == Mechanism.Auction)) {
            revert InvalidTerms("capacity", terms.capacity);
        }
        if (terms.bidsUntil < block.timestamp) revert InvalidTerms("bidsUntil", terms.bidsUntil);
        if (terms.revealsUntil < terms.bidsUntil) revert InvalidTerms("revealsUntil", terms.revealsUntil);
        if (terms.deadline <= uint256(terms.revealsUntil) + 2 * uint256(terms.window)) {
            revert InvalidTerms("deadline", terms.deadline);
        }
    }

    /// @dev In integers: every type gains by its own item, and no type gains more by another's.
    function _checkMenu(uint128[] calldata rewards, uint128[] calldata costs) private pure {
        uint256 types = rewards.length;
        if (types == 0 || types > MAX_TYPES || costs.length != types * types) {
            revert MenuSizeOutOfRange(types, costs.length, MAX_TYPES);
        }
        uint256 largest;
        for (uint256 i; i < types; ++i) {
            uint256 own = costs[i * types + i];
            if (rewards[i] < own) revert MenuNotRational(i, rewards[i], own);
            if (rewards[i] < largest) revert InvalidTerms("rewards", rewards[i]);
            largest = rewards[i];
            for (uint256 j; j < types; ++j) {
                if (uint256(rewards[j]) + own > uint256(rewards[i]) + costs[i * types + j]) {
                    revert MenuNotCompatible(i, j);
                }
            }
        }
    }

    /// @dev Every winner of an auction takes a channel, so no more than `capacity` can win.
    function _seats(Terms memory terms) internal pure returns (uint256) {
        bool scarce = terms.mechanism == Mechanism.Auction && terms.capacity < terms.seats;
        return scarce ? terms.capacity : terms.seats;
    }

    // ------------------------------------------------------------------ bids, choices

    /// @inheritdoc IRewardPool
    function commitBid(uint64 taskId, bytes32 commitment) external override whenRunning {
        Terms storage terms = _requireMechanism(taskId, Mechanism.Auction);
        _requireRole(msg.sender, DEVICE);
        if (block.timestamp > terms.bidsUntil) revert BidsClosed(taskId, terms.bidsUntil);
        if (_commitments[taskId][msg.sender] != 0) revert AlreadyCommitted(taskId, msg.sender);
        _commitments[taskId][msg.sender] = commitment;
        emit BidCommitted(taskId, msg.sender, commitment);
    }

    /// @inheritdoc IRewardPool
    function revealBid(uint64 taskId, Bid[] calldata bids, bytes32 salt) external override whenRunning {
        Terms storage terms = _requireMechanism(taskId, Mechanism.Auction);
        if (block.timestamp <= terms.bidsUntil) revert BidsOpen(taskId, terms.bidsUntil);
        if (block.timestamp > terms.revealsUntil) revert BidsClosed(taskId, terms.revealsUntil);
        if (bids.length > MAX_BIDS) revert TooManyBids(bids.length, MAX_BIDS);
        bytes32 shown = keccak256(abi.encode(block.chainid, address(this), taskId, msg.sender, bids, salt));
        if (shown != _commitments[taskId][msg.sender]) revert RevealMismatch(taskId, msg.sender, shown);
        // Spent: the same reveal cannot be sent twice.
        _commitments[taskId][msg.sender] = bytes32(uint256(1));
        for (uint256 i; i < bids.length; ++i) {
            Bid calldata bid = bids[i];
            if (bid.channels == 0 || bid.channels > terms.capacity || bid.value > terms.unit) {
                revert BidOutOfRange(i, bid.claim, bid.value, bid.channels);
            }
            _revealed[_bidKey(taskId, msg.sender, bid.claim, bid.value, bid.channels)] = true;
        }
        emit BidRevealed(taskId, msg.sender, bids);
    }

    /// @inheritdoc IRewardPool
    function choose(uint64 taskId, uint8 kind, uint8 item) external override whenRunning {
        Terms storage terms = _requireMechanism(taskId, Mechanism.Contract);
        _requireRole(msg.sender, DEVICE);
        if (block.timestamp > terms.bidsUntil) revert BidsClosed(taskId, terms.bidsUntil);
        uint256 types = _rewards[taskId].length;
        if (kind >= types || item >= types) revert UnknownItem(taskId, kind, item);
        if (_choices[taskId][msg.sender] != 0) revert AlreadyChosen(taskId, msg.sender);
        _choices[taskId][msg.sender] = 1 + MAX_TYPES * kind + item;
        emit ItemChosen(taskId, msg.sender, kind, item);
    }

    function _requireMechanism(uint64 taskId, Mechanism mechanism) private view returns (Terms storage terms) {
        terms = _task(taskId).terms;
        if (terms.mechanism != mechanism) revert WrongMechanism(taskId, terms.mechanism);
    }

    function _bidKey(uint64 taskId, address device, uint256 claim_, uint256 value, uint256 channels)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(taskId, device, claim_, value, channels));
    }

    // ------------------------------------------------------------------ the payment rule

    /// @return channels What the payment takes of the round's capacity.
    function _judge(Task storage opened, uint64 taskId, address account, uint256 amount, bytes calldata detail)
        internal
        view
        returns (Fault, uint256 channels)
    {
        Mechanism mechanism = opened.terms.mechanism;
        if (detail.length != (mechanism == Mechanism.Auction ? 128 : 64)) return (Fault.DetailLength, 0);
        if (mechanism == Mechanism.Stackelberg) return (_judgeRate(opened.terms.unit, amount, detail), 0);
        if (mechanism == Mechanism.Contract) return (_judgeItem(taskId, account, amount, detail), 0);
        return (_judgeBid(taskId, account, amount, detail), _word(detail, 3));
    }

    function _judgeRate(uint256 posted, uint256 amount, bytes calldata detail) private pure returns (Fault) {
        (uint256 rate, uint256 theta) = (_word(detail, 0), _word(detail, 1));
        if (rate != posted) return Fault.WrongRate;
        if (theta > PPM) return Fault.AccuracyOutOfRange;
        return amount == rate * (PPM - theta) / PPM ? Fault.None : Fault.WrongAmount;
    }

    function _judgeItem(uint64 taskId, address account, uint256 amount, bytes calldata detail)
        private
        view
        returns (Fault)
    {
        (uint256 kind, uint256 item) = (_word(detail, 0), _word(detail, 1));
        if (kind >= MAX_TYPES || item >= MAX_TYPES) return Fault.NotTheChoice;
        if (_choices[taskId][account] != 1 + MAX_TYPES * kind + item) return Fault.NotTheChoice;
        return amount == _rewards[taskId][item] ? Fault.None : Fault.WrongAmount;
    }

    function _judgeBid(uint64 taskId, address account, uint256 amount, bytes calldata detail)
        private
        view
        returns (Fault)
    {
        (uint256 claimed, uint256 payment) = (_word(detail, 0), _word(detail, 1));
        (uint256 value, uint256 channels) = (_word(detail, 2), _word(detail, 3));
        if (amount != payment) return Fault.WrongAmount;
        if (payment < claimed) return Fault.BelowClaim;
        if (payment > value) return Fault.AboveValue;
        if (channels == 0) return Fault.NoChannels;
        return _revealed[_bidKey(taskId, account, claimed, value, channels)] ? Fault.None : Fault.BidNotRevealed;
    }

    function _word(bytes calldata detail, uint256 place) private pure returns (uint256) {
        return uint256(bytes32(detail[32 * place:32 * place + 32]));
    }

    function _task(uint64 taskId) internal view returns (Task storage opened) {
        opened = _tasks[taskId];
        if (opened.terms.rounds == 0) revert UnknownTask(taskId);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRewardPool
    function task(uint64 taskId)
        external
        view
        override
        returns (address sponsor, bytes32 modelId, Terms memory terms, uint128 free)
    {
        Task storage opened = _task(taskId);
        return (opened.sponsor, opened.modelId, opened.terms, opened.free);
    }

    /// @inheritdoc IRewardPool
    function rewardsOf(uint64 taskId) external view override returns (uint128[] memory) {
        return _rewards[taskId];
    }

    /// @inheritdoc IRewardPool
    function commitmentOf(uint64 taskId, address device) external view override returns (bytes32) {
        return _commitments[taskId][device];
    }

    /// @inheritdoc IRewardPool
    function choiceOf(uint64 taskId, address device)
        external
        view
        override
        returns (bool chosen, uint8 kind, uint8 item)
    {
        uint256 packed = _choices[taskId][device];
        if (packed == 0) return (false, 0, 0);
        return (true, uint8((packed - 1) / MAX_TYPES), uint8((packed - 1) % MAX_TYPES));
    }

    /// @inheritdoc IRewardPool
    function faultOf(uint64 taskId, address account, uint256 amount, bytes calldata detail)
        external
        view
        override
        returns (Fault fault)
    {
        (fault,) = _judge(_task(taskId), taskId, account, amount, detail);
    }
}
