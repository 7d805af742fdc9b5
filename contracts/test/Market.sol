// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../src/Consortium.sol";
import {IFeeMarket} from "../src/interfaces/IFeeMarket.sol";
import {ITwinRegistry} from "../src/interfaces/ITwinRegistry.sol";
import {IStorageMarket} from "../src/interfaces/IStorageMarket.sol";
import {StorageMarket} from "../src/StorageMarket.sol";
import {TwinRegistry} from "../src/TwinRegistry.sol";
import {VM} from "./Vm.sol";

/// @title A deployment and what its people may do to it, in any order and with any numbers.
/// @dev Every act first asks whether it is allowed now, so a revert is a defect.
contract Market {
    uint64 internal constant K = 4;
    uint64 internal constant AUDIT_SLOTS = 6;
    uint256 internal constant USERS = 4;
    uint256 internal constant MINERS = 3;

    Consortium public consortium;
    TwinRegistry public registry;
    StorageMarket public storageMarket;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public versions;
    uint256 public forfeitures;
    uint256 private _salt;
    uint256 private _time;

    constructor() {
        _time = block.timestamp;
        address[] memory council = new address[](1);
        council[0] = address(this);
        consortium = new Consortium(council, 1, address(0));
        registry = new TwinRegistry(
            address(consortium),
            IFeeMarket.FeeParams(K, 10, 2, 64, 1, 40, 10, 12, 5, 100_000, 2, 0, 1, 50_000)
        );
        storageMarket = new StorageMarket(address(consortium), address(registry), AUDIT_SLOTS, 1 << 20, 100, 60);
        _council(
            address(consortium),
            abi.encodeCall(
                consortium.connect, (address(registry), address(storageMarket), address(0), address(0))
            )
        );
        for (uint256 i; i < USERS; ++i) _admit(user(i), i, 1);
        VM.deal(address(this), type(uint96).max);
        for (uint256 i; i < MINERS; ++i) {
            _admit(miner(i), USERS + i, 2);
            storageMarket.bond{value: 100}(miner(i));
            price(i, uint8(5 + 2 * i));
        }
    }

    function user(uint256 i) public pure returns (address) {
        return VM.addr(1 + i % USERS);
    }

    function miner(uint256 i) public pure returns (address) {
        return VM.addr(100 + i % MINERS);
    }

    // ------------------------------------------------------------------ acts

    function deposit(uint8 who, uint32 amount) external {
        registry.deposit{value: amount}(user(who));
        deposited += amount;
    }

    function withdraw(uint8 who, uint128 amount) external {
        uint128 held = registry.account(user(who)).balance;
        if (held == 0) return;
        VM.prank(user(who));
        registry.withdraw(amount % held + 1);
        withdrawn += amount % held + 1;
    }

    function wait(uint8 slots) external {
        _time += uint256(slots % (2 * K)) * 10;
        VM.warp(_time);
    }

    function seal(uint8 who, uint8 sealer, uint16 size, bool priority, uint8 items) external {
        if (registry.currentSlot() / K != registry.openEpoch().epoch) return;
        uint256 n = items % 4 + 1;
        ITwinRegistry.Submission[] memory submissions = new ITwinRegistry.Submission[](n);
        ITwinRegistry.Signature[] memory signatures = new ITwinRegistry.Signature[](n);
        for (uint256 i; i < n; ++i) {
            (submissions[i], signatures[i]) = _signed((who + i) % USERS, size, priority);
        }
        VM.prank(miner(sealer));
        registry.seal(submissions, signatures);
        for (uint256 i; i < n; ++i) {
            if (registry.record(registry.hashVersion(submissions[i].version)) != 0) ++versions;
        }
    }

    function post(uint8 who, uint128 bitmapH, uint128 more) external {
        uint64 epoch = registry.openEpoch().epoch;
        if (registry.currentSlot() / K <= epoch || registry.hasPosted(epoch, miner(who))) return;
        VM.prank(miner(who));
        registry.post(epoch, bitmapH % 16, (bitmapH | more) % 16);
    }

    function close() external {
        IFeeMarket.OpenEpoch memory open = registry.openEpoch();
        uint64 end = (open.epoch + 1) * K;
        bool posted = open.posted == MINERS && registry.currentSlot() >= end;
        if (registry.rebate().due || !(posted || registry.currentSlot() >= end + 1)) return;
        registry.close(open.epoch);
    }

    function payRebates(uint8 limit) external {
        if (registry.rebate().due) registry.payRebates(registry.rebate().epoch, uint32(limit % 4) + 1);
    }

    function collect(uint8 who, uint64 epoch) external {
        uint64 open = registry.openEpoch().epoch;
        if (open == 0) return;
        uint64[] memory epochs = new uint64[](1);
        epochs[0] = epoch % open;
        if (!storageMarket.isSettled(epochs[0], miner(who)) || registry.creditOf(miner(who), epochs[0]) == 0) return;
        registry.collect(miner(who), epochs);
    }

    function price(uint256 who, uint8 wei_) public {
        address[] memory miners = new address[](1);
        uint64[] memory prices = new uint64[](1);
        (miners[0], prices[0]) = (miner(who), wei_);
        if (storageMarket.bondOf(miners[0]) < 100) storageMarket.bond{value: 100}(miners[0]);
        _council(address(storageMarket), abi.encodeCall(storageMarket.setPrices, (miners, prices)));
    }

    function comeOrGo(uint8 who) external {
        address account = user(who);
        if (consortium.rolesOf(account) == 0) _admit(account, who % USERS, 1);
        else _council(address(consortium), abi.encodeCall(consortium.remove, (account)));
    }

    function condemn(uint8 who) external {
        uint64 open = registry.openEpoch().epoch;
        if (open == 0) return;
        uint64 epoch = open - 1;
        IStorageMarket.Audit memory audit = storageMarket.audit(epoch);
        if (!audit.drawn || registry.currentSlot() > audit.beaconSlot + AUDIT_SLOTS) return;
        if (storageMarket.verdictOf(epoch, miner(who)) != IStorageMarket.Verdict.None) return;
        for (uint256 i; i < MINERS; ++i) {
            if (i == who % MINERS) continue;
            VM.prank(miner(i));
            storageMarket.attest(epoch, miner(who), IStorageMarket.Verdict.Failed, 7);
        }
        ++forfeitures;
    }

    // ------------------------------------------------------------------ how

    function _admit(address account, uint256 namespace_, uint16 roles) private {
        bytes memory name = abi.encodePacked("org", bytes1(uint8(97 + namespace_)));
        _council(address(consortium), abi.encodeCall(consortium.admit, (account, string(name), roles)));
    }

    function _council(address target, bytes memory data) private {
        consortium.propose(target, data, "because");
    }

    function _signed(uint256 who, uint16 size, bool priority)
        private
        returns (ITwinRegistry.Submission memory s, ITwinRegistry.Signature memory signature)
    {
        s.version = ITwinRegistry.Version({
            namespaceId: consortium.namespaceOf(user(who)),
            nameHash: keccak256("m"),
            weightsRoot: 0,
            manifest: 0,
            parents: new bytes32[](0),
            size: size,
            salt: bytes32(++_salt),
            submitter: user(who)
        });
        (s.feeClass, s.maxPrice) = (priority ? 1 : 0, type(uint128).max);
        (s.issuedAt, s.deadline) = (uint64(block.timestamp), uint64(block.timestamp));
        bytes32 inner = keccak256(
            abi.encode(
                keccak256(
                    "Submission(Version version,uint8 feeClass,uint128 maxPrice,uint64 issuedAt,uint64 deadline)Version(uint64 namespaceId,bytes32 nameHash,bytes32 weightsRoot,bytes32 manifest,bytes32[] parents,uint64 size,bytes32 salt,address submitter)"
                ),
                registry.hashVersion(s.version),
                s.feeClass,
                s.maxPrice,
                s.issuedAt,
                s.deadline
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", registry.domainSeparator(), inner));
        (uint8 v, bytes32 r, bytes32 low) = VM.sign(1 + who, digest);
        signature = ITwinRegistry.Signature(r, bytes32(uint256(low) | uint256(v - 27) << 255));
    }
}
