// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsortium} from "./interfaces/IConsortium.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {PayoutTree} from "./libraries/PayoutTree.sol";
import {PoolPayments} from "./PoolPayments.sol";
import {ServiceEscrow} from "./ServiceEscrow.sol";
import {TaskBook} from "./TaskBook.sol";

/// @title Rounds: begun, settled, challenged, claimed, refunded. The interface is the manual.
contract RewardPool is TaskBook, ServiceEscrow {
    mapping(uint64 taskId => mapping(uint32 round => Round)) private _rounds;
    mapping(uint64 taskId => mapping(uint32 round => mapping(address => bool))) private _claimed;

    constructor(address consortium_) PoolPayments(consortium_) {}

    // ------------------------------------------------------------------ settlement

    /// @inheritdoc IRewardPool
    function beginRound(uint64 taskId, uint32 round, bytes32 evaluation) external override whenRunning {
        Task storage opened = _requireAggregator(taskId);
        if (round >= opened.terms.rounds) revert RoundOutOfRange(round, opened.terms.rounds);
        if (block.timestamp <= opened.terms.revealsUntil) revert BidsOpen(taskId, opened.terms.revealsUntil);
        Round storage one = _rounds[taskId][round];
        if (one.state != RoundState.None) revert WrongRoundState(taskId, round, one.state);
        (one.state, one.begunAt) = (RoundState.Begun, uint48(block.timestamp));
        emit RoundBegun(taskId, round, msg.sender, evaluation);
    }

    /// @inheritdoc IRewardPool
    function settle(
        uint64 taskId,
        uint32 round,
        bytes32 root,
        uint128 total,
        uint32 leaves,
        bytes calldata payouts
    ) external payable override whenRunning {
        Task storage opened = _requireAggregator(taskId);
        Terms storage terms = opened.terms;
        Round storage one = _rounds[taskId][round];
        if (one.state != RoundState.Begun) revert WrongRoundState(taskId, round, one.state);
        if (msg.value != terms.bond) revert WrongBond(msg.value, terms.bond);
        // As long again as the window is left for claims.
        uint256 last = terms.deadline - 2 * uint256(terms.window);
        if (block.timestamp > last) revert SettlementTooLate(taskId, last);
        uint256 seats = _seats(terms);
        if (leaves > seats) revert TooManyLeaves(leaves, seats);
        uint256 limit = root == 0 ? 0 : uint256(terms.unit) * leaves;
        if (total > limit) revert TotalTooLarge(total, limit);
        uint48 claimableAt = uint48(block.timestamp) + terms.window;
        // What earlier rounds were vetoed of is back in `free`, so this cannot fail for a round within its seats.
        opened.free -= total;
        (one.root, one.purse, one.claimableAt) = (root, total, claimableAt);
        (one.state, one.bonded, one.challenger) = (RoundState.Settled, true, address(0));
        emit RoundSettled(taskId, round, msg.sender, root, total, leaves, payouts, claimableAt);
    }

    function _requireAggregator(uint64 taskId) private view returns (Task storage opened) {
        opened = _task(taskId);
        address aggregator = opened.terms.aggregator;
        if (msg.sender != aggregator) revert NotTaskAggregator(msg.sender, aggregator);
    }

    // ------------------------------------------------------------------ challenges

    /// @inheritdoc IRewardPool
    function challenge(uint64 taskId, uint32 round, Leaf calldata leaf, string calldata reason)
        external
        payable
        override
    {
        Task storage opened = _task(taskId);
        Round storage one = _settled(taskId, round);
        if (block.timestamp > one.claimableAt) revert WindowClosed(taskId, round, one.claimableAt);
        if (msg.value != opened.terms.bond) revert WrongBond(msg.value, opened.terms.bond);
        if (IConsortium(consortium).rolesOf(msg.sender) == 0) revert NotMember(msg.sender);
        if (PayoutTree.isUnder(one.root, taskId, round, leaf)) {
            (Fault fault,) = _judge(opened, taskId, leaf.account, leaf.amount, leaf.detail);
            if (fault != Fault.None) {
                one.challenger = msg.sender;
                emit RoundSlashed(taskId, round, msg.sender, leaf.account, fault);
                return _uphold(opened, taskId, round);
            }
        }
        if (bytes(reason).length == 0) revert ReasonRequired();
        (one.state, one.challenger) = (RoundState.Frozen, msg.sender);
        emit RoundChallenged(taskId, round, msg.sender, leaf.account, reason);
    }

    /// @inheritdoc IRewardPool
    function decide(uint64 taskId, uint32 round, bool upheld, string calldata reason)
        external
        override
        onlyConsortium
    {
        Task storage opened = _task(taskId);
        Round storage one = _rounds[taskId][round];
        if (one.state != RoundState.Frozen) revert WrongRoundState(taskId, round, one.state);
        if (block.timestamp > opened.terms.deadline) revert DeadlinePassed(taskId, opened.terms.deadline);
        if (bytes(reason).length == 0) revert ReasonRequired();
        emit ChallengeDecided(taskId, round, upheld, reason);
        if (upheld) return _uphold(opened, taskId, round);
        (one.state, one.challenger) = (RoundState.Settled, address(0));
        _payBond(taskId, round, opened.terms.aggregator, opened.terms.bond);
    }

    /// @dev The root falls, its money is free again, and the round can be settled anew.
    function _uphold(Task storage opened, uint64 taskId, uint32 round) private {
        Round storage one = _rounds[taskId][round];
        (address challenger, uint128 bond) = (one.challenger, opened.terms.bond);
        opened.free += one.purse;
        (one.root, one.purse, one.claimableAt) = (0, 0, 0);
        (one.state, one.bonded, one.challenger) = (RoundState.Begun, false, address(0));
        _payBond(taskId, round, challenger, bond + bond / 2);
        _payBond(taskId, round, opened.sponsor, bond - bond / 2);
    }

    function _payBond(uint64 taskId, uint32 round, address account, uint256 amount) private {
        if (amount == 0) return;
        emit BondPaid(taskId, round, account, amount);
        _send(account, amount);
    }

    // ------------------------------------------------------------------ claims

    /// @inheritdoc IRewardPool
    function claim(uint64 taskId, uint32 round, Leaf[] calldata leaves) external override {
        Task storage opened = _task(taskId);
        Round storage one = _settled(taskId, round);
        if (block.timestamp <= one.claimableAt) revert WindowOpen(taskId, round, one.claimableAt);
        (uint256 paid, uint256 channels) = _record(opened, one, taskId, round, leaves);
        uint256 taken = one.channels + channels;
        uint32 capacity = opened.terms.capacity;
        if (taken > capacity) revert CapacityExceeded(taskId, round, taken, capacity);
        uint256 purse = one.purse;
        if (paid > purse) revert RoundOverdrawn(taskId, round, paid, purse);
        (one.purse, one.channels) = (uint128(purse - paid), uint32(taken));
        for (uint256 i; i < leaves.length; ++i) {
            _send(leaves[i].account, leaves[i].amount);
        }
    }

    /// @dev Checks every leaf and marks it claimed before any money moves.
    function _record(Task storage opened, Round storage one, uint64 taskId, uint32 round, Leaf[] calldata leaves)
        private
        returns (uint256 paid, uint256 channels)
    {
        bytes32 root = one.root;
        mapping(address => bool) storage claimed = _claimed[taskId][round];
        for (uint256 i; i < leaves.length; ++i) {
            Leaf calldata leaf = leaves[i];
            (address account, uint256 amount) = (leaf.account, leaf.amount);
            if (!PayoutTree.isUnder(root, taskId, round, leaf)) revert NotUnderRoot(taskId, round, account);
            if (claimed[account]) revert AlreadyClaimed(taskId, round, account);
            (Fault fault, uint256 used) = _judge(opened, taskId, account, amount, leaf.detail);
            if (fault != Fault.None) revert PaymentRuleBroken(account, amount, fault);
            claimed[account] = true;
            paid += amount;
            channels += used;
            emit PayoutClaimed(taskId, round, account, amount);
        }
    }

    /// @inheritdoc IRewardPool
    function releaseBond(uint64 taskId, uint32 round) external override {
        Task storage opened = _task(taskId);
        Round storage one = _settled(taskId, round);
        if (block.timestamp <= one.claimableAt) revert WindowOpen(taskId, round, one.claimableAt);
        if (one.bonded) _releaseBond(opened, taskId, round);
    }

    function _releaseBond(Task storage opened, uint64 taskId, uint32 round) private {
        _rounds[taskId][round].bonded = false;
        _payBond(taskId, round, opened.terms.aggregator, opened.terms.bond);
    }

    // ------------------------------------------------------------------ refund

    /// @inheritdoc IRewardPool
    function refund(uint64 taskId, uint32[] calldata rounds) external override {
        Task storage opened = _task(taskId);
        if (block.timestamp <= opened.terms.deadline) revert DeadlineNotReached(taskId, opened.terms.deadline);
        uint256 amount = opened.free;
        opened.free = 0;
        for (uint256 i; i < rounds.length; ++i) {
            Round storage one = _rounds[taskId][rounds[i]];
            amount += one.purse;
            one.purse = 0;
        }
        emit EscrowRefunded(taskId, opened.sponsor, amount);
        for (uint256 i; i < rounds.length; ++i) {
            _returnBonds(opened, taskId, rounds[i]);
        }
        _send(opened.sponsor, amount);
    }

    /// @dev Each flag is cleared before its own money leaves.
    function _returnBonds(Task storage opened, uint64 taskId, uint32 round) private {
        Round storage one = _rounds[taskId][round];
        if (one.state == RoundState.Frozen) {
            address challenger = one.challenger;
            (one.state, one.challenger, one.root) = (RoundState.Begun, address(0), 0);
            _payBond(taskId, round, challenger, opened.terms.bond);
        }
        if (one.bonded) _releaseBond(opened, taskId, round);
    }

    // ------------------------------------------------------------------ views

    function _settled(uint64 taskId, uint32 round) private view returns (Round storage one) {
        one = _rounds[taskId][round];
        if (one.state != RoundState.Settled) revert WrongRoundState(taskId, round, one.state);
    }

    /// @inheritdoc IRewardPool
    function roundOf(uint64 taskId, uint32 round) external view override returns (Round memory) {
        return _rounds[taskId][round];
    }

    /// @inheritdoc IRewardPool
    function isClaimed(uint64 taskId, uint32 round, address account) external view override returns (bool) {
        return _claimed[taskId][round][account];
    }
}
