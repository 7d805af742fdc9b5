// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What miners charge for keeping bytes, what they stake, and whether they keep them.
/// @notice The council sets each miner's price per byte. After each epoch a beacon picks a version and a leaf
/// per miner; the other miners fetch that leaf by its CID and attest what they saw. More than half of all
/// miners must agree, and each must have been shown the leaf by as many others, before a verdict stands.
/// @dev The beacon can be ground by the block's sealer, and means nothing on a single-trust embedded chain.
/// With fewer than three miners no verdict is possible and every audit passes.
interface IStorageMarket {
    /// @dev Passed: none stood when the audit ended. Absent holds credits until lifted, never touches the bond.
    enum Verdict {
        None,
        Failed,
        Absent,
        Answered
    }

    struct Audit {
        uint64 beaconSlot;
        bool drawn;
        bytes32 beacon;
    }

    event PriceSet(address indexed miner, uint64 price);
    event MinerRetired(address indexed miner);
    event Bonded(address indexed miner, address indexed from, uint256 amount, uint256 bond);
    event Unbonded(address indexed miner, uint256 amount, uint256 bond);
    event BeaconDrawn(uint64 indexed epoch, bytes32 beacon, uint64 slot);
    event Attested(uint64 indexed epoch, address indexed miner, address indexed peer, Verdict verdict, uint256 shownBy);
    event VerdictReached(uint64 indexed epoch, address indexed miner, Verdict verdict);
    event Penalised(uint64 indexed epoch, address indexed miner, uint256 fromCredits, uint256 fromBond);

    error OnlyConsortium(address caller);
    error OnlyRegistry(address caller);
    error LengthMismatch(uint256 miners, uint256 prices);
    error TooManyMiners(uint256 miners, uint256 limit);
    error MinerRoleMissing(address miner);
    error NotEnrolled(address miner);
    error PriceTooHigh(uint64 price, uint64 limit);
    error BondTooSmall(address miner, uint256 bond, uint256 required);
    error BondLocked(address miner, uint64 untilSlot);
    error BondTransferFailed(address receiver, uint256 amount);
    error EpochRunning(uint64 epoch);
    error BeaconAlreadyDrawn(uint64 epoch);
    error BeaconTooLate(uint64 epoch, uint64 lastSlot);
    error BeaconMissing(uint64 epoch);
    error AuditOver(uint64 epoch, uint64 lastSlot);
    error NotAudited(address miner, uint64 epoch);
    error NotPeer(address caller, address miner);
    error AlreadyAttested(uint64 epoch, address miner, address peer);
    error InvalidVerdict(Verdict verdict);
    error NotAbsent(uint64 epoch, address miner);
    error LeafNotShown(uint256 shown, uint256 needed);

    /// @notice Council: set prices, wei per byte; a miner's first price enrols it. In force from the next close.
    /// @dev Needs the miner role and the minimum bond.
    function setPrices(address[] calldata miners, uint64[] calldata prices) external;

    /// @notice Council: a miner leaves the roster at the next close.
    function retire(address miner) external;

    /// @notice Consortium: the same when a member loses the miner role; nothing when it was not enrolled.
    function minerRoleLost(address miner) external;

    /// @notice Add the sent value to a miner's bond.
    function bond(address miner) external payable;

    /// @notice Take back bond above the minimum, or all of it when the audits of the last mined epoch are over.
    function unbond(uint256 amount) external;

    /// @notice Store the beacon of an epoch that is over; the first call counts, none after auditSlots.
    /// @dev Closing the epoch draws it too. An epoch closed as idle is not audited: it holds no credits.
    function drawBeacon(uint64 epoch) external;

    /// @notice The registry, once per close: draws the beacon when it is missing and the epoch was not idle.
    function epochClosed(uint64 epoch, bool idle) external;

    /// @notice A peer's word on a miner. `shownBy`: bit i = roster miner i showed the leaf, the audited one aside.
    /// @dev Failed and Absent within the audit, Answered at any time on an absent miner.
    function attest(uint64 epoch, address miner, Verdict verdict, uint256 shownBy) external;

    /// @notice Whether a miner's credits of an epoch may be collected.
    function isSettled(uint64 epoch, address miner) external view returns (bool);
    function verdictOf(uint64 epoch, address miner) external view returns (Verdict);

    /// @notice What picks a miner's version and leaf: keccak256(beacon, miner).
    function challengeOf(uint64 epoch, address miner) external view returns (bytes32);
    function audit(uint64 epoch) external view returns (Audit memory);

    /// @notice The miners and prices for the next epoch; the number grows with each change.
    function roster() external view returns (uint32 rosterId, address[] memory miners, uint64[] memory prices);
    function bondOf(address miner) external view returns (uint256);

    /// @notice The last epoch of a miner that left the roster.
    function minedUntil(address miner) external view returns (uint64 epoch);
    function auditSlots() external view returns (uint64);
    function retentionEpochs() external view returns (uint64);
    function minimumBond() external view returns (uint256);
    function penalty() external view returns (uint256);
}
