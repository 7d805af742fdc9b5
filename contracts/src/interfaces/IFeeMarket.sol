// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Fee and Waiting Tax, live: what sealing costs, who is paid, what waiting is worth.
/// @notice Time is slots and epochs: slot = (block.timestamp - start) / slotSeconds, epoch e is slots
/// eK … eK+K-1. A menu is in force for one epoch. The fee of an item goes to every enrolled miner at its price
/// per byte and, for class H, eps per byte to the sealer; the waiting tax goes to the other members.
/// @dev All money is wei, all rates wei per byte. Equal to incentives/ledger.py to the wei. Seals of an epoch
/// start when the epoch before is closed; an account or price change takes effect at the next close, and
/// before the very first seal at once.
interface IFeeMarket {
    /// @dev Fixed at deployment, so any history can be replayed.
    struct FeeParams {
        uint64 slotsPerEpoch; // K, 1 to 128
        uint64 slotSeconds;
        uint8 eta; // EWMA shift, 0 to 32
        uint32 runCap; // above 2K without effect
        uint64 eps; // wei/byte, at least 1
        uint64 gH; // wei per (byte slot)
        uint64 gL;
        uint64 tau0H; // wei/byte
        uint64 tau0L;
        uint64 slotBytes; // pinning bandwidth, bytes a slot adds to the budget
        uint64 turnSlots; // at least 1
        uint64 graceSlots; // 0 to turnSlots: slots of a turn that its miner has alone
        uint64 postSlots; // slots after an epoch in which miners may post before it can be closed
        uint64 maxItemBytes;
    }

    /// @dev Wei per byte. Price of a class = rho + tax.
    struct Menu {
        uint64 rhoH;
        uint64 rhoL;
        uint64 taxH;
        uint64 taxL;
    }

    struct Account {
        uint128 balance;
        uint64 namespaceId;
        uint32 enrolment;
        uint16 roles;
    }

    /// @dev One account enrolled for rebates, from epoch `first` through epoch `last`.
    struct Enrolment {
        address account;
        uint48 first;
        uint48 last;
    }

    struct EpochTotals {
        uint64 bytesH;
        uint64 bytesL;
        uint32 rosterId;
    }

    /// @dev The epoch that sealing is in or waits for: everything before it is closed.
    struct OpenEpoch {
        uint64 epoch;
        uint32 rosterId;
        uint32 accounts; // enrolled and active
        uint32 posted; // miners that posted for it
        bool sealedIn;
        bool sealedBefore; // in the epoch before
        bool everSealed;
    }

    /// @dev The rebate run of the epoch closed last, paid in pages.
    struct Rebate {
        uint64 epoch;
        uint32 cursor;
        uint32 length;
        uint32 accounts; // N
        bool due;
        uint128 taxes; // S, of enrolled accounts
        uint128 outside; // of accounts not on the roll, shared by all alike
        uint128 carry; // frozen
        uint128 paid;
    }

    event Deposited(address indexed account, address indexed from, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event AccountChanged(address indexed account, uint64 indexed namespaceId, uint16 roles);
    event Enrolled(uint32 indexed index, address indexed account, uint64 indexed namespaceId, uint64 first);
    event Left(uint32 indexed index, address indexed account, uint64 last);
    event RosterChanged(uint32 indexed rosterId, uint64 indexed epoch, address[] miners, uint64[] prices);
    event MenuSet(uint64 indexed epoch, uint64 rhoH, uint64 rhoL, uint64 taxH, uint64 taxL);
    event BacklogPosted(uint64 indexed epoch, address indexed miner, uint128 bitmapH, uint128 bitmapAny);
    event EpochClosed(
        uint64 indexed epoch,
        uint64 estH,
        uint64 estL,
        uint64 tauH,
        uint64 tauL,
        uint128 taxes,
        uint128 outside,
        uint128 carry,
        uint32 accounts
    );
    event IdleEpochsClosed(uint64 indexed first, uint64 indexed last, uint64 tauH, uint64 tauL);
    event RebatePaid(uint64 indexed epoch, address indexed account, uint256 amount);
    event RebatesCompleted(uint64 indexed epoch, uint256 paid, uint128 carry);
    event CreditCollected(address indexed miner, uint64 indexed epoch, uint256 amount);
    event CreditForfeited(address indexed miner, uint64 indexed epoch, uint256 amount);
    event CarryAdded(address indexed from, uint256 amount);

    error OnlyConsortium(address caller);
    error OnlyStorageMarket(address caller);
    error InvalidParameter(string name, uint256 value);
    error StorageMarketConnected(address storageMarket);
    error DepositTooLarge(uint256 held, uint256 limit);
    error InvalidReceiver(address receiver);
    error InsufficientEscrow(address account, uint256 balance, uint256 needed);
    error TransferFailed(address receiver, uint256 amount);
    error NotMiner(address caller);
    error NotYourTurn(address caller, address owner, uint64 slot);
    error EpochNotClosed(uint64 epoch, uint64 current);
    error EpochNotOver(uint64 epoch, uint64 current);
    error NotOpenEpoch(uint64 epoch, uint64 open);
    error AlreadyPosted(uint64 epoch, address miner);
    error BitmapOutOfRange(uint128 bitmapH, uint128 bitmapAny, uint64 slotsPerEpoch);
    error PostsMissing(uint64 epoch, uint256 posted, uint256 miners, uint64 closableAtSlot);
    error EpochNotIdle(uint64 epoch);
    error RebatesDue(uint64 epoch, uint32 cursor, uint32 length);
    error NoRebateDue(uint64 epoch);
    error CreditHeld(address miner, uint64 epoch);
    error CreditSpent(address miner, uint64 epoch);

    /// @notice Add the sent value to an account's escrow. Anyone may pay for anyone.
    function deposit(address account) external payable;

    /// @notice Take back escrow, also while paused and after removal. Sealed items are already paid from it.
    function withdraw(uint128 amount) external;

    /// @notice State a miner's backlog: bit i = slot eK + i had H pending / anything pending.
    /// @dev After the epoch's last slot and before it is closed, once. H pending implies anything pending.
    function post(uint64 epoch, uint128 bitmapH, uint128 bitmapAny) external;

    /// @notice Close the open epoch when every miner posted or postSlots have passed; or, when it is idle, all
    /// idle epochs through `epoch` in one bounded call. Anyone may call; sealing in the next epoch starts with it.
    /// @dev Needs the rebates of the epoch before to be complete.
    function close(uint64 epoch) external;

    /// @notice Pay the next `limit` enrolments their rebate of the epoch closed last. Anyone may call.
    function payRebates(uint64 epoch, uint32 limit) external;

    /// @notice Move a miner's credits of audited epochs into its escrow. Anyone may call.
    function collect(address miner, uint64[] calldata epochs) external;

    /// @notice Consortium: set an account's namespace and roles; enrols it when it is its namespace's first submitter.
    function setAccount(address account, uint64 namespaceId, uint16 roles) external;

    /// @notice Consortium, once: name the storage market.
    function connect(address storageMarket_) external;

    /// @notice Storage market: its roster changed; taken at the next close, at once before the first seal.
    function rosterChanged() external;

    /// @notice Storage market: take a miner's credits of one epoch for the carry.
    function forfeit(address miner, uint64 epoch) external returns (uint256 amount);

    /// @notice Storage market: add the sent value to the carry, shared with the next rebates.
    function addToCarry() external payable;

    function consortium() external view returns (address);
    function storageMarket() external view returns (address);
    function start() external view returns (uint64);
    function params() external view returns (FeeParams memory);
    function account(address account_) external view returns (Account memory);

    /// @notice The slot of this block.
    function currentSlot() external view returns (uint64);
    function openEpoch() external view returns (OpenEpoch memory);
    function menu() external view returns (Menu memory);

    /// @notice The smoothed externality per class, wei per byte.
    function tau() external view returns (uint64 tauH, uint64 tauL);

    /// @notice Bytes that may still begin to be sealed in this slot; an item may take it below zero.
    function budget() external view returns (int256);

    /// @notice The miners of the open epoch and their prices, in turn order.
    function roster() external view returns (address[] memory miners, uint64[] memory prices);

    /// @notice A miner's place in a roster, from 1, zero when it is not in it, and its price per byte there.
    function placeOf(uint32 rosterId, address miner) external view returns (uint256 place, uint64 price);
    function rosterSize(uint32 rosterId) external view returns (uint256);

    /// @notice The miner whose turn a slot is, zero without miners; `exclusive` while nobody else may seal.
    function turnOf(uint64 slot) external view returns (address miner, bool exclusive);

    /// @notice What was sealed in a slot of the open epoch or the one before; zero for others.
    function header(uint64 slot) external view returns (uint64 bytesH, uint64 bytesL);
    function epochTotals(uint64 epoch) external view returns (EpochTotals memory);
    function hasPosted(uint64 epoch, address miner) external view returns (bool);

    /// @notice What a miner earned in an epoch and has neither collected nor forfeited.
    function creditOf(address miner, uint64 epoch) external view returns (uint256);
    function enrolmentCount() external view returns (uint32);

    /// @notice An enrolment by index, from 1.
    function enrolment(uint32 index) external view returns (Enrolment memory);

    /// @notice Tax that an enrolment paid in an epoch, kept for two epochs.
    function taxOf(uint32 index, uint64 epoch) external view returns (uint256);
    function rebate() external view returns (Rebate memory);

    /// @notice Undistributed taxes: the carry, the open epoch's, and the unpaid part of the last one's.
    function pool() external view returns (uint256);
    function carry() external view returns (uint256);
}
