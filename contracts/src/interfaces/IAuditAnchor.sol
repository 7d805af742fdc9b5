// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The chain's memory of how far each audit log had come.
/// @notice A log is named by its origin. An anchor is (size, root) of the log's Merkle tree, RFC 9162 with SHA-256,
/// and the root of the verifiable map over the same entries. A new anchor is taken only with a proof that the
/// anchored tree is a prefix of the new one: a log that was forked, rewound or rewritten cannot be anchored again.
/// @dev Warning: the contract sees roots only. That entries are true, that the map belongs to the entries, and that
/// a log is anchored at all is for witnesses and auditors to see. The root does not bind the size: the pair does.
interface IAuditAnchor {
    struct Anchor {
        bytes32 root;
        bytes32 mapRoot;
        uint64 size;
        uint64 time;
        address by;
    }

    event Anchored(
        bytes32 indexed originHash, address indexed by, string origin, uint64 size, bytes32 root, bytes32 mapRoot
    );

    /// @dev Only members with the gateway role anchor.
    error NotGateway(address caller);
    /// @dev An origin other than the chain log's belongs to whoever registered its key, else to its first anchorer.
    error NotOriginOwner(address caller, string origin, address owner);
    error InvalidOrigin(uint256 length);
    error SizeNotGrowing(string origin, uint64 anchored, uint64 offered);
    /// @dev The anchored tree is no prefix of the offered one, or the proof is not the one of these two sizes.
    error InconsistentLog(string origin, uint64 anchored, uint64 offered);

    /// @notice Record how far a log has come.
    /// @param origin The log's origin, 1 to 256 bytes, as in its checkpoints.
    /// @param size The tree's size; larger than the anchored one.
    /// @param consistencyProof RFC 9162 2.1.4 from the anchored size to `size`; empty for the first anchor.
    function anchor(
        string calldata origin,
        uint64 size,
        bytes32 root,
        bytes32 mapRoot,
        bytes32[] calldata consistencyProof
    ) external;

    /// @notice The newest anchor of a log; size 0 when there is none. Older ones are in the events.
    function latest(string calldata origin) external view returns (Anchor memory);

    /// @notice Who may anchor this origin; the zero address means any gateway.
    function ownerOf(string calldata origin) external view returns (address);

    /// @notice The origin of the log derived from this deployment's events: `<chainId>/<registry in EIP-55>`.
    function chainLogOrigin() external view returns (string memory);

    function consortium() external view returns (address);
}
