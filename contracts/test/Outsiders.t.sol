// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuditAnchor} from "../src/AuditAnchor.sol";
import {Consortium} from "../src/Consortium.sol";
import {IFeeMarket} from "../src/interfaces/IFeeMarket.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {StorageMarket} from "../src/StorageMarket.sol";
import {TwinRegistry} from "../src/TwinRegistry.sol";
import {VM} from "./Vm.sol";

/// @title No function without its role: outsiders call every function of every contract, with anything.
/// @dev forge finds the functions itself, so one that is added is called too. The callers are two strangers, a
/// member that was removed, and a member whose only role is auditor. Whatever they do, what belongs to others
/// or needs a role is as it was; what anyone may do (deposit, bond, close an epoch) is none of it.
contract OutsiderInvariants {
    address private constant MEMBER = address(0x3e3be4);
    address private constant MINER = address(0x313e4);
    address private constant FORMER = address(0xf04);
    address private constant AUDITOR = address(0xa0d);
    uint16 private constant AUDITOR_ROLE = 1 << 8;

    Consortium private _consortium;
    TwinRegistry private _registry;
    StorageMarket private _storageMarket;
    RewardPool private _pool;
    AuditAnchor private _anchor;
    bytes32 private _before;

    function setUp() external {
        address[] memory council = new address[](1);
        council[0] = address(this);
        _consortium = new Consortium(council, 1, address(0));
        _registry = new TwinRegistry(
            address(_consortium), IFeeMarket.FeeParams(4, 10, 2, 64, 1, 40, 10, 12, 5, 100_000, 2, 0, 1, 50_000)
        );
        _storageMarket = new StorageMarket(address(_consortium), address(_registry), 6, 1 << 20, 100, 60);
        _pool = new RewardPool(address(_consortium));
        _anchor = new AuditAnchor(address(_consortium));
        _decide(
            abi.encodeCall(
                _consortium.connect,
                (address(_registry), address(_storageMarket), address(_pool), address(_anchor))
            )
        );
        _decide(abi.encodeCall(_consortium.admit, (MEMBER, "member", 1)));
        _decide(abi.encodeCall(_consortium.admit, (MINER, "miner", 2)));
        _decide(abi.encodeCall(_consortium.admit, (FORMER, "former", 1)));
        _decide(abi.encodeCall(_consortium.remove, (FORMER)));
        _decide(abi.encodeCall(_consortium.admit, (AUDITOR, "auditor", AUDITOR_ROLE)));
        VM.deal(address(this), 1 ether);
        _storageMarket.bond{value: 100}(MINER);
        _registry.deposit{value: 1_000}(MEMBER);
        (address[] memory miners, uint64[] memory prices) = (new address[](1), new uint64[](1));
        (miners[0], prices[0]) = (MINER, 7);
        _consortium.propose(
            address(_storageMarket), abi.encodeCall(_storageMarket.setPrices, (miners, prices)), "because"
        );
        _before = _whatNeedsARole();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](5);
        (targets[0], targets[1], targets[2]) = (address(_consortium), address(_registry), address(_storageMarket));
        (targets[3], targets[4]) = (address(_pool), address(_anchor));
    }

    function targetSenders() external pure returns (address[] memory senders) {
        senders = new address[](4);
        (senders[0], senders[1], senders[2], senders[3]) = (FORMER, AUDITOR, address(0x57a), address(0x57b));
    }

    /// forge-config: default.invariant.fail-on-revert = false
    /// forge-config: night.invariant.fail-on-revert = false
    function invariant_outsidersChangeNothingThatNeedsARole() external view {
        assert(_whatNeedsARole() == _before);
        assert(_registry.account(MEMBER).balance >= 1_000 && _storageMarket.bondOf(MINER) >= 100);
        assert(address(_registry).balance >= 1_000 && address(_storageMarket).balance >= 100);
    }

    function _whatNeedsARole() private view returns (bytes32) {
        (uint32 rosterId, address[] memory miners, uint64[] memory prices) = _storageMarket.roster();
        bytes memory seats = abi.encode(_consortium.council(), _consortium.threshold(), _consortium.proposalCount());
        bytes memory wiring = abi.encode(
            _consortium.twinRegistry(), _consortium.storageMarket(), _consortium.rewardPool(), _consortium.auditAnchor()
        );
        bytes memory members = abi.encode(
            _consortium.paused(),
            _consortium.namespaceCount(),
            _consortium.member(MEMBER),
            _consortium.member(MINER),
            _consortium.member(FORMER),
            _consortium.member(AUDITOR)
        );
        bytes memory market = abi.encode(
            rosterId, miners, prices, _registry.storageMarket(), _registry.enrolmentCount(), _registry.carry()
        );
        bytes memory work = abi.encode(
            _pool.taskCount(), _registry.creditOf(MINER, 0), _registry.openEpoch().everSealed, _registry.pool()
        );
        return keccak256(abi.encode(seats, wiring, members, market, work));
    }

    function _decide(bytes memory call_) private {
        _consortium.propose(address(_consortium), call_, "because");
    }
}
