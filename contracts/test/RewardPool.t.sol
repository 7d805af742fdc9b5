// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {VM} from "./Vm.sol";

/// @dev Everybody has every role, nothing is paused: only the pool itself is under test.
contract Roles {
    function rolesOf(address) external pure returns (uint16) {
        return type(uint16).max;
    }

    function paused() external pure returns (bool) {
        return false;
    }
}

/// @title The pool under random acts of sponsors, aggregators, challengers and devices.
/// @dev This contract is sponsor, aggregator, challenger and council at once.
contract Pool {
    uint256 private constant TASKS = 3;
    uint128 private constant RATE = 1e12;
    uint128 private constant BOND = 1000;

    RewardPool public immutable pool;
    uint256 public paidIn;
    uint256 public received;
    mapping(uint64 => mapping(uint32 => IRewardPool.Leaf)) private _leaves;

    constructor() {
        pool = new RewardPool(address(new Roles()));
    }

    receive() external payable {
        received += msg.value;
    }

    function open(uint8 seats, uint16 extra) external {
        if (pool.taskCount() == TASKS) return;
        IRewardPool.Terms memory terms;
        terms.rounds = 2;
        terms.seats = 1 + seats % 4;
        terms.unit = RATE;
        terms.window = 100;
        terms.bidsUntil = uint48(block.timestamp);
        terms.revealsUntil = uint48(block.timestamp);
        terms.deadline = uint48(block.timestamp) + 1000;
        terms.aggregator = address(this);
        terms.bond = BOND;
        terms.parameters = bytes32(uint256(1));
        uint256 escrow = uint256(RATE) * terms.seats * 2 + extra;
        _fund(escrow);
        pool.openTask{value: escrow}(bytes32(0), terms, new uint128[](0), new uint128[](0));
        paidIn += escrow;
    }

    function wait(uint16 time) external {
        VM.warp(block.timestamp + 1 + time % 400);
    }

    function settle(uint64 task, uint32 round, uint32 theta, bool lie) external {
        (task, round) = (task % 4, round % 3);
        try pool.beginRound(task, round, bytes32(0)) {} catch {}
        uint256 amount = uint256(RATE) * (1e6 - theta % 1e6) / 1e6;
        if (lie) amount = RATE;
        bytes memory detail = abi.encode(RATE, theta % 1e6);
        bytes32 root = _leaf(task, round, amount, detail);
        _fund(BOND);
        try pool.settle{value: BOND}(task, round, root, uint128(amount), 1, "") {
            paidIn += BOND;
            _leaves[task][round] = IRewardPool.Leaf(address(this), amount, detail, new bytes32[](0));
        } catch {}
    }

    function challenge(uint64 task, uint32 round, bool missing) external {
        (task, round) = (task % 4, round % 3);
        IRewardPool.Leaf memory leaf = _leaves[task][round];
        if (missing) leaf.amount += 1;
        _fund(BOND);
        try pool.challenge{value: BOND}(task, round, leaf, "because") {
            paidIn += BOND;
        } catch {}
    }

    function claim(uint64 task, uint32 round) external {
        (task, round) = (task % 4, round % 3);
        IRewardPool.Leaf[] memory leaves = new IRewardPool.Leaf[](1);
        leaves[0] = _leaves[task][round];
        try pool.claim(task, round, leaves) {} catch {}
    }

    function release(uint64 task, uint32 round) external {
        try pool.releaseBond(task % 4, round % 3) {} catch {}
    }

    function refund(uint64 task, uint32 round) external {
        uint32[] memory rounds = new uint32[](2);
        (rounds[0], rounds[1]) = (round % 3, round % 2);
        try pool.refund(task % 4, rounds) {} catch {}
    }

    function decide(uint64 task, uint32 round, bool upheld) external {
        VM.prank(pool.consortium());
        try pool.decide(task % 4, round % 3, upheld, "because") {} catch {}
    }

    /// @notice What tasks and rounds say the pool holds.
    function owned() external view returns (uint256 held) {
        for (uint64 task = 1; task <= pool.taskCount(); ++task) {
            (,, IRewardPool.Terms memory terms, uint128 free) = pool.task(task);
            held += free;
            for (uint32 round; round < terms.rounds; ++round) {
                IRewardPool.Round memory one = pool.roundOf(task, round);
                held += one.purse;
                if (one.bonded) held += BOND;
                if (one.state == IRewardPool.RoundState.Frozen) held += BOND;
            }
        }
        held += pool.owedTo(address(this));
    }

    function _fund(uint256 amount) private {
        VM.deal(address(this), address(this).balance + amount);
    }

    function _leaf(uint64 task, uint32 round, uint256 amount, bytes memory detail) private view returns (bytes32) {
        return keccak256(
            bytes.concat(
                keccak256(
                    abi.encode(block.chainid, address(pool), task, round, address(this), amount, keccak256(detail))
                )
            )
        );
    }
}

/// @title Escrow in = paid + refunded + held, always; and the payment rule on every input.
contract RewardPoolInvariants {
    Pool private _people;

    function setUp() external {
        _people = new Pool();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_people);
    }

    function invariant_everyWeiHasAnOwner() external view {
        assert(address(_people.pool()).balance == _people.owned());
    }

    function invariant_whatCameInIsPaidOrHeld() external view {
        assert(_people.paidIn() == _people.received() + address(_people.pool()).balance);
    }

    function testFuzz_onlyTheExactPaymentKeepsTheRule(uint32 theta, uint128 amount) external {
        _people.open(1, 0);
        uint256 exact = 1e12 * (1e6 - uint256(theta % 1e6)) / 1e6;
        bytes memory detail = abi.encode(1e12, theta % 1e6);
        RewardPool pool = _people.pool();
        assert(pool.faultOf(1, address(1), exact, detail) == IRewardPool.Fault.None);
        bool isExact = amount == exact;
        assert((pool.faultOf(1, address(1), amount, detail) == IRewardPool.Fault.None) == isExact);
    }

    /// @dev The acts do reach settling, slashing, deciding, claiming and refunding.
    function test_theActsReachEveryPartOfThePool() external {
        _people.open(1, 5);
        _people.wait(10);
        _people.settle(1, 0, 400_000, true);
        _people.challenge(1, 0, false);
        assert(_people.pool().roundOf(1, 0).state == IRewardPool.RoundState.Begun);
        _people.settle(1, 0, 400_000, false);
        _people.challenge(1, 0, true);
        assert(_people.pool().roundOf(1, 0).state == IRewardPool.RoundState.Frozen);
        _people.decide(1, 0, false);
        _people.wait(150);
        _people.claim(1, 0);
        assert(_people.pool().isClaimed(1, 0, address(_people)));
        for (uint256 i; i < 4; ++i) _people.wait(399);
        _people.refund(1, 0);
        assert(address(_people.pool()).balance == 0);
    }
}
