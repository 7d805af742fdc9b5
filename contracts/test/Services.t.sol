// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IServiceEscrow} from "../src/interfaces/IServiceEscrow.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {VM} from "./Vm.sol";
import {Roles} from "./RewardPool.t.sol";

/// @title Services under random acts; this contract is requester and provider, another address attests.
contract Services {
    bytes32 private constant JOB = "job";
    uint64 private constant MOST = 5;
    address private constant ATTESTOR = address(0xa77e);

    RewardPool public immutable pool;
    uint256 public paidIn;
    uint256 public received;
    uint64 public offers;
    uint64 public services;
    bool private _refuses;

    constructor() {
        pool = new RewardPool(address(new Roles()));
    }

    receive() external payable {
        require(!_refuses);
        received += msg.value;
    }

    /// @dev A wallet that takes no money for a while: it is owed instead.
    function refuse(bool yes) external {
        _refuses = yes;
    }

    function wait(uint16 time) external {
        VM.warp(block.timestamp + 1 + time % 400);
    }

    function offer(uint16 price, uint16 bond) external {
        if (offers == MOST) return;
        _fund(bond);
        pool.offer{value: bond}(JOB, IServiceEscrow.Kind.Connectivity, price);
        (offers, paidIn) = (offers + 1, paidIn + bond);
    }

    function withdrawOffer(uint64 id) external {
        try pool.withdrawOffer(1 + id % MOST) {} catch {}
    }

    function take(uint64 id, uint8 epochs, uint8 units, uint16 bonus, uint16 extra) external {
        IServiceEscrow.AwardTerms memory terms;
        (terms.attestor, terms.epochs, terms.units) = (ATTESTOR, 1 + epochs % 3, 1 + uint128(units % 3));
        (terms.deadline, terms.bonus) = (uint48(block.timestamp) + 500, bonus);
        uint256 value = (uint256(type(uint16).max) * 3 + bonus) * 3 + extra;
        _fund(value);
        try pool.take{value: value}(1 + id % MOST, type(uint128).max, terms) {
            (services, paidIn) = (services + 1, paidIn + value);
        } catch {}
    }

    function attest(uint64 id, uint32 epoch, bool passed) external {
        VM.prank(ATTESTOR);
        try pool.attest(1 + id % MOST, epoch % 3, passed) {} catch {}
    }

    function pay(uint64 id, uint32 epoch) external {
        try pool.pay(1 + id % MOST, epoch % 3) {} catch {}
    }

    function slash(uint64 id) external {
        VM.prank(pool.consortium());
        try pool.slash(1 + id % MOST, "because") {} catch {}
    }

    function end(uint64 id) external {
        try pool.end(1 + id % MOST) {} catch {}
    }

    function withdrawOwed() external {
        try pool.withdrawOwed(address(this)) {} catch {}
    }

    /// @notice What offers, services and debts say the pool holds.
    function owned() external view returns (uint256 held) {
        for (uint64 i = 1; i <= offers; ++i) held += pool.offerOf(i).bond;
        for (uint64 i = 1; i <= services; ++i) {
            IServiceEscrow.Service memory one = pool.serviceOf(i);
            held += uint256(one.held) + one.bond;
        }
        held += pool.owedTo(address(this));
    }


    function _fund(uint256 amount) private {
        VM.deal(address(this), address(this).balance + amount);
    }
}

/// @title Escrow in = paid + refunded + held, for services too.
contract ServiceInvariants {
    Services private _services;

    function setUp() external {
        _services = new Services();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_services);
    }

    function invariant_everyWeiOfAServiceHasAnOwner() external view {
        assert(address(_services.pool()).balance == _services.owned());
    }

    function invariant_whatCameInIsPaidRefundedOrHeld() external view {
        assert(_services.paidIn() == _services.received() + address(_services.pool()).balance);
    }

    function test_theActsReachEveryEndOfAService() external {
        for (uint64 i; i < 4; ++i) _services.offer(50, 300);
        _services.withdrawOffer(3);
        for (uint64 i; i < 3; ++i) _services.take(i, 1, 0, 5, 7);
        assert(_services.services() == 3);
        _services.attest(0, 0, true);
        _services.refuse(true);
        _services.pay(0, 0);
        assert(_services.pool().owedTo(address(_services)) == 55);
        _services.refuse(false);
        _services.slash(1);
        _services.wait(399);
        _services.wait(399);
        _services.end(0);
        _services.end(2);
        _services.withdrawOwed();
        assert(address(_services.pool()).balance == 0);
    }
}
