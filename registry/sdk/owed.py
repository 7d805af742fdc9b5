"""What am I owed, why, and is it true: checked from one document, without any network.

    settled round on chain --receipt proof--> root --Merkle proof--> leaf (amount, detail)
    opened task on chain   --receipt proof--> terms, digest of the parameters
    signed integers        --the rule-------> the same detail

Whether the two blocks are on the chain is a question for trust.json; everything else is decided here.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incentives.contributions import Stated, Update, screen
from incentives.payouts import Payout, Scope, verify_payout
from incentives.settlement import Mechanism
from incentives.stackelberg import pay
from registry.chain.base import Log
from registry.chain.events import decode_log
from registry.chain.rewards import TaskTerms
from registry.core.ids import hex32, parse_hex32, sha256, to_address
from registry.core.measurement import measurement_digest
from registry.core.receipt_proof import verify_receipt_proof
from registry.core.signing import recover
from registry.core.version import Domain, contribution_digest
from registry.errors import VerificationFailed
from registry.wire import parse_body
from registry.wire_rewards import entry_of
from registry.wire_tasks import EventProof, OwedBody


@dataclass(frozen=True, slots=True)
class Verified:
    """What a document proves: the amount in wei, and one sentence for each thing it rests on."""

    amount: int
    reasons: tuple[str, ...]


def load_owed(path: str | Path) -> list[OwedBody]:
    """Documents that `save_owed` wrote."""
    return [parse_body(OwedBody, item) for item in json.loads(Path(path).read_text())["items"]]


def save_owed(items: list[OwedBody], path: str | Path) -> None:
    """Write the documents of one question."""
    rows = [item.model_dump(mode="json", by_alias=True) for item in items]
    Path(path).write_text(json.dumps({"items": rows}, indent=1) + "\n")


def verify_owed(owed: OwedBody) -> Verified:
    """Return what the document proves, or VerificationFailed naming what does not follow."""
    terms = TaskTerms(*_event(owed, owed.opened, "TaskOpened")["terms"])
    settled = _event(owed, owed.settled, "RoundSettled")
    if (settled["round"], hex32(settled["root"])) != (owed.round, owed.root):
        raise VerificationFailed(
            f"the block settles round {settled['round']} and not by the root {owed.root}"
        )
    if sha256(owed.parameters.encode()) != terms.parameters:
        raise VerificationFailed(f"the parameters do not hash to the task's {hex32(terms.parameters)}")
    reasons = [
        f"task {owed.task} was opened in block {owed.opened.block.number} by these terms and parameters",
        f"round {owed.round} was settled in block {owed.settled.block.number} by the root {owed.root}",
    ]
    if owed.entry is not None:
        reasons.append(_work(owed, terms))
    if owed.leaf is None:
        excluded = "no leaf" if owed.screened is None else str(owed.screened.excluded)
        return Verified(0, (*reasons, f"nothing is due: {excluded}"))
    payout = owed.leaf.payout
    if payout.account != to_address(owed.account):
        raise VerificationFailed(f"the leaf is of {payout.account}, not of {owed.account}")
    scope = Scope(owed.chain_id, to_address(owed.pool), owed.task, owed.round)
    verify_payout(parse_hex32(owed.root), scope, payout, [parse_hex32(node) for node in owed.proof])
    reasons.append(f"the leaf of {payout.amount} wei lies under that root")
    return Verified(payout.amount, (*reasons, _rule(payout, terms, owed)))


def _work(owed: OwedBody, terms: TaskTerms) -> str:
    """Both signatures of the contribution and every measurement are those of whom they name."""
    assert owed.entry is not None
    entry, domain = entry_of(owed.entry), Domain(owed.chain_id, to_address(owed.registry))
    given = entry.contribution
    if (given.task, given.round, given.device) != (owed.task, owed.round, to_address(owed.account)):
        raise VerificationFailed("the contribution is of another device, task or round")
    digest = contribution_digest(domain, given)
    signers = (recover(digest, entry.device_signature), recover(digest, entry.aggregator_signature))
    if signers != (given.device, terms.aggregator):
        raise VerificationFailed(f"the contribution is signed by {signers[0]} and {signers[1]}")
    for signed in entry.measurements:
        by = recover(measurement_digest(domain, signed.measurement), signed.signature)
        if by != signed.validator or hex32(signed.measurement.evaluation) != owed.evaluation:
            raise VerificationFailed(f"a measurement said to be of {signed.validator} is signed by {by}")
    return (
        f"update {owed.entry.contribution.update_sha256} is signed by the device and the aggregator, and "
        f"measured by {len(entry.measurements)} validators"
    )


def _rule(payout: Payout, terms: TaskTerms, owed: OwedBody) -> str:
    """The payment rule of the mechanism, on the detail and the signed integers behind it."""
    detail, amount = payout.detail, payout.amount
    if terms.mechanism == Mechanism.STACKELBERG:
        rate, theta = detail
        if rate != terms.unit or pay(rate, theta) != amount or theta != _accuracy(owed, terms):
            raise VerificationFailed(f"{amount} wei do not follow from rate {terms.unit}, theta {theta} ppm")
        return f"{amount} = floor({rate} x (10^6 - {theta}) / 10^6), theta the validators' lower median"
    if terms.mechanism == Mechanism.AUCTION:
        claim, payment, value, channels = detail
        if payment != amount or not claim <= payment <= value:
            raise VerificationFailed(f"{amount} wei are not between the bid {claim} and the value {value}")
        return f"{amount} wei for {channels} channels: at least the bid of {claim}, at most the value {value}"
    kind, item = detail
    return f"{amount} wei is the reward of item {item}, chosen as type {kind}"


def _accuracy(owed: OwedBody, terms: TaskTerms) -> int:
    if owed.entry is None:
        raise VerificationFailed("the payment rests on a contribution that is not in the document")
    entry = entry_of(owed.entry)
    given = entry.contribution
    stated = tuple(
        Stated(s.validator, m.loss_before, m.loss_after, m.norm, m.sketch)
        for s in entry.measurements
        for m in (s.measurement,)
    )
    update = Update(given.device, given.update_sha256, given.issued_at, stated)
    rules, voices = owed.parameters.rules, owed.parameters.voices
    return screen([update], rules, voices, terms.aggregator)[0].theta


def _event(owed: OwedBody, place: EventProof, name: str) -> Any:
    """The arguments of a proven event of the pool about this task."""
    proof = place.receipt_proof
    if proof is None:
        raise VerificationFailed(f"this chain gave no proof of {name}: ask a gateway whose chain does")
    logs = verify_receipt_proof(
        bytes.fromhex(proof.header[2:]),
        proof.tx_index,
        [bytes.fromhex(node[2:]) for node in proof.nodes],
        parse_hex32(place.block.hash),
    )
    if not 0 <= place.event_index < len(logs):
        raise VerificationFailed(f"the transaction has {len(logs)} events, none at {place.event_index}")
    found = logs[place.event_index]
    if found.address != to_address(owed.pool):
        raise VerificationFailed(f"the event is of {found.address}, not of the pool {owed.pool}")
    log = Log(
        address=found.address,
        topics=tuple(found.topics),
        data=found.data,
        block_number=place.block.number,
        block_hash=parse_hex32(place.block.hash),
        tx_hash=parse_hex32(place.tx_hash),
        tx_index=proof.tx_index,
        index=place.event_index,
    )
    event = decode_log("RewardPool", log)
    if event.name != name or event.args["taskId"] != owed.task:
        raise VerificationFailed(f"the event is {event.name}, not {name} of task {owed.task}")
    return event.args
