// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Council} from "./Council.sol";
import {IConsortium} from "./interfaces/IConsortium.sol";
import {IFeeMarket} from "./interfaces/IFeeMarket.sol";
import {IStorageMarket} from "./interfaces/IStorageMarket.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {Names} from "./libraries/Names.sol";

/// @title Members, namespaces, cells and keys, governed by the council of Council.sol.
contract Consortium is Council {
    uint16 private constant ROLE_MINER = 1 << 1;
    uint16 private constant ROLE_OPERATOR = 1 << 7;
    uint16 private constant ROLE_WITNESS = 1 << 9;
    uint16 private constant ROLE_GATEWAY = 1 << 10;
    uint16 private constant ROLE_COUNCIL = 1 << 11;
    uint16 private constant ALL_ROLES = (1 << 12) - 1;
    uint8 private constant CANCELLED = 4;
    uint256 private constant MAX_WRAPPED_KEY = 2048;

    struct Key {
        uint32 version;
        bytes32 x25519;
    }

    struct Cell {
        bool exists;
        address gateway;
    }

    address public immutable override predecessor;
    address public override twinRegistry;
    address public override storageMarket;
    address public override rewardPool;
    address public override auditAnchor;
    bool public override paused;
    uint64 public override namespaceCount;

    mapping(address => Member) private _members;
    mapping(uint64 => string) private _namespaceNames;
    mapping(bytes32 => uint64) private _namespaceIds;
    mapping(address => Key) private _keys;
    mapping(bytes32 => LogKey) private _logKeys;
    mapping(uint64 => mapping(bytes32 => Cell)) private _cells;

    constructor(address[] memory council_, uint256 threshold_, address predecessor_) Council(council_, threshold_) {
        predecessor = predecessor_;
    }

    // ------------------------------------------------------------------ council: the deployment

    /// @inheritdoc IConsortium
    function connect(address twinRegistry_, address storageMarket_, address rewardPool_, address auditAnchor_)
        external
        override
        onlyCouncil
    {
        if (twinRegistry != address(0)) revert AlreadyConnected(twinRegistry);
        if (twinRegistry_.code.length == 0) revert NoContract(twinRegistry_);
        if (storageMarket_.code.length == 0) revert NoContract(storageMarket_);
        (twinRegistry, storageMarket, rewardPool, auditAnchor) =
            (twinRegistry_, storageMarket_, rewardPool_, auditAnchor_);
        emit Connected(twinRegistry_, storageMarket_, rewardPool_, auditAnchor_);
        IFeeMarket(twinRegistry_).connect(storageMarket_);
        address[] memory seats = council();
        for (uint256 i; i < seats.length; ++i) {
            _write(seats[i], _members[seats[i]].namespaceId, _members[seats[i]].roles);
        }
    }

    /// @inheritdoc IConsortium
    function pause() external override onlyCouncil {
        if (paused) revert AlreadyPaused();
        paused = true;
        emit Paused(msg.sender);
    }

    /// @inheritdoc IConsortium
    function unpause() external override onlyCouncil {
        if (!paused) revert NotPaused();
        paused = false;
        emit Unpaused(msg.sender);
    }

    // ------------------------------------------------------------------ council: members

    /// @inheritdoc IConsortium
    function createNamespace(string calldata name) external override onlyCouncil returns (uint64) {
        return _createNamespace(name);
    }

    /// @inheritdoc IConsortium
    function admit(address account, string calldata namespace_, uint16 roles) external override onlyCouncil {
        if (twinRegistry == address(0)) revert NotConnected();
        if (account == address(0)) revert InvalidAddress(account);
        Member memory present = _members[account];
        if (present.namespaceId != 0 && present.roles & ~ROLE_COUNCIL != 0) {
            revert AlreadyMember(account, present.namespaceId);
        }
        uint64 id = _namespaceIds[keccak256(bytes(namespace_))];
        if (id == 0) id = _createNamespace(namespace_);
        uint16 granted = _checked(account, roles);
        _write(account, id, granted);
        emit MemberAdmitted(account, id, namespace_, granted);
    }

    /// @inheritdoc IConsortium
    function setRoles(address account, uint16 roles) external override onlyCouncil {
        Member memory present = _member(account);
        uint16 granted = _checked(account, roles);
        _write(account, present.namespaceId, granted);
        emit RolesChanged(account, present.namespaceId, granted);
    }

    /// @inheritdoc IConsortium
    function remove(address account) external override onlyCouncil {
        Member memory present = _member(account);
        _write(account, present.namespaceId, present.roles & ROLE_COUNCIL);
        emit MemberRemoved(account, present.namespaceId);
    }

    function _createNamespace(string calldata name) private returns (uint64 id) {
        if (!Names.isNamespace(name)) revert InvalidName(name);
        bytes32 hash = keccak256(bytes(name));
        if (_namespaceIds[hash] != 0) revert NamespaceTaken(name, _namespaceIds[hash]);
        id = ++namespaceCount;
        _namespaceIds[hash] = id;
        _namespaceNames[id] = name;
        emit NamespaceCreated(id, name);
    }

    /// @dev The roles to store: the council bit follows the council and cannot be granted here.
    function _checked(address account, uint16 roles) private view returns (uint16) {
        bool seated = isCouncil(account);
        if (roles & ~ALL_ROLES != 0 || roles & ~ROLE_COUNCIL == 0 || (roles & ROLE_COUNCIL != 0 && !seated)) {
            revert InvalidRoles(roles);
        }
        return seated ? roles | ROLE_COUNCIL : roles;
    }

    function _member(address account) private view returns (Member memory present) {
        present = _members[account];
        if (present.namespaceId == 0 || present.roles & ~ROLE_COUNCIL == 0) revert NotMember(account);
    }

    /// @dev The one place that changes roles: here, in the registry, and in the storage market's roster.
    function _write(address account, uint64 namespaceId_, uint16 roles) private {
        bool stopsMining = _members[account].roles & ROLE_MINER != 0 && roles & ROLE_MINER == 0;
        _members[account] = Member(namespaceId_, roles);
        if (twinRegistry == address(0)) return;
        IFeeMarket(twinRegistry).setAccount(account, namespaceId_, roles);
        if (stopsMining) IStorageMarket(storageMarket).minerRoleLost(account);
    }

    function _seat(address account, bool seated) internal override {
        Member memory present = _members[account];
        uint16 roles = seated ? present.roles | ROLE_COUNCIL : present.roles & ~ROLE_COUNCIL;
        if (roles == present.roles) return;
        _write(account, present.namespaceId, roles);
        emit RolesChanged(account, present.namespaceId, roles);
    }

    // ------------------------------------------------------------------ members: keys and cells

    /// @inheritdoc IConsortium
    function registerKey(bytes32 x25519) external override {
        _member(msg.sender);
        if (x25519 == 0) revert InvalidKey(x25519);
        Key storage key = _keys[msg.sender];
        (key.version, key.x25519) = (key.version + 1, x25519);
        emit KeyRegistered(msg.sender, key.version, x25519);
    }

    /// @inheritdoc IConsortium
    function grant(bytes32 versionId, address reader, uint32 keyVersion, bytes calldata wrappedKey)
        external
        override
    {
        _onlySubmitterOf(versionId);
        _member(reader);
        if (keyVersion == 0 || keyVersion != _keys[reader].version) revert NotPresentKey(reader, keyVersion);
        if (wrappedKey.length == 0 || wrappedKey.length > MAX_WRAPPED_KEY) {
            revert WrappedKeyOutOfRange(wrappedKey.length);
        }
        emit Granted(versionId, reader, msg.sender, keyVersion, wrappedKey);
    }

    /// @inheritdoc IConsortium
    function ungrant(bytes32 versionId, address reader) external override {
        _onlySubmitterOf(versionId);
        emit Ungranted(versionId, reader, msg.sender);
    }

    /// @dev A cancelled version has a record too, but nothing that anybody could read.
    function _onlySubmitterOf(bytes32 versionId) private view {
        _member(msg.sender);
        if (twinRegistry == address(0)) revert NotConnected();
        ITwinRegistry.Record memory known = ITwinRegistry(twinRegistry).recordOf(versionId);
        if (known.status == 0 || known.status == CANCELLED) revert UnknownVersion(versionId);
        if (known.submitter != msg.sender) revert NotVersionSubmitter(msg.sender, known.submitter);
    }

    /// @inheritdoc IConsortium
    function registerLogKey(string calldata origin, bytes32 ed25519) external override {
        uint16 roles = _member(msg.sender).roles;
        if (roles & (ROLE_GATEWAY | ROLE_WITNESS) == 0) revert MissingRole(msg.sender, ROLE_GATEWAY);
        if (ed25519 == 0) revert InvalidKey(ed25519);
        if (bytes(origin).length == 0 || bytes(origin).length > 255) revert InvalidName(origin);
        bytes32 hash = keccak256(bytes(origin));
        LogKey storage key = _logKeys[hash];
        if (key.owner != address(0) && key.owner != msg.sender) revert NotLogOwner(msg.sender, origin, key.owner);
        (key.owner, key.version, key.key) = (msg.sender, key.version + 1, ed25519);
        emit LogKeyRegistered(msg.sender, hash, origin, key.version, ed25519);
    }

    /// @inheritdoc IConsortium
    function addCell(string calldata name, address gateway) external override {
        Member memory own = _member(msg.sender);
        if (own.roles & ROLE_OPERATOR == 0) revert MissingRole(msg.sender, ROLE_OPERATOR);
        if (!Names.isName(name)) revert InvalidName(name);
        if (gateway != address(0) && _members[gateway].roles & ROLE_GATEWAY == 0) {
            revert MissingRole(gateway, ROLE_GATEWAY);
        }
        bytes32 hash = keccak256(bytes(name));
        _cells[own.namespaceId][hash] = Cell(true, gateway);
        emit CellAdded(own.namespaceId, hash, _namespaceNames[own.namespaceId], name, gateway);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IConsortium
    function rolesOf(address account) external view override returns (uint16) {
        return _members[account].roles;
    }

    /// @inheritdoc IConsortium
    function namespaceOf(address account) external view override returns (uint64) {
        return _members[account].namespaceId;
    }

    /// @inheritdoc IConsortium
    function member(address account) external view override returns (Member memory) {
        return _members[account];
    }

    /// @inheritdoc IConsortium
    function namespaceId(string calldata name) external view override returns (uint64) {
        return _namespaceIds[keccak256(bytes(name))];
    }

    /// @inheritdoc IConsortium
    function namespaceName(uint64 namespaceId_) external view override returns (string memory) {
        return _namespaceNames[namespaceId_];
    }

    /// @inheritdoc IConsortium
    function keyOf(address account) external view override returns (uint32 version, bytes32 x25519) {
        return (_keys[account].version, _keys[account].x25519);
    }

    /// @inheritdoc IConsortium
    function logKeyOf(string calldata origin) external view override returns (LogKey memory) {
        return _logKeys[keccak256(bytes(origin))];
    }

    /// @inheritdoc IConsortium
    function cellOf(uint64 namespaceId_, string calldata name) external view override returns (bool, address) {
        Cell memory cell = _cells[namespaceId_][keccak256(bytes(name))];
        return (cell.exists, cell.gateway);
    }
}
