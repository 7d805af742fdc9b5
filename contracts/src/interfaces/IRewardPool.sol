// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Federated-learning tasks: a sponsor's escrow, what devices agreed to, and what each round pays.
/// @notice A task is opened with all the money it can ever pay. Devices bid (commit, then reveal) or choose an item
/// of a menu, or just contribute under a posted rate. A round is begun by committing to its evaluation set and
/// settled by the Merkle root of its payouts; after a window in which it can be challenged, anyone may claim for the
/// accounts named in its leaves. What is left at the deadline goes back to the sponsor.
/// @dev Leaf = keccak256(bytes.concat(keccak256(abi.encode(chainid, pool, taskId, round, account, amount,
/// keccak256(detail))))); a node hashes its two children in order of value; an odd node is promoted; no leaf at all
/// is the zero root. `detail` = abi.encode(rate, thetaPpm) | (claim, payment, value, channels) | (type, item).
/// The contract checks what one leaf can show: its payment rule, the round's total, its channels. That a winner set
/// is optimal, an accuracy the validators' median, or no contribution missing, only a recomputation shows: whoever
/// finds otherwise challenges, and the council decides. Without a decision by the deadline the round is void.
/// A pause stops openTask, bids, choices, beginRound and settle; never challenge, decide, claim, refund, withdraw.
interface IRewardPool {
    enum Mechanism {
        Stackelberg,
        Auction,
        Contract
    }

    enum RoundState {
        None,
        Begun,
        Settled,
        Frozen
    }

    /// @dev Why a leaf breaks its payment rule.
    enum Fault {
        None,
        DetailLength,
        WrongRate,
        AccuracyOutOfRange,
        WrongAmount,
        BelowClaim,
        AboveValue,
        NoChannels,
        BidNotRevealed,
        NotTheChoice
    }

    /// @dev One claim reads only the first slot: mechanism, capacity and unit lie together.
    /// @param parameters SHA-256 of the task's parameter document in the store.
    /// @param aggregator Who begins and settles rounds; has the aggregator role.
    /// @param seats The most payouts of one round.
    /// @param capacity Channels of one round; auction only, else 0.
    /// @param unit The most one payout can be: the posted rate, the largest value of a bid, or the menu's last reward.
    /// @param bond What a settler puts up for a root, and a challenger against it.
    /// @param bidsUntil Last second to commit a bid or to choose an item.
    /// @param revealsUntil Last second to reveal a bid.
    /// @param deadline Afterwards what was not paid goes back.
    /// @param window Seconds in which a settled round can be challenged.
    struct Terms {
        Mechanism mechanism;
        uint32 rounds;
        uint32 seats;
        uint32 capacity;
        uint128 unit;
        uint32 window;
        uint48 bidsUntil;
        uint48 revealsUntil;
        uint48 deadline;
        address aggregator;
        uint128 bond;
        bytes32 parameters;
    }

    struct Bid {
        uint128 claim;
        uint128 value;
        uint32 channels;
    }

    struct Leaf {
        address account;
        uint256 amount;
        bytes detail;
        bytes32[] proof;
    }

    /// @dev purse: what the round may still pay. claimableAt: end of the challenge window. channels: claimed so far.
    struct Round {
        bytes32 root;
        uint128 purse;
        uint48 claimableAt;
        uint32 channels;
        RoundState state;
        bool bonded;
        address challenger;
        uint48 begunAt;
    }

    event TaskOpened(
        uint64 indexed taskId, address indexed sponsor, bytes32 indexed modelId, Terms terms, uint128 escrow
    );
    event MenuPublished(uint64 indexed taskId, uint128[] rewards, uint128[] costs);
    event BidCommitted(uint64 indexed taskId, address indexed device, bytes32 commitment);
    event BidRevealed(uint64 indexed taskId, address indexed device, Bid[] bids);
    event ItemChosen(uint64 indexed taskId, address indexed device, uint8 kind, uint8 item);
    event RoundBegun(uint64 indexed taskId, uint32 indexed round, address indexed by, bytes32 evaluation);
    event RoundSettled(
        uint64 indexed taskId,
        uint32 indexed round,
        address indexed settler,
        bytes32 root,
        uint128 total,
        uint32 leaves,
        bytes payouts,
        uint48 claimableAt
    );
    event RoundChallenged(
        uint64 indexed taskId, uint32 indexed round, address indexed challenger, address account, string reason
    );
    event RoundSlashed(
        uint64 indexed taskId, uint32 indexed round, address indexed challenger, address account, Fault fault
    );
    event ChallengeDecided(uint64 indexed taskId, uint32 indexed round, bool upheld, string reason);
    event PayoutClaimed(uint64 indexed taskId, uint32 indexed round, address indexed account, uint256 amount);
    event EscrowRefunded(uint64 indexed taskId, address indexed sponsor, uint256 amount);
    event BondPaid(uint64 indexed taskId, uint32 indexed round, address indexed account, uint256 amount);

    error PoolPaused();
    error OnlyConsortium(address caller);
    error RoleRequired(address account, uint16 role);
    error NotMember(address account);
    error UnknownTask(uint64 taskId);
    error InvalidTerms(string field, uint256 value);
    error EscrowTooSmall(uint256 given, uint256 needed);
    error WrongMechanism(uint64 taskId, Mechanism mechanism);
    error MenuSizeOutOfRange(uint256 types, uint256 costs, uint256 limit);
    /// @dev Type `kind` loses by taking its own item.
    error MenuNotRational(uint256 kind, uint256 reward, uint256 cost);
    /// @dev Type `kind` prefers another's item.
    error MenuNotCompatible(uint256 kind, uint256 item);
    error BidsClosed(uint64 taskId, uint48 until);
    error BidsOpen(uint64 taskId, uint48 until);
    error AlreadyCommitted(uint64 taskId, address device);
    error AlreadyChosen(uint64 taskId, address device);
    error RevealMismatch(uint64 taskId, address device, bytes32 commitment);
    error BidOutOfRange(uint256 index, uint128 claim, uint128 value, uint32 channels);
    error TooManyBids(uint256 bids, uint256 limit);
    error UnknownItem(uint64 taskId, uint8 kind, uint8 item);
    error NotTaskAggregator(address caller, address aggregator);
    error RoundOutOfRange(uint32 round, uint32 rounds);
    error WrongRoundState(uint64 taskId, uint32 round, RoundState state);
    error SettlementTooLate(uint64 taskId, uint256 last);
    error TotalTooLarge(uint256 total, uint256 limit);
    error TooManyLeaves(uint256 leaves, uint256 seats);
    error WrongBond(uint256 given, uint256 needed);
    error WindowOpen(uint64 taskId, uint32 round, uint48 until);
    error WindowClosed(uint64 taskId, uint32 round, uint48 until);
    error NotUnderRoot(uint64 taskId, uint32 round, address account);
    error PaymentRuleBroken(address account, uint256 amount, Fault fault);
    error AlreadyClaimed(uint64 taskId, uint32 round, address account);
    error RoundOverdrawn(uint64 taskId, uint32 round, uint256 amount, uint256 left);
    error CapacityExceeded(uint64 taskId, uint32 round, uint256 channels, uint32 capacity);
    error DeadlineNotReached(uint64 taskId, uint48 deadline);
    error DeadlinePassed(uint64 taskId, uint48 deadline);
    error ReasonRequired();

    // ------------------------------------------------------------------ before the rounds

    /// @notice Open a task; the value sent is its escrow and must cover unit × payouts × rounds, where an auction has
    /// at most `capacity` payouts a round. Tasks are numbered from 1.
    /// @param rewards The menu's rewards, ascending by type; only for a contract, with `unit` the last of them.
    /// @param costs Its costs, type by type: costs[i × types + j] is what item j costs type i. Individual rationality
    /// and incentive compatibility are checked here, on these integers.
    function openTask(bytes32 modelId, Terms calldata terms, uint128[] calldata rewards, uint128[] calldata costs)
        external
        payable
        returns (uint64 taskId);

    /// @notice Commit to a bid: keccak256(abi.encode(chainid, pool, taskId, device, bids, salt)). Once per device.
    function commitBid(uint64 taskId, bytes32 commitment) external;

    /// @notice Reveal the bids committed to, at most 8, at most one of which can win.
    function revealBid(uint64 taskId, Bid[] calldata bids, bytes32 salt) external;

    /// @notice Choose an item of the menu as a device of this type. Once per device.
    function choose(uint64 taskId, uint8 kind, uint8 item) external;

    // ------------------------------------------------------------------ rounds

    /// @notice Commit to the evaluation set of a round before anything is trained in it. Rounds count from 0.
    /// @param evaluation SHA-256 of the evaluation set.
    function beginRound(uint64 taskId, uint32 round, bytes32 evaluation) external;

    /// @notice Settle a round by the root of its payouts; the value sent is the bond.
    /// @param payouts The raw CID of the payout file that holds every leaf and the signed integers behind it.
    function settle(
        uint64 taskId,
        uint32 round,
        bytes32 root,
        uint128 total,
        uint32 leaves,
        bytes calldata payouts
    ) external payable;

    /// @notice Challenge a settled round, with a bond. A leaf under the root that breaks its payment rule slashes the
    /// settler at once: half of its bond to the challenger, half to the sponsor, the round to be settled again.
    /// Anything else (wrong optimum, wrong average, missing leaf: `proof` empty) freezes the round for the council.
    /// @dev Any member. The settler cannot win its bond back by challenging itself: half of it is gone.
    function challenge(uint64 taskId, uint32 round, Leaf calldata leaf, string calldata reason) external payable;

    /// @notice Council: uphold a challenge (slash, settle again) or reject it (its bond goes to the settler).
    function decide(uint64 taskId, uint32 round, bool upheld, string calldata reason) external;

    // ------------------------------------------------------------------ money out

    /// @notice Pay these leaves to their accounts; anyone may send it. All or nothing.
    function claim(uint64 taskId, uint32 round, Leaf[] calldata leaves) external;

    /// @notice Give an unchallenged settler its bond back, after the window.
    function releaseBond(uint64 taskId, uint32 round) external;

    /// @notice After the deadline: what the task and these rounds still hold goes to the sponsor, bonds to their owners.
    /// @dev Callable again for further rounds. A frozen round is void: its bonds and its purse go back.
    function refund(uint64 taskId, uint32[] calldata rounds) external;

    // ------------------------------------------------------------------ views

    function taskCount() external view returns (uint64);

    /// @notice A task as it was opened; `free` is what it holds outside its settled rounds.
    function task(uint64 taskId)
        external
        view
        returns (address sponsor, bytes32 modelId, Terms memory terms, uint128 free);

    function roundOf(uint64 taskId, uint32 round) external view returns (Round memory);

    function rewardsOf(uint64 taskId) external view returns (uint128[] memory);

    function isClaimed(uint64 taskId, uint32 round, address account) external view returns (bool);

    function commitmentOf(uint64 taskId, address device) external view returns (bytes32);

    /// @notice What a device chose; `chosen` is false when it chose nothing.
    function choiceOf(uint64 taskId, address device) external view returns (bool chosen, uint8 kind, uint8 item);

    /// @notice What a leaf would be refused for, as the contract judges it.
    function faultOf(uint64 taskId, address account, uint256 amount, bytes calldata detail)
        external
        view
        returns (Fault);
}
