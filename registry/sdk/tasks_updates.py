"""Updates between devices, the aggregator and the validators; and a challenged round, opened and judged.

Updates are committed by digest. A device encrypts its own to the X25519 keys that the chain has of the task's
aggregator and validators, and hands it over through the gateway's store: the gateway holds bytes that it
cannot read. Only in a challenge are keys disclosed, to whoever has to judge.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from incentives.averaging import average
from incentives.payouts import Scope
from incentives.reopening import dropped, misaveraged, misjudged, misstated, reopen
from incentives.settlement import Settlement, verify_record
from registry.core.canonical import strict_json
from registry.core.cid import Cid
from registry.core.ids import Address, hex32, parse_hex32, to_address
from registry.core.sealed_update import (
    Handover,
    Reader,
    SealedUpdate,
    handover_digest,
    read_sealed,
    seal_update,
)
from registry.core.signing import recover
from registry.core.version import Contribution, contribution_digest
from registry.errors import Conflict, Malformed, NotAuthorized, NotFound, RegistryError, VerificationFailed
from registry.sdk.tasks_rounds import RoundWork
from registry.sdk.updates import values_of
from registry.wire import parse_body, signature_of
from registry.wire_members import MemberBody
from registry.wire_payouts import PayoutFile
from registry.wire_rewards import EntryBody, contribution_of
from registry.wire_tasks import agreement_of
from registry.wire_updates import OpeningBody, OpeningsBody, SignedHandover, handover_body, handover_of


@dataclass(frozen=True, slots=True)
class Judged:
    """What the opened updates of a challenged round show."""

    settlement: Settlement
    opened: tuple[Address, ...]
    findings: tuple[str, ...]


class UpdateWork(RoundWork):
    """What becomes of the updates themselves."""

    def hand_over(self, task: int, round: int, update: bytes) -> SignedHandover:
        """Device: encrypt one's contributed update to the aggregator and the validators, and hand it over."""
        own = self._session.signer().address
        given = contribution_of(self._entry(task, round, own).contribution)
        readers = self._readers([to_address(self.show(task).aggregator), *self.parameters(task).voices])
        sealed = seal_update(
            self._session.domain(),
            given,
            update,
            readers,
            secret=secrets.token_bytes(32),
            salt=secrets.token_bytes(32),
        )
        handover = Handover(task, round, own, given.update_sha256, self._upload(sealed.encode()))
        signature = self._session.signer().sign_hash(handover_digest(self._session.domain(), handover))
        body = {"handover": handover_body(handover).model_dump(), "signature": "0x" + signature.hex()}
        return parse_body(SignedHandover, self._session.http.post(f"/v1/tasks/{task}/updates", body))

    def handed(self, task: int, round: int) -> list[SignedHandover]:
        """Which encrypted updates were handed over in a round, each signed by its device."""
        found = self._session.http.get(f"/v1/tasks/{task}/updates", {"round": round})
        return [parse_body(SignedHandover, item) for item in found["items"]]

    def open_update(self, entry: EntryBody) -> bytes:
        """Aggregator, validator: one handed-over update in the clear, checked against its contribution."""
        given = contribution_of(entry.contribution)
        sealed = self._sealed(given)[1]
        return sealed.open(self._session.domain(), given, self._secret(sealed, given))

    def open_updates(self, task: int, round: int) -> dict[Address, bytes]:
        """Every update of a round that was handed over and is encrypted to oneself, by device."""
        entries = {to_address(e.contribution.device): e for e in self.contributions(task, round)}
        handed = [to_address(h.handover.device) for h in self.handed(task, round)]
        return {device: self.open_update(entries[device]) for device in handed if device in entries}

    def countersign(self, task: int, round: int) -> list[EntryBody]:
        """Aggregator: sign every contribution received, once its update opens to what it commits to.

        One whose update was not handed over here is signed by its digest alone: the update came another way.
        """
        handed = {to_address(h.handover.device) for h in self.handed(task, round)}
        signed: list[EntryBody] = []
        for entry in self.contributions(task, round):
            if entry.aggregator_signature is not None:
                continue
            if to_address(entry.contribution.device) not in handed or self._opens(entry):
                signed.append(self._sign(contribution_of(entry.contribution)))
        return signed

    def averaged(self, task: int, round: int) -> NDArray[np.float32] | None:
        """Aggregator: the average of the updates that the settlement will count; None when none does."""
        file = parse_body(
            PayoutFile, self._session.http.get(f"/v1/tasks/{task}/settlement", {"round": round})
        )
        counted = {to_address(s.device) for s in file.screened if s.excluded is None}
        rows = {
            device: (given.samples, values_of(self.open_update(entry)))
            for entry in self.contributions(task, round)
            for given in (contribution_of(entry.contribution),)
            for device in (given.device,)
            if device in counted
        }
        return average(rows) if rows else None

    # ------------------------------------------------------------------ challenges

    def disclose(self, task: int, round: int) -> OpeningsBody:
        """Validator, aggregator: the keys of a challenged round's updates, for whoever has to judge it."""
        state = next((r.state for r in self.show(task).progress if r.round == round), "none")
        if state != "frozen":
            raise Conflict(
                f"round {round} of task {task} is {state}: updates are opened only in a challenge",
                hint=f"run `twinledger task challenge {task} --round {round} --reason TEXT`",
            )
        openings = []
        for entry in self.contributions(task, round):
            given = contribution_of(entry.contribution)
            try:
                handover, sealed = self._sealed(given)
                secret = self._secret(sealed, given)
            except (NotFound, NotAuthorized):
                continue  # not handed over here, or not to this reader
            openings.append(
                OpeningBody(device=given.device, sealed=str(handover.sealed), secret=hex32(secret))
            )
        return OpeningsBody(task=task, round=round, openings=openings)

    def judge(self, task: int, round: int, openings: Sequence[OpeningsBody]) -> Judged:
        """Recompute a settled round from its opened updates; every finding names who stated what wrongly.

        Anyone can who is given the keys; nothing here is believed but signatures and digests.
        """
        file = self._settled_file(task, round)
        record, domain = file.record, self._session.domain()
        agreement = agreement_of(self.show(task), self.parameters(task))
        scope = Scope(file.chain_id, to_address(file.pool), task, round)
        verify_record(domain, scope, agreement, record)
        signed = [contribution_of(e.contribution) for e in self._countersigned(task, round)]
        known = {given.device: given for given in (*signed, *(e.contribution for e in record.entries))}
        opened, findings = self._opened(task, round, known, openings)
        found = reopen(scope, agreement, record, opened)
        stated = None if file.average_sha256 is None else parse_hex32(file.average_sha256)
        findings += dropped(record, signed)
        findings += misstated(record, opened)
        findings += misjudged(file.verdicts, found)
        findings += misaveraged(found, record, opened, stated)
        return Judged(found, tuple(opened), tuple(findings))

    def _opened(
        self, task: int, round: int, known: dict[Address, Contribution], openings: Iterable[OpeningsBody]
    ) -> tuple[dict[Address, NDArray[np.float32]], list[str]]:
        """What the disclosed keys open, by device; and what they should open and do not."""
        opened: dict[Address, NDArray[np.float32]] = {}
        findings: list[str] = []
        for opening in (one for body in openings for one in body.openings):
            given = known.get(to_address(opening.device))
            if (given is None) or given.device in opened:
                continue
            try:
                sealed = read_sealed(self._download(Cid.parse(opening.sealed)))
                clear = sealed.open(self._session.domain(), given, parse_hex32(opening.secret))
                opened[given.device] = values_of(clear, f"the update of {given.device}")
            except (VerificationFailed, Malformed) as e:
                findings.append(f"the update of {given.device} does not open: {e.message}")
        return opened, findings

    def _countersigned(self, task: int, round: int) -> list[EntryBody]:
        """The contributions that carry the aggregator's own signature, checked."""
        aggregator, domain = to_address(self.show(task).aggregator), self._session.domain()
        return [
            entry
            for entry in self.contributions(task, round)
            if entry.aggregator_signature is not None
            and recover(
                contribution_digest(domain, contribution_of(entry.contribution)),
                signature_of(entry.aggregator_signature),
            )
            == aggregator
        ]

    def _settled_file(self, task: int, round: int) -> PayoutFile:
        for payouts in self.payouts(task, round):
            return parse_body(PayoutFile, strict_json(self._download(Cid.parse(payouts.payouts_cid))))
        raise NotFound(f"round {round} of task {task} is not settled")

    # ------------------------------------------------------------------ sealed bytes

    def _opens(self, entry: EntryBody) -> bool:
        try:
            self.open_update(entry)
        except RegistryError as e:
            if e.retryable:
                raise
            return False
        return True

    def _sealed(self, given: Contribution) -> tuple[Handover, SealedUpdate]:
        for body in self.handed(given.task, given.round):
            handover = handover_of(body.handover)
            if handover.device != given.device:
                continue
            if (
                recover(handover_digest(self._session.domain(), handover), signature_of(body.signature))
                != given.device
            ):
                raise VerificationFailed(f"{given.device} did not sign what is said to be its update")
            return handover, read_sealed(self._download(handover.sealed))
        raise NotFound(
            f"{given.device} handed over no update in round {given.round} of task {given.task}",
            hint="the device runs `twinledger task contribute` with its update's file",
        )

    def _secret(self, sealed: SealedUpdate, given: Contribution) -> bytes:
        own = self._session.signer().address
        return sealed.secret_of(self._session.domain(), given, own, self._session.x25519_secrets())

    def _entry(self, task: int, round: int, device: Address) -> EntryBody:
        for entry in self.contributions(task, round):
            if to_address(entry.contribution.device) == device:
                return entry
        raise NotFound(f"{device} did not contribute to round {round} of task {task}")

    def _readers(self, who: Sequence[Address]) -> list[Reader]:
        items = self._session.http.get("/v1/members")["items"]
        members = {m.address: m for m in (parse_body(MemberBody, item) for item in items)}
        readers = []
        for address in dict.fromkeys(who):
            member = members.get(address)
            if member is None or member.x25519 is None:
                raise NotFound(
                    f"{address} has no X25519 key to encrypt an update to",
                    hint="it runs `twinledger key register`",
                )
            readers.append(Reader(address, member.key_version, parse_hex32(member.x25519)))
        return readers
