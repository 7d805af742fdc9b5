// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who belongs to the consortium, in which roles, and what its council decides.
/// @notice Members, namespaces, cells and keys. The council is a k-of-n set of addresses; everything marked
/// "council" is a call this contract makes to itself when a proposal has enough approvals.
/// @dev Role bits, from bit 0: submitter, miner, sponsor, device, aggregator, validator, host, operator,
/// auditor, witness, gateway, council. Roles are written into TwinRegistry's account slot in the same
/// transaction, so sealing needs no call to this contract per item.
interface IConsortium {
    struct Member {
        uint64 namespaceId;
        uint16 roles;
    }

    struct Proposal {
        address target;
        address proposer;
        bool executed;
        bytes data;
        string reason;
    }

    struct LogKey {
        address owner;
        uint32 version;
        bytes32 key;
    }

    event CouncilChanged(address[] council, uint256 threshold);
    event Proposed(uint256 indexed proposalId, address indexed proposer, address indexed target, bytes data, string reason);
    event Approved(uint256 indexed proposalId, address indexed approver);
    event Executed(uint256 indexed proposalId);
    event Connected(address twinRegistry, address storageMarket, address rewardPool, address auditAnchor);
    event NamespaceCreated(uint64 indexed namespaceId, string name);
    event MemberAdmitted(address indexed member, uint64 indexed namespaceId, string namespace_, uint16 roles);
    event RolesChanged(address indexed member, uint64 indexed namespaceId, uint16 roles);
    event MemberRemoved(address indexed member, uint64 indexed namespaceId);
    event KeyRegistered(address indexed member, uint32 version, bytes32 x25519);
    event LogKeyRegistered(address indexed owner, bytes32 indexed originHash, string origin, uint32 version, bytes32 ed25519);
    event CellAdded(uint64 indexed namespaceId, bytes32 indexed nameHash, string namespace_, string name, address gateway);
    event Granted(
        bytes32 indexed versionId, address indexed reader, address indexed by, uint32 keyVersion, bytes wrappedKey
    );
    event Ungranted(bytes32 indexed versionId, address indexed reader, address indexed by);
    event Paused(address account);
    event Unpaused(address account);

    error NotCouncil(address caller);
    error OnlyCouncil(address caller);
    error InvalidCouncil(uint256 size, uint256 threshold);
    error UnknownProposal(uint256 proposalId);
    error AlreadyApproved(uint256 proposalId, address approver);
    error AlreadyExecuted(uint256 proposalId);
    error NotEnoughApprovals(uint256 proposalId, uint256 approvals, uint256 threshold);
    error NoContract(address target);
    error AlreadyConnected(address twinRegistry);
    error NotConnected();
    error NamespaceTaken(string name, uint64 namespaceId);
    error InvalidName(string name);
    error InvalidAddress(address account);
    error InvalidRoles(uint16 roles);
    error AlreadyMember(address account, uint64 namespaceId);
    error NotMember(address account);
    error MissingRole(address account, uint16 role);
    error InvalidKey(bytes32 key);
    error NotLogOwner(address caller, string origin, address owner);
    error UnknownVersion(bytes32 versionId);
    error NotVersionSubmitter(address caller, address submitter);
    error NotPresentKey(address reader, uint32 keyVersion);
    error WrappedKeyOutOfRange(uint256 size);
    error AlreadyPaused();
    error NotPaused();

    /// @notice Propose a call; counts as the proposer's approval and runs at once when that is enough.
    /// @dev Council members only. A failing call reverts with the target's own error, and nothing is recorded.
    function propose(address target, bytes calldata data, string calldata reason) external returns (uint256 proposalId);

    /// @notice Approve a proposal; the approval that reaches the threshold runs the call.
    /// @dev Only approvals of present council members count, so a changed council decides afresh.
    function approve(uint256 proposalId) external;

    /// @notice Run a proposal that has its approvals, e.g. after the threshold was lowered.
    function execute(uint256 proposalId) external;

    /// @notice Council, once: name the contracts of this deployment. Members can be admitted only afterwards.
    /// @dev rewardPool and auditAnchor may be zero in a deployment without them.
    function connect(address twinRegistry_, address storageMarket_, address rewardPool_, address auditAnchor_) external;

    /// @notice Council: create a namespace; they are numbered from 1 in order of creation.
    function createNamespace(string calldata name) external returns (uint64 namespaceId);

    /// @notice Council: admit an address into a namespace, which is created when it does not exist.
    /// @dev The council role belongs to the council alone and is refused here for anyone else.
    function admit(address account, string calldata namespace_, uint16 roles) external;

    /// @notice Council: replace a member's roles. Zero is refused: use remove.
    function setRoles(address account, uint16 roles) external;

    /// @notice Council: take all roles from a member. Its balance stays withdrawable.
    function remove(address account) external;

    /// @notice Council: replace the council and its threshold.
    function setCouncil(address[] calldata council_, uint256 threshold_) external;

    /// @notice Council: stop (or let go on) sealing and new work. Never stops withdraw, claim, refund or cancel.
    function pause() external;

    function unpause() external;

    /// @notice Publish the caller's X25519 key; a new one is a new version, old ones stay in the events.
    function registerKey(bytes32 x25519) external;

    /// @notice Let a member read a private version: its key, wrapped to the member's X25519 key of this version.
    /// @dev The version's submitter only. The contract cannot look into the wrapped key; it refuses one that was
    /// made for a key the reader has replaced, because the reader may no longer hold its secret.
    function grant(bytes32 versionId, address reader, uint32 keyVersion, bytes calldata wrappedKey) external;

    /// @notice Say that a member is no longer meant to read a version. Nobody can make it forget the key.
    /// @dev The version's submitter only.
    function ungrant(bytes32 versionId, address reader) external;

    /// @notice Publish the Ed25519 key of a log. The first registrant (a gateway or witness) owns the origin.
    function registerLogKey(string calldata origin, bytes32 ed25519) external;

    /// @notice Name a cell of the caller's namespace and the gateway that may attest to it; again to move it.
    /// @dev Operators only. A zero gateway means nobody may attest.
    function addCell(string calldata name, address gateway) external;

    function predecessor() external view returns (address);
    function twinRegistry() external view returns (address);
    function storageMarket() external view returns (address);
    function rewardPool() external view returns (address);
    function auditAnchor() external view returns (address);
    function paused() external view returns (bool);
    function council() external view returns (address[] memory);
    function threshold() external view returns (uint256);
    function isCouncil(address account) external view returns (bool);

    /// @notice The roles of an address, zero for a stranger.
    function rolesOf(address account) external view returns (uint16);

    /// @notice The namespace of a member, zero for a stranger.
    function namespaceOf(address account) external view returns (uint64);
    function member(address account) external view returns (Member memory);
    function namespaceCount() external view returns (uint64);

    /// @notice The number of a namespace, zero when there is none of this name.
    function namespaceId(string calldata name) external view returns (uint64);
    function namespaceName(uint64 namespaceId_) external view returns (string memory);
    function keyOf(address account) external view returns (uint32 version, bytes32 x25519);
    function logKeyOf(string calldata origin) external view returns (LogKey memory);

    /// @notice Whether a cell exists, and the gateway that may attest to it.
    function cellOf(uint64 namespaceId_, string calldata name) external view returns (bool exists, address gateway);
    function proposalCount() external view returns (uint256);

    /// @notice A proposal by number, from 1.
    function proposal(uint256 proposalId) external view returns (Proposal memory);

    /// @notice How many present council members have approved.
    function approvals(uint256 proposalId) external view returns (uint256);
    function hasApproved(uint256 proposalId, address account) external view returns (bool);
}
