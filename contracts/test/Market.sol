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
abstract contract Market {
    uint64 internal constant K = 4;
    uint64 internal constant AUDIT_SLOTS = 6;
    uint256 internal constant USERS = 4;
    uint256 internal constant MINERS = 3;

    /// @dev What makes a version of "m" this one.
    struct Item {
        uint256 who;
        uint64 size;
        bytes32 salt;
    }

    Consortium public consortium;
    TwinRegistry public registry;
    StorageMarket public storageMarket;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public versions;
    uint256 public forfeitures;
    uint256 public bonded;
    uint256 public penalties;
    Item[] internal _sealed;
    mapping(bytes32 versionId => uint256) public sealedAs; // the record as it was written
    mapping(bytes32 versionId => uint8) public statusOf;
    mapping(bytes32 versionId => uint256) public cancelledAt;
    mapping(address => mapping(uint64 => uint256)) public earned; // by price and margin, whatever became of it
    mapping(address => mapping(uint64 => uint256)) public paidOut; // collected or forfeited
    uint256 internal _salt;
    uint256 internal _time;

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

    function seal(uint8 who, uint8 sealer, uint16 size, bool priority, uint8 count) external {
        Item[] memory items = new Item[](count % 4 + 1);
        for (uint256 i; i < items.length; ++i) items[i] = Item((who + i) % USERS, size, bytes32(++_salt));
        _seal(items, sealer, priority);
    }

    function post(uint8 who, uint128 bitmapH, uint128 more) external {
        uint64 epoch = registry.openEpoch().epoch;
        if (registry.currentSlot() / K <= epoch || registry.hasPosted(epoch, miner(who)) || !isRostered(who)) return;
        VM.prank(miner(who));
        registry.post(epoch, bitmapH % 16, (bitmapH | more) % 16);
    }

    function close() external {
        IFeeMarket.OpenEpoch memory open = registry.openEpoch();
        uint64 end = (open.epoch + 1) * K;
        uint256 miners = registry.rosterSize(open.rosterId);
        bool posted = miners > 0 && open.posted == miners && registry.currentSlot() >= end;
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
        uint256 credit = registry.creditOf(miner(who), epochs[0]);
        if (!storageMarket.isSettled(epochs[0], miner(who)) || credit == 0) return;
        registry.collect(miner(who), epochs);
        paidOut[miner(who)][epochs[0]] += credit;
    }

    function price(uint256 who, uint8 wei_) public {
        if (consortium.rolesOf(miner(who)) == 0) return;
        address[] memory miners = new address[](1);
        uint64[] memory prices = new uint64[](1);
        (miners[0], prices[0]) = (miner(who), wei_);
        if (storageMarket.bondOf(miners[0]) < 100) bond(who, 100);
        _council(address(storageMarket), abi.encodeCall(storageMarket.setPrices, (miners, prices)));
    }

    function comeOrGo(uint8 who) external {
        address account = user(who);
        if (consortium.rolesOf(account) == 0) _admit(account, who % USERS, 1);
        else _council(address(consortium), abi.encodeCall(consortium.remove, (account)));
    }

    function bond(uint256 who, uint32 amount) public {
        storageMarket.bond{value: amount}(miner(who));
        bonded += amount;
    }

    // ------------------------------------------------------------------ views

    function isRostered(uint256 who) public view returns (bool) {
        (uint256 place,) = registry.placeOf(registry.openEpoch().rosterId, miner(who));
        return place != 0 && consortium.rolesOf(miner(who)) != 0;
    }

    function sealedCount() external view returns (uint256) {
        return _sealed.length;
    }

    function sealedId(uint256 i) external view returns (bytes32) {
        return _idOf(_sealed[i]);
    }

    function _escrowed() internal view returns (uint256 held) {
        for (uint256 i; i < USERS; ++i) held += registry.account(user(i)).balance;
    }

    function _version(Item memory item) internal pure returns (ITwinRegistry.Version memory) {
        return ITwinRegistry.Version({
            namespaceId: uint64(item.who + 1),
            nameHash: keccak256("m"),
            weightsRoot: 0,
            manifest: 0,
            parents: new bytes32[](0),
            size: item.size,
            salt: item.salt,
            submitter: user(item.who)
        });
    }

    function _idOf(Item memory item) internal view returns (bytes32) {
        return registry.hashVersion(_version(item));
    }

    // ------------------------------------------------------------------ how

    /// @dev Each item pays its size times the price of its class; each miner earns what the rule says, at once.
    function _seal(Item[] memory items, uint256 sealer, bool priority) internal {
        uint64 epoch = registry.openEpoch().epoch;
        if (registry.currentSlot() / K != epoch || !isRostered(sealer)) return;
        ITwinRegistry.Submission[] memory submissions = new ITwinRegistry.Submission[](items.length);
        ITwinRegistry.Signature[] memory signatures = new ITwinRegistry.Signature[](items.length);
        for (uint256 i; i < items.length; ++i) (submissions[i], signatures[i]) = _signed(items[i], priority);
        uint256 before = _escrowed();
        VM.prank(miner(sealer));
        try registry.seal(submissions, signatures) {
            assert(!consortium.paused());
        } catch (bytes memory why) {
            assert(consortium.paused() && bytes4(why) == ITwinRegistry.RegistryPaused.selector);
        }
        uint256 taken = _keepAccepted(items);
        IFeeMarket.Menu memory menu = registry.menu();
        assert(before - _escrowed() == taken * (priority ? menu.rhoH + menu.taxH : menu.rhoL + menu.taxL));
        (address[] memory miners, uint64[] memory prices) = registry.roster();
        for (uint256 i; i < miners.length; ++i) earned[miners[i]][epoch] += taken * prices[i];
        if (priority) earned[miner(sealer)][epoch] += taken * registry.params().eps;
    }

    /// @dev The bytes of the items that were taken now. Never one twice, nor in the second it was cancelled.
    function _keepAccepted(Item[] memory items) private returns (uint256 taken) {
        for (uint256 i; i < items.length; ++i) {
            bytes32 id = _idOf(items[i]);
            uint256 its = registry.record(id);
            if (statusOf[id] != 0 || (its >> 48) & 15 != 1) continue;
            assert(block.timestamp > cancelledAt[id]);
            (statusOf[id], sealedAs[id]) = (1, its);
            _sealed.push(items[i]);
            taken += items[i].size;
            ++versions;
        }
    }

    function _admit(address account, uint256 namespace_, uint16 roles) internal {
        bytes memory name = abi.encodePacked("org", bytes1(uint8(97 + namespace_)));
        _council(address(consortium), abi.encodeCall(consortium.admit, (account, string(name), roles)));
    }

    function _council(address target, bytes memory data) internal {
        consortium.propose(target, data, "because");
    }

    function _signed(Item memory item, bool priority)
        internal
        view
        returns (ITwinRegistry.Submission memory s, ITwinRegistry.Signature memory signature)
    {
        s.version = _version(item);
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
        (uint8 v, bytes32 r, bytes32 low) = VM.sign(1 + item.who, digest);
        signature = ITwinRegistry.Signature(r, bytes32(uint256(low) | uint256(v - 27) << 255));
    }
}
