// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The versions of twin models: sealed once, never changed, found by the hash of what they are.
/// @notice `VersionId` is the EIP-712 struct hash of `Version`: content and provenance, no payment terms.
/// The one storage slot per version is keyed by it and so commits to every field; digests and parents are in
/// the `Registered` event.
/// @dev The registry does not see the bytes: that a miner holds them, and that the manifest names the same
/// parents, is checked off chain before sealing and provable afterwards.
interface ITwinRegistry {
    struct Version {
        uint64 namespaceId;
        bytes32 nameHash;
        bytes32 weightsRoot;
        bytes32 manifest;
        bytes32[] parents;
        uint64 size;
        bytes32 salt;
        address submitter;
    }

    struct Submission {
        Version version;
        uint8 feeClass;
        uint128 maxPrice;
        uint64 issuedAt;
        uint64 deadline;
    }

    /// @dev EIP-2098: vs is s with the recovery bit in its highest bit.
    struct Signature {
        bytes32 r;
        bytes32 vs;
    }

    /// @dev status: 0 none, 1 active, 2 deprecated, 3 revoked, 4 cancelled; time is unix seconds.
    struct Record {
        address submitter;
        uint40 blockNumber;
        uint8 feeClass;
        uint8 status;
        uint48 time;
    }

    /// @notice Why an item was skipped; its escrow is untouched and the rest of the batch goes on.
    enum Why {
        None, // 0: accepted
        AlreadySealed, // 1: this VersionId has a record
        Cancelled, // 2: cancelled, and not issued later than that
        NotYetIssued, // 3: issuedAt is after the block's time
        Expired, // 4: the deadline has passed
        WindowTooLong, // 5: deadline later than issuedAt + 86,400 s, or before issuedAt
        BadSignature, // 6: not the submitter's EIP-712 signature with low s
        NotSubmitter, // 7: the submitter lacks the submitter role
        WrongNamespace, // 8: the namespace is not the submitter's
        TooManyParents, // 9: more than 8
        UnknownParent, // 10: a parent is not on chain, or cancelled
        RevokedParent, // 11: a parent is revoked
        UnknownFeeClass, // 12: neither 0 (standard) nor 1 (priority)
        PriceTooLow, // 13: maxPrice is below rho + tax of the class
        InsufficientBalance, // 14: the submitter's escrow does not cover price times size
        SizeOutOfRange, // 15: zero bytes, or more than max_item_bytes
        NoCapacity // 16: the slot's budget is used up
    }

    /// @notice One sealed version, with everything its VersionId commits to.
    event Registered(
        bytes32 indexed versionId,
        address indexed submitter,
        bytes32 indexed modelId,
        uint64 namespaceId,
        bytes32 nameHash,
        bytes32 weightsRoot,
        bytes32 manifest,
        bytes32[] parents,
        uint64 size,
        bytes32 salt,
        uint8 feeClass,
        uint128 fee,
        uint128 tax,
        uint64 epoch,
        uint64 slot
    );
    event Rejected(bytes32 indexed versionId, uint256 index, Why why);
    event BatchSealed(
        uint64 indexed epoch,
        uint64 indexed slot,
        address indexed miner,
        uint256 accepted,
        uint256 rejected,
        uint64 bytesH,
        uint64 bytesL,
        uint256 fee,
        uint256 tax
    );
    event VersionCancelled(bytes32 indexed versionId, address indexed submitter, bytes32 indexed modelId, uint64 time);
    event AliasSet(bytes32 indexed modelId, bytes32 indexed versionId, address indexed by, string name);
    event StatusChanged(
        bytes32 indexed versionId, bytes32 indexed modelId, address indexed by, uint8 status, string reason
    );

    error BatchSizeOutOfRange(uint256 items, uint256 signatures, uint256 limit);
    error RegistryPaused();
    error NotVersionSubmitter(address caller, address submitter);
    error NotCancellable(bytes32 versionId, uint8 status);
    error UnknownVersion(bytes32 versionId);
    error VersionRevoked(bytes32 versionId);
    error NotOfNamespace(address caller, uint64 namespaceId);
    error InvalidAlias(string name);
    error StatusNotForward(bytes32 versionId, uint8 from, uint8 to);
    error ReasonRequired();

    /// @notice Seal up to 200 submissions. A bad item is skipped with `Rejected`; the batch never fails for it.
    /// @dev Miners only, in their turn (see IFeeMarket). This is the commit point of the whole system.
    function seal(Submission[] calldata submissions, Signature[] calldata signatures) external;

    /// @notice Withdraw an unsealed version: only a submission issued later than now will be taken.
    function cancel(Version calldata version) external;

    /// @notice Point a movable name of the model at one of its versions.
    /// @dev Any submitter of the namespace; not to a revoked version. Not `latest`, `v[0-9]+` or `0x…`.
    function setAlias(Version calldata version, string calldata name) external;

    /// @notice Deprecate (2) or revoke (3) a version, only ever forward.
    /// @dev The version's submitter, or the council through a proposal; a reason is required.
    function setStatus(Version calldata version, uint8 status, string calldata reason) external;

    /// @notice submitter << 96 | block << 56 | fee class << 52 | status << 48 | time; zero when unknown.
    function record(bytes32 versionId) external view returns (uint256 packed);

    function recordOf(bytes32 versionId) external view returns (Record memory);

    /// @notice The version an alias points at, zero when there is none.
    function aliasOf(bytes32 modelId, string calldata name) external view returns (bytes32 versionId);

    function hashVersion(Version calldata version) external pure returns (bytes32 versionId);
    function domainSeparator() external view returns (bytes32);

    /// @notice The registry whose versions, and whose predecessor's, also count as parents; zero without one.
    function predecessor() external view returns (address);
}
