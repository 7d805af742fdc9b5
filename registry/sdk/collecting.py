"""Receipts of many submissions by the page: the proof of a seal transaction is fetched and verified once."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from registry.core.receipt_proof import ProvenLog
from registry.errors import (
    Conflict,
    Expired,
    NotFound,
    RegistryError,
    Rejected,
    SealTimeout,
    VerificationFailed,
)
from registry.sdk.http import Http
from registry.sdk.receipts import Receipt, proven_logs
from registry.wire import ReceiptBody, ReceiptProofBody, SubmissionStatus, parse_body

PAGE = 100  # so many names make a request line of 8 KiB, which every proxy takes
_POLL_S = 2  # who is interrupted waits no longer than that


class Collector:
    """Collects the receipts of one `submit_many`."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._until = math.inf
        self._proven: dict[tuple[str, str], tuple[ReceiptProofBody, Sequence[ProvenLog]]] = {}

    def collect(
        self, sending: Iterable[Sequence[str]], timeout_s: float | None
    ) -> Mapping[str, Receipt | SubmissionStatus | RegistryError]:
        """The verified receipt of each id that `sending` hands over, fetched while it sends the next ones.

        SealTimeout for what is not sealed `timeout_s` seconds after the last; without it the status of each.
        """
        if timeout_s is None:
            return self._statuses([version_id for part in sending for version_id in part])
        beside = ThreadPoolExecutor(1, "receipts")
        parts: list[Future[dict[str, Receipt | RegistryError]]] = []
        found: dict[str, Receipt | SubmissionStatus | RegistryError] = {}
        self._until = math.inf
        try:
            for sent in sending:
                parts.append(beside.submit(self._receipts, sent))
            self._until = time.monotonic() + timeout_s
            for part in parts:
                found |= part.result()
        finally:
            self._until = -math.inf
            for part in parts:
                part.cancel()
            beside.submit(self._http.release)
            beside.shutdown()
        return found

    def _receipts(self, version_ids: Sequence[str]) -> dict[str, Receipt | RegistryError]:
        found: dict[str, Receipt | RegistryError] = {}
        for start in range(0, len(version_ids), PAGE):
            waiting = list(version_ids[start : start + PAGE])
            while waiting:
                left = self._until - time.monotonic()
                # Rounded up: asked for no time at all, the gateway would be asked again and again in the end.
                statuses = self.page(waiting, math.ceil(max(0, min(_POLL_S, left))))
                for version_id in waiting:
                    settled = _settled(statuses.get(version_id), version_id)
                    if settled is not None:
                        found[version_id] = settled
                waiting = [version_id for version_id in waiting if version_id not in found]
                if left <= 0:
                    found.update((version_id, _late(version_id)) for version_id in waiting)
                    break
        return found

    def _statuses(self, version_ids: Sequence[str]) -> dict[str, SubmissionStatus]:
        found: dict[str, SubmissionStatus] = {}
        for start in range(0, len(version_ids), PAGE):
            found |= self.page(version_ids[start : start + PAGE])
        return found

    def page(self, version_ids: Sequence[str], wait_s: int = 0) -> dict[str, SubmissionStatus]:
        """Where up to a page of submissions stand; every receipt in it is whole and verified."""
        query = {"version_id": list(version_ids), "wait_s": wait_s or None}
        answer = self._http.get("/v1/submissions", query)
        proofs: dict[str, Any] = answer["proofs"]
        return {item["version_id"]: self._read(item, proofs) for item in answer["items"]}

    def _read(self, item: dict[str, Any], proofs: dict[str, Any]) -> SubmissionStatus:
        status = parse_body(SubmissionStatus, item)
        body = status.receipt
        if body is None:
            return status
        if body.version_id != status.version_id:
            raise VerificationFailed(f"the receipt is for {body.version_id}, not for {status.version_id}")
        raw = proofs.get(body.tx_hash)
        if raw is None:
            return status  # a chain whose headers cannot be encoded back proves no receipt
        proof, logs = self._proof(body, raw)
        whole = body.model_copy(update={"receipt_proof": proof})
        Receipt(whole).check_event(proof.tx_index, logs)
        return status.model_copy(update={"receipt": whole})

    def _proof(self, body: ReceiptBody, raw: object) -> tuple[ReceiptProofBody, Sequence[ProvenLog]]:
        key = (body.tx_hash, body.block.hash)
        if key not in self._proven:
            proof = parse_body(ReceiptProofBody, raw)
            self._proven[key] = proof, proven_logs(proof, body.block.hash)
        return self._proven[key]


def _settled(status: SubmissionStatus | None, version_id: str) -> Receipt | RegistryError | None:
    """What became of it, None while that is open."""
    if status is None:
        return NotFound(f"no submission {version_id} came to this gateway")
    if status.receipt is not None:
        return Receipt(status.receipt)
    return ended(status)


def _late(version_id: str) -> SealTimeout:
    return SealTimeout(
        f"{version_id} was not sealed in time",
        version_id=version_id,
        hint=f"run `twinledger submission wait {version_id}`",
    )


def ended(status: SubmissionStatus) -> RegistryError | None:
    """Why a submission will not be sealed, None while it may be."""
    reason = status.reason or status.state
    if status.state == "rejected":
        return Rejected(f"{status.version_id} was rejected: {reason}")
    if status.state == "expired":
        return Expired(f"{status.version_id} expired: {reason}", hint="submit it again with a later deadline")
    if status.state == "cancelled":
        return Conflict(f"{status.version_id} was cancelled: {reason}", hint="submit it again to revive it")
    return None
