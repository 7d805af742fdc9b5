"""Tasks as a gateway serves them: relays what members sign, keeps what devices and validators signed.

The contract is the authority on money; the checks here spare callers a transaction or a signature that could
not count, and keep the documents that a payout rests on from being collected.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from registry.chain.encoding import decode_call
from registry.chain.gateway import Contracts
from registry.chain.rewards import RewardReads, RoundState, TaskTerms
from registry.core.canonical import strict_json
from registry.core.cid import RAW, Cid
from registry.core.ids import Address, Role, hex32, parse_hex32
from registry.core.measurement import Measurement, measurement_digest
from registry.core.sealed_update import Handover, handover_digest
from registry.core.signing import recover
from registry.core.transaction import read_transaction
from registry.core.version import Contribution, contribution_digest
from registry.errors import Conflict, Expired, Malformed, NotAuthorized, NotFound, VerificationFailed
from registry.index.tasks import TaskIndex
from registry.pool.contributions import Contributions, Held
from registry.service.content import Content
from registry.service.relay import Relay
from registry.storage.base import Pin
from registry.wire import Body, PromiseBody, parse_body
from registry.wire_payouts import PayoutFile
from registry.wire_rewards import EntryBody, ParametersBody, StatementBody, TakenBody, measurement_body
from registry.wire_rewards import contribution_body as body_of
from registry.wire_updates import SignedHandover, handover_body

_POOL = ("RewardPool",)
MAX_DOCUMENT = 64 << 20
Shape = TypeVar("Shape", bound=Body)
# Logs that a contribution came from a network address, and promises it.
Promised = Callable[[Contribution, str], PromiseBody]


class Tasks:
    """Takes part in tasks on behalf of those who signed."""

    def __init__(
        self,
        contracts: Contracts,
        index: TaskIndex,
        contributions: Contributions,
        content: Content,
        relay: Relay,
        promised: Promised,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._contracts = contracts
        self._reads = RewardReads(contracts)
        self._index = index
        self._contributions = contributions
        self._content = content
        self._relay = relay
        self._promised = promised
        self._clock = clock
        self._taking = threading.Lock()

    def send(self, raw: bytes) -> bytes:
        """Relay a signed transaction to RewardPool, once the documents it names are held here and pinned."""
        transaction, _sender = read_transaction(raw)
        if transaction.to == self._contracts.address("RewardPool"):
            self._keep_documents(transaction.payload)
        return self._relay.send(raw, to=_POOL)

    def contribute(self, given: Contribution, signature: bytes, network: str) -> TakenBody:
        """Take a contribution signed by its device, or the aggregator's countersignature of it."""
        aggregator = self._reads.task(given.task).terms.aggregator
        by = recover(contribution_digest(self._contracts.domain, given), signature)
        if by not in (given.device, aggregator):
            raise NotAuthorized(
                f"the contribution of {given.device} is signed by {by}, neither its device nor the "
                f"aggregator {aggregator}"
            )
        if by == given.device:
            self._check_contribution(given)
            self._take(given, signature, network)
        if by == aggregator:
            self._contributions.countersign(given, signature)
        entry = self.entry(given.task, given.round, given.device)
        return TakenBody(**dict(entry), promise=self._contributions.promise(given))

    def measure(self, given: Measurement, signature: bytes) -> EntryBody:
        """Take a validator's measurement of an update of a round that is not settled."""
        by = recover(measurement_digest(self._contracts.domain, given), signature)
        if by not in self.parameters(given.task).voices:
            raise NotAuthorized(f"{by} is not one of the validators of task {given.task}")
        if given.evaluation != self._begun(given.task, given.round)[0]:
            raise VerificationFailed(
                f"round {given.round} was not begun with the evaluation set {hex32(given.evaluation)}"
            )
        held = self.entry(given.task, given.round, given.device)
        if held.contribution.update_sha256 != hex32(given.update_sha256):
            raise Conflict(f"{given.device} contributed {held.contribution.update_sha256}, another update")
        self._contributions.measure(given, by, signature)
        return self.entry(given.task, given.round, given.device)

    def hand_over(self, given: Handover, signature: bytes) -> SignedHandover:
        """Take where a device's encrypted update lies, and keep it until the task is over."""
        by = recover(handover_digest(self._contracts.domain, given), signature)
        if by != given.device:
            raise NotAuthorized(f"the update of {given.device} is handed over by {by}")
        held = self.entry(given.task, given.round, given.device)
        if held.contribution.update_sha256 != hex32(given.update_sha256):
            raise Conflict(f"{given.device} contributed {held.contribution.update_sha256}, another update")
        self._begun(given.task, given.round)
        self._content.stat(given.sealed)
        self._content.named([Pin(given.sealed, _owner(given))])
        self._contributions.hand_over(given, signature)
        return SignedHandover(handover=handover_body(given), signature="0x" + signature.hex())

    def handed(self, task: int, round_: int) -> list[SignedHandover]:
        """The encrypted updates of a round, by device."""
        return [
            SignedHandover(handover=handover_body(given), signature="0x" + signature.hex())
            for given, signature in self._contributions.handed(task, round_)
        ]

    def entries(self, task: int, round_: int) -> list[EntryBody]:
        """Everything signed about a round, by device."""
        return [entry_body(held) for held in self._contributions.listed(task, round_)]

    def entry(self, task: int, round_: int, device: Address) -> EntryBody:
        """Everything signed about one device's update; NotFound when it did not contribute."""
        for held in self._contributions.listed(task, round_):
            if held.contribution.device == device:
                return entry_body(held)
        raise NotFound(f"{device} did not contribute to round {round_} of task {task}")

    def parameters(self, task: int) -> ParametersBody:
        """The task's parameter document."""
        return self._document(ParametersBody, raw_cid(self._reads.task(task).terms.parameters))

    def payout_file(self, cid: str) -> PayoutFile:
        """A payout file that is held here."""
        return self._document(PayoutFile, Cid.parse(cid))

    def _take(self, given: Contribution, signature: bytes, network: str) -> None:
        """Log that it is taken, and keep it with the promise of that."""
        with self._taking:
            if not self._contributions.holds(given):
                self._contributions.add(given, signature, self._promised(given, network))

    def _check_contribution(self, given: Contribution) -> None:
        if Role.DEVICE not in self._contracts.account(given.device).roles:
            raise NotAuthorized(
                f"{given.device} has not the device role",
                hint=f"the council runs: twinledger member add {given.device} --namespace NS --role device",
            )
        _evaluation, begun_at = self._begun(given.task, given.round)
        now = max(int(self._clock()), self._contracts.link.head().time)
        if not begun_at <= given.issued_at <= now + 60:
            raise Expired(
                f"the contribution is of {given.issued_at}, the round began at {begun_at}; it is {now}"
            )

    def _begun(self, task: int, round_: int) -> tuple[bytes, int]:
        """The evaluation set's digest of a round that is open for work, and when it began."""
        state = self._reads.round(task, round_).state
        if state == RoundState.NONE:
            raise Conflict(f"round {round_} of task {task} has not begun")
        if state != RoundState.BEGUN:
            raise Expired(f"round {round_} of task {task} is settled")
        for event in self._index.events(task, ("RoundBegun",)):
            if event.round == round_:
                return parse_hex32(event.args["evaluation"]), event.time
        raise Conflict(f"the beginning of round {round_} of task {task} is not read yet", hint="try again")

    def _keep_documents(self, payload: bytes) -> None:
        function, args = decode_call("RewardPool", payload)
        if function == "openTask":
            cid = raw_cid(TaskTerms(*args[1]).parameters)
            self._document(ParametersBody, cid)
            self._content.named([Pin(cid, f"task-parameters:{cid}")])
        elif function == "settle":
            cid = Cid.of_raw(args[5])
            stated = self._document(PayoutFile, cid)
            if (stated.task, stated.round, stated.root) != (args[0], args[1], hex32(args[2])):
                raise VerificationFailed(
                    f"the payout file is of round {stated.round} of task {stated.task}, root {stated.root}"
                )
            self._content.named([Pin(cid, f"payouts:{cid}")])
        elif function == "offer" and self._content.store.has(cid := raw_cid(args[0])):
            # A job with a published rule: whoever offers must find it as long as there are offers.
            self._content.named([Pin(cid, f"job:{cid}")])
        elif function == "refund" and self._reads.task(args[0]).terms.deadline < self._clock():
            # Nothing can be challenged any more: no update is kept longer than it is needed.
            for given, _ in self._contributions.handed(args[0]):
                self._content.store.unpin(given.sealed, _owner(given))

    def _document(self, shape: type[Shape], cid: Cid) -> Shape:
        link = self._content.stat(cid)
        if link.size > MAX_DOCUMENT:
            raise Malformed(f"{cid} has {link.size} bytes, a document has at most {MAX_DOCUMENT}")
        return parse_body(shape, strict_json(b"".join(self._content.get(cid))))


def _owner(given: Handover) -> str:
    return f"update:{given.task}:{given.round}:{given.device}"


def raw_cid(sha256: bytes) -> Cid:
    """The CID of a document of one block."""
    return Cid(RAW, sha256)


def entry_body(held: Held) -> EntryBody:
    """A kept contribution as the wire writes it."""
    countersigned = held.aggregator_signature
    return EntryBody(
        contribution=body_of(held.contribution),
        device_signature="0x" + held.device_signature.hex(),
        aggregator_signature=None if countersigned is None else "0x" + countersigned.hex(),
        measurements=[
            StatementBody(
                measurement=measurement_body(s.measurement),
                validator=s.validator,
                signature="0x" + s.signature.hex(),
            )
            for s in held.statements
        ],
    )
