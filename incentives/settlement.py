"""A round's payouts as a function of signed integers: what the aggregator settles and anyone recomputes.

    contributions signed twice, measurements, reputations --> who counts (contributions.screen)
    + revealed bids | choices | the posted rate           --> what each is paid (payouts)

Nothing else enters: the same record gives the same root on every machine, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from incentives.auction import Bid, vcg
from incentives.contributions import Exclusion, Rules, Screened, Stated, Update, screen
from incentives.payouts import Payout, PayoutTable, Scope, auction_payouts, stackelberg_payouts
from incentives.reputation import PPM, reputation_ppm
from registry.core.ids import Address, address_bytes, hex32
from registry.core.measurement import Measurement, measurement_digest
from registry.core.signing import recover
from registry.core.version import Contribution, Domain, contribution_digest
from registry.errors import Malformed, VerificationFailed

# Subjective logic's non-informative prior weight: u = W / (W + evidence).
_PRIOR_WEIGHT = 2


class Mechanism(IntEnum):
    """The mechanisms as the contract numbers them."""

    STACKELBERG = 0
    AUCTION = 1
    CONTRACT = 2


@dataclass(frozen=True, slots=True)
class Gate:
    """The reputation a device needs, and what it is worth before any evidence; all in ppm."""

    threshold: int = 0
    prior: int = 500_000
    weights: tuple[int, int] = (4, 6)

    def __post_init__(self) -> None:
        if not (0 <= self.threshold <= PPM and 0 <= self.prior <= PPM) or min(self.weights) < 1:
            raise Malformed(
                f"a gate of {self.threshold} and a prior of {self.prior} ppm are not within 0 and 1"
            )

    def reputation(self, positive: int, negative: int) -> int:
        """Belief and prior by the evidence at hand, floored to ppm."""
        uncertainty = PPM * _PRIOR_WEIGHT // (_PRIOR_WEIGHT + positive + negative)
        return reputation_ppm(
            positive, negative, u_ppm=uncertainty, prior_ppm=self.prior, weights=self.weights
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was fixed before the round: terms of the chain, thresholds of the parameters, bids and choices."""

    mechanism: Mechanism
    unit: int
    seats: int
    capacity: int
    aggregator: Address
    validators: tuple[Address, ...]
    rules: Rules
    gate: Gate
    rewards: tuple[int, ...] = ()
    bids: tuple[Bid, ...] = ()
    choices: Mapping[Address, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class SignedMeasurement:
    """A validator's statement and its signature."""

    measurement: Measurement
    validator: Address
    signature: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A contribution with both signatures and everything that was measured of it."""

    contribution: Contribution
    device_signature: bytes
    aggregator_signature: bytes
    measurements: tuple[SignedMeasurement, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """All signed integers of one round; `standing` is each device's (good, bad) rounds of earlier tasks."""

    evaluation: bytes
    entries: tuple[Entry, ...]
    standing: Mapping[Address, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Who was paid what, and who was left out for which reason."""

    table: PayoutTable
    screened: tuple[Screened, ...]


def settle(scope: Scope, agreement: Agreement, record: Record) -> Settlement:
    """The payouts that follow from the record."""
    updates = [_update(entry) for entry in record.entries]
    screened = screen(updates, agreement.rules, agreement.validators, agreement.aggregator)
    gated = tuple(_gated(s, agreement.gate, record.standing) for s in screened)
    due = {p.account: p for p in _due(agreement, record, gated)}
    hired = tuple(
        s if s.exclusion or s.device in due else Screened(s.device, s.theta, Exclusion.NOT_HIRED)
        for s in gated
    )
    counted = {s.device for s in hired if s.exclusion is None}
    first = sorted(
        (u for u in updates if u.device in counted), key=lambda u: (u.issued_at, address_bytes(u.device))
    )
    seated = {u.device for u in first[: agreement.seats]}
    final = tuple(
        Screened(s.device, s.theta, Exclusion.NOT_HIRED) if s.device in counted - seated else s for s in hired
    )
    return Settlement(PayoutTable(scope, [p for a, p in due.items() if a in seated]), final)


def verify_record(domain: Domain, scope: Scope, agreement: Agreement, record: Record) -> None:
    """Return when whoever states an integer signed it, for this round; VerificationFailed says which."""
    devices = [entry.contribution.device for entry in record.entries]
    if len(set(devices)) != len(devices):
        raise VerificationFailed("a device contributes twice in one round")
    for entry in record.entries:
        given = entry.contribution
        if (given.task, given.round) != (scope.task, scope.round):
            raise VerificationFailed(f"the contribution of {given.device} is for another round")
        digest = contribution_digest(domain, given)
        _check("the contribution", given.device, digest, entry.device_signature)
        _check("the countersignature", agreement.aggregator, digest, entry.aggregator_signature)
        _verify_measurements(domain, record.evaluation, entry)


def _verify_measurements(domain: Domain, evaluation: bytes, entry: Entry) -> None:
    given = entry.contribution
    voices = [signed.validator for signed in entry.measurements]
    if len(set(voices)) != len(voices):
        raise VerificationFailed(f"a validator measured {given.device} twice")
    for signed in entry.measurements:
        stated = signed.measurement
        place = (stated.task, stated.round, stated.device, stated.update_sha256)
        if place != (given.task, given.round, given.device, given.update_sha256):
            raise VerificationFailed(
                f"{signed.validator} measured something else than {given.device}'s update"
            )
        if stated.evaluation != evaluation:
            raise VerificationFailed(
                f"{signed.validator} measured {given.device} on {hex32(stated.evaluation)}, which the round "
                "was not begun with"
            )
        _check("the measurement", signed.validator, measurement_digest(domain, stated), signed.signature)


def compare(found: Settlement, stated: Sequence[Payout], root: bytes) -> None:
    """Return when the stated leaves are the recomputed ones; VerificationFailed names one that differs."""
    ours = {p.account: p for p in found.table.payouts}
    for place, payout in enumerate(sorted(stated, key=lambda p: address_bytes(p.account))):
        mine = ours.pop(payout.account, None)
        if mine is None:
            raise VerificationFailed(
                f"leaf {place}: {payout.account} is paid {payout.amount} wei and is due nothing: "
                f"{_why(found, payout.account)}"
            )
        if mine != payout:
            raise VerificationFailed(
                f"leaf {place}: {payout.account} is paid {payout.amount} wei by {payout.detail}, and is due "
                f"{mine.amount} wei by {mine.detail}"
            )
    for missed in ours.values():
        raise VerificationFailed(f"{missed.account} is due {missed.amount} wei and has no leaf")
    if found.table.root != root:
        raise VerificationFailed(f"the leaves have the root {hex32(found.table.root)}, not {hex32(root)}")


def _due(agreement: Agreement, record: Record, screened: Sequence[Screened]) -> list[Payout]:
    counted = {s.device: s.theta for s in screened if s.exclusion is None}
    if agreement.mechanism == Mechanism.STACKELBERG:
        return stackelberg_payouts(agreement.unit, counted)
    if agreement.mechanism == Mechanism.CONTRACT:
        choices = agreement.choices or {}
        return [
            Payout(device, agreement.rewards[choices[device][1]], choices[device])
            for device in counted
            if device in choices
        ]
    standing = record.standing
    admitted = [b for b in agreement.bids if _is_admitted(Address(b.user), agreement.gate, standing)]
    paid = auction_payouts(admitted, vcg(admitted, agreement.capacity))
    return [payout for payout in paid if payout.account in counted]


def _gated(screened: Screened, gate: Gate, standing: Mapping[Address, tuple[int, int]]) -> Screened:
    if screened.exclusion or _is_admitted(screened.device, gate, standing):
        return screened
    return Screened(screened.device, screened.theta, Exclusion.REPUTATION)


def _is_admitted(device: Address, gate: Gate, standing: Mapping[Address, tuple[int, int]]) -> bool:
    return gate.reputation(*standing.get(device, (0, 0))) >= gate.threshold


def _update(entry: Entry) -> Update:
    stated = tuple(
        Stated(s.validator, m.loss_before, m.loss_after, m.norm, m.sketch)
        for s in entry.measurements
        for m in (s.measurement,)
    )
    given = entry.contribution
    return Update(given.device, given.update_sha256, given.issued_at, stated)


def _why(found: Settlement, account: Address) -> str:
    for screened in found.screened:
        if screened.device == account:
            return str(screened.exclusion)
    return "it did not contribute"


def _check(what: str, signer: Address, digest: bytes, signature: bytes) -> None:
    by = recover(digest, signature)
    if by != signer:
        raise VerificationFailed(f"{what} of {signer} is signed by {by}")
