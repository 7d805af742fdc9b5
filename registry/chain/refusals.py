"""Which class of errors.py each refusal of the contracts is: the tables that `reverts` reads."""

from collections.abc import Mapping
from types import MappingProxyType

from registry.errors import (
    Conflict,
    Expired,
    FeeTooLow,
    Malformed,
    NotAuthorized,
    NotFound,
    RateLimited,
    RegistryError,
    Rejected,
    TooLarge,
    Unauthenticated,
    VerificationFailed,
)

_ROWS: Mapping[type[RegistryError], str] = {
    NotAuthorized: """
        NotCouncil OnlyCouncil OnlyConsortium OnlyStorageMarket OnlyRegistry NotMember MissingRole NotLogOwner
        NotMiner NotYourTurn NotPeer MinerRoleMissing NotEnrolled NotVersionSubmitter
        NotOfNamespace NotGateway NotOriginOwner RoleRequired NotTaskAggregator
        NotAttestor NotOfferProvider""",
    NotFound: """
        UnknownProposal UnknownVersion NoContract UnknownTask UnknownItem UnknownOffer UnknownService""",
    Conflict: """
        AlreadyApproved AlreadyExecuted NotEnoughApprovals AlreadyConnected NotConnected NamespaceTaken
        AlreadyMember AlreadyPaused NotPaused StorageMarketConnected EpochNotOver NotOpenEpoch AlreadyPosted
        EpochNotIdle EpochNotClosed RebatesDue NoRebateDue CreditHeld CreditSpent BondLocked
        BeaconAlreadyDrawn BeaconMissing EpochRunning AlreadyAttested NotAbsent LeafNotShown PostsMissing
        RegistryPaused SizeNotGrowing NotAudited NotCancellable VersionRevoked StatusNotForward
        PoolPaused WrongMechanism BidsOpen AlreadyCommitted AlreadyChosen WrongRoundState WindowOpen
        AlreadyClaimed RoundOverdrawn CapacityExceeded DeadlineNotReached OfferNotStanding
        NoOfferAccepted ValuesMissing EpochAlreadyAttested EpochNotPassed EpochAlreadyPaid ServiceOver
        ServiceRunning NothingOwed NotPresentKey""",
    Malformed: """
        InvalidCouncil InvalidName InvalidAddress InvalidRoles InvalidKey InvalidParameter InvalidReceiver
        BitmapOutOfRange LengthMismatch InvalidVerdict InvalidAlias ReasonRequired InvalidOrigin
        InvalidTerms MenuSizeOutOfRange MenuNotRational MenuNotCompatible BidOutOfRange RoundOutOfRange
        InvalidAward EpochOutOfRange""",
    TooLarge: """
        DepositTooLarge TooManyMiners PriceTooHigh BatchSizeOutOfRange TooManyBids TotalTooLarge TooManyLeaves
        TooManyOffers WrappedKeyOutOfRange""",
    Expired: "BeaconTooLate AuditOver BidsClosed SettlementTooLate WindowClosed DeadlinePassed",
    FeeTooLow: "InsufficientEscrow BondTooSmall EscrowTooSmall WrongBond PriceAboveLimit",
    VerificationFailed: "InconsistentLog RevealMismatch NotUnderRoot PaymentRuleBroken",
    Rejected: "TransferFailed BondTransferFailed PaymentFailed",
}

CLASS_OF: Mapping[str, type[RegistryError]] = MappingProxyType(
    {name: kind for kind, names in _ROWS.items() for name in names.split()}
)

HINT_OF: Mapping[str, str] = MappingProxyType(
    {
        "NotConnected": "connect the contracts first: `twinledger deploy` does",
        "NotYourTurn": "wait for the turn, `twinledger miner list` shows whose it is",
        "EpochNotClosed": "run `twinledger miner run`: a running miner closes epochs",
        "PostsMissing": "wait until every miner has posted or the posting slots have passed",
        "RebatesDue": "run `twinledger miner run`: a running miner pays the rebates",
        "NotEnoughApprovals": "ask more of the council to run `twinledger council approve`",
        "RegistryPaused": "ask the council; withdraw, claim, refund and cancel still work",
        "ReasonRequired": "say why with --reason",
        "NotMember": "ask the council to run `twinledger member add`",
        "RoleRequired": "ask the council to run `twinledger member add` with the role it names",
        "UnknownProposal": "run `twinledger council list`",
        "WindowClosed": "run `twinledger task show` to see the windows of the task",
        "BidsClosed": "run `twinledger task list` to see what is open",
        "UnknownTask": "run `twinledger task list`",
        "UnknownOffer": "run `twinledger service list`",
        "UnknownService": "run `twinledger service list`",
        "NotPresentKey": "grant again: the reader has registered another key, or none yet",
        "WindowOpen": "wait for the end of the challenge window, `twinledger task show` says when it is",
        "PoolPaused": "ask the council; claim, refund and challenge still work",
    }
)

# TwinRegistry's `Why`: what became of one item of a batch, by its number.
WHY: Mapping[int, tuple[str, type[RegistryError]]] = MappingProxyType(
    {
        1: ("the version is already sealed", Conflict),
        2: ("the version was cancelled later than this submission was issued", Conflict),
        3: ("the submission is issued in the future", Expired),
        4: ("the deadline has passed", Expired),
        5: ("the deadline is more than a day after the time of issue, or before it", Malformed),
        6: ("the signature is not the submitter's", Unauthenticated),
        7: ("the submitter lacks the submitter role", NotAuthorized),
        8: ("the namespace is not the submitter's", NotAuthorized),
        9: ("there are more than 8 parents", Malformed),
        10: ("a parent is not on chain, or cancelled", NotFound),
        11: ("a parent is revoked", Conflict),
        12: ("the fee class is neither 0 (standard) nor 1 (priority)", Malformed),
        13: ("the maximum price is below the menu", FeeTooLow),
        14: ("the escrow does not cover the price", FeeTooLow),
        15: ("the size is zero or over the limit of one item", TooLarge),
        16: ("the capacity of this slot is used up", RateLimited),
    }
)


def rejection(why: int) -> RegistryError:
    """The error that an item's `Rejected(…, why)` event stands for."""
    if why not in WHY:
        return VerificationFailed(f"the registry rejected an item for reason {why}, which no ABI knows")
    sentence, kind = WHY[why]
    return kind(sentence, why=why)
