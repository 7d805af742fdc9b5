"""The work of a round: devices contribute, validators measure, the aggregator settles, anyone recomputes."""

from typing import Any

from incentives.contributions import norm_micro, sketch
from incentives.payouts import Scope
from incentives.settlement import Settlement, compare, settle, verify_record
from registry.core.canonical import strict_json
from registry.core.cid import RAW, Cid
from registry.core.ids import parse_hex32, to_address
from registry.core.measurement import Measurement, measurement_digest
from registry.core.version import Contribution, contribution_digest
from registry.errors import NotFound, VerificationFailed
from registry.sdk.session import Session
from registry.storage.unixfs import import_file
from registry.wire import parse_body
from registry.wire_payouts import PayoutFile
from registry.wire_rewards import (
    EntryBody,
    ParametersBody,
    TakenBody,
    contribution_body,
    contribution_of,
    measurement_body,
)
from registry.wire_tasks import PayoutsBody, TaskBody, agreement_of

_OCTETS = "application/octet-stream"


class RoundWork:
    """What happens inside the rounds of a task."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def show(self, task: int) -> TaskBody:
        """One task."""
        return parse_body(TaskBody, self._session.http.get(f"/v1/tasks/{task}"))

    def parameters(self, task: int) -> ParametersBody:
        """The task's parameter document, which hashes to what the chain holds."""
        raw = self._download(Cid(RAW, parse_hex32(self.show(task).parameters)))
        return parse_body(ParametersBody, strict_json(raw))

    def begin(self, task: int, round: int, evaluation: bytes) -> str:
        """Aggregator: begin a round by the digest of its evaluation set."""
        return self._act(task, "rounds", "beginRound", [task, round, evaluation])

    def contribute(
        self, task: int, round: int, update_sha256: bytes, *, samples: int, cell: str = ""
    ) -> TakenBody:
        """Device: sign one's update of a round; the promise in the answer proves that it was handed in."""
        signer = self._session.signer()
        given = Contribution(
            task=task,
            round=round,
            device=signer.address,
            update_sha256=update_sha256,
            samples=samples,
            cell=cell,
            issued_at=self._session.account().chain_time,
        )
        return self._sign(given)

    def contributions(self, task: int, round: int) -> list[EntryBody]:
        """Everything signed about a round."""
        found = self._session.http.items(f"/v1/tasks/{task}/contributions", {"round": round})
        return [parse_body(EntryBody, item) for item in found]

    def measure(
        self, entry: EntryBody, *, evaluation: bytes, losses: tuple[int, int], update: Any
    ) -> EntryBody:
        """Validator: state an update's losses before and after (micro-units), its norm and its sketch."""
        given = contribution_of(entry.contribution)
        stated = Measurement(
            task=given.task,
            round=given.round,
            device=given.device,
            update_sha256=given.update_sha256,
            evaluation=evaluation,
            loss_before=losses[0],
            loss_after=losses[1],
            norm=norm_micro(update),
            sketch=sketch(update),
        )
        signature = self._session.signer().sign_hash(measurement_digest(self._session.domain(), stated))
        body = {"measurement": measurement_body(stated).model_dump(), "signature": "0x" + signature.hex()}
        return parse_body(EntryBody, self._session.http.post(f"/v1/tasks/{given.task}/measurements", body))

    def settle(self, task: int, round: int, *, average: bytes | None = None) -> str:
        """Aggregator: settle the round by what is signed, computed here and not believed; posts the bond.

        `average` is the sha-256 of the average of the updates that count; stated, it can be challenged.
        """
        found = self._session.http.get(f"/v1/tasks/{task}/settlement", {"round": round})
        file = parse_body(PayoutFile, found)
        stated = None if average is None else "0x" + average.hex()
        return self.settle_by(file.model_copy(update={"average_sha256": stated}))

    def settle_by(self, file: PayoutFile) -> str:
        """Aggregator: settle a round by this payout file, once its root follows from its record."""
        settled = self._recomputed(file)
        table, raw = settled.table, file.encode()
        cid = self._upload(raw)
        args = [file.task, file.round, table.root, table.total, len(table.payouts), cid.raw]
        bond = int(self.show(file.task).bond)
        return self._act(file.task, "settle", "settle", args, value=bond)

    def payouts(self, task: int, round: int | None = None) -> list[PayoutsBody]:
        """The settled rounds with their leaves."""
        found = self._session.http.items(f"/v1/tasks/{task}/payouts", {"round": round})
        return [parse_body(PayoutsBody, item) for item in found]

    def recompute(self, task: int, round: int) -> Settlement:
        """Every payout of a round once more from its signed integers; VerificationFailed names what differs.

        The gateway is asked too: it knows the earlier rounds that reputations come from.
        """
        for payouts in self.payouts(task, round):
            raw = self._download(Cid.parse(payouts.payouts_cid))
            file = parse_body(PayoutFile, strict_json(raw))
            if (file.task, file.round) != (task, round):
                raise VerificationFailed(f"the payout file is of round {file.round} of task {file.task}")
            found = self._recomputed(file)
            compare(found, file.payouts, parse_hex32(payouts.root))
            self._session.http.get(f"/v1/tasks/{task}/payouts", {"round": round, "recompute": 1})
            return found
        raise NotFound(f"round {round} of task {task} is not settled")

    def _recomputed(self, file: PayoutFile) -> Settlement:
        agreement = agreement_of(self.show(file.task), self.parameters(file.task))
        scope = Scope(file.chain_id, to_address(file.pool), file.task, file.round)
        if scope.pool != self._session.deployment().address("RewardPool"):
            raise VerificationFailed(f"the payout file is for the pool {scope.pool}")
        verify_record(self._session.domain(), scope, agreement, file.record)
        found = settle(scope, agreement, file.record)
        compare(found, file.payouts, parse_hex32(file.root))
        return found

    def _sign(self, given: Contribution) -> TakenBody:
        signature = self._session.signer().sign_hash(contribution_digest(self._session.domain(), given))
        body = {"contribution": contribution_body(given).model_dump(), "signature": "0x" + signature.hex()}
        return parse_body(TakenBody, self._session.http.post(f"/v1/tasks/{given.task}/contributions", body))

    def _act(self, task: int, path: str, function: str, args: list[Any], *, value: int = 0) -> str:
        return self._session.transact(f"/v1/tasks/{task}/{path}", "RewardPool", function, args, value=value)

    def _upload(self, raw: bytes) -> Cid:
        cid = import_file([raw]).cid
        if not self._session.http.head(f"/v1/content/{cid}"):
            self._session.http.put(f"/v1/content/{cid}", raw, _OCTETS)
        return cid

    def _download(self, cid: Cid) -> bytes:
        with self._session.http.stream(f"/v1/content/{cid}") as response:
            raw = response.read()
        if import_file([raw]).cid != cid:
            raise VerificationFailed(f"the gateway's bytes are not {cid}")
        return raw
