"""Many submissions at once: the queue as it lies in the pool, and the receipts of what was sealed.

What is only passed on is not read: the signed bodies go out as they came in.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from registry.chain.gateway import Contracts
from registry.core.ids import Address, Role, VersionId, hex32, parse_hex32
from registry.core.lifecycle import State
from registry.errors import Malformed
from registry.index import BlockMark, Index
from registry.pool import Filed, Pool, PoolState
from registry.service.receipts import Receipts

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusPage:
    """A page of submissions in order of arrival, each the JSON text of a `SubmissionStatus`."""

    items: list[str]
    next: str | None

    def json(self) -> bytes:
        """The page as it is answered: what was signed is passed on as it lies in the pool."""
        return f'{{"items":[{",".join(self.items)}],"next":{json.dumps(self.next)}}}'.encode()


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """Submissions with their receipts; the proof of a seal transaction stands once for all its items.

    Each item is the JSON text of a `SubmissionStatus`, each proof that of a `ReceiptProofBody` or None where
    the chain gives none, by the transaction's hash.
    """

    items: list[str]
    proofs: Mapping[str, str | None]

    def json(self) -> bytes:
        """The page as it is answered: a promise is passed on as it lies in the pool."""
        proofs = ",".join(f'"{tx_hash}":{proof}' for tx_hash, proof in self.proofs.items() if proof)
        return f'{{"items":[{",".join(self.items)}],"next":null,"proofs":{{{proofs}}}}}'.encode()


class Pages:
    """Reads pool and projection by the page."""

    def __init__(self, contracts: Contracts, index: Index, pool: Pool, receipts: Receipts) -> None:
        self._contracts = contracts
        self._index = index
        self._pool = pool
        self._receipts = receipts

    def listed(self, state: str | None, *, after: int, limit: int, asker: Address | None) -> StatusPage:
        """Submissions in order of arrival; who mines or runs a gateway sees what was signed."""
        filed = self._pool.filed(_pool_state(state), limit=limit + 1, after=after)
        member = None if asker is None else self._index.member(asker)
        shows = member is not None and bool(member.roles & (Role.MINER | Role.GATEWAY))
        page = filed[:limit]
        items = [
            _listed(one, stands, is_shown=shows or one.submitter == asker)
            for one, stands in zip(page, self._states(page), strict=True)
            # The pool knows no blocks and no parents: a page of these two may hold fewer than `limit`.
            if state not in ("final", "waiting") or stands == state
        ]
        return StatusPage(items, str(page[-1].sequence) if len(filed) > limit else None)

    def receipts(self, version_ids: Sequence[VersionId], wait_s: int = 0) -> ReceiptPage:
        """Where these stand, with their receipts; waits up to `wait_s` seconds for the last seal.

        What never came to this gateway is left out.
        """
        until = time.monotonic() + wait_s
        self._wait(version_ids, until)
        filed = self._pool.filed_of(version_ids)
        rows = self._index.seals(version_ids)
        final = self._final(self._tip())
        unsealed = [one for version_id, one in filed.items() if version_id not in rows]
        states = dict(zip((one.version_id for one in unsealed), self._states(unsealed), strict=True))
        items, proofs = [], {}
        for version_id in version_ids:
            one, row = filed.get(version_id), rows.get(version_id)
            if row is not None:
                proofs[hex32(row.tx_hash)] = self._receipts.proof_text(row)
                stands = (State.FINAL if row.block <= final else State.SEALED).value
                head = _status(one, stands) if one else {"version_id": hex32(version_id), "state": stands}
                promise = (one.promise if one else None) or "null"
                receipt = f'{_text(self._receipts.bare(row))[:-1]},"promise":{promise}}}'
                items.append(_item(head | {"model": row.model}, _UNSHOWN, receipt))
            elif one is not None:
                items.append(_item(_status(one, states[one.version_id]), _UNSHOWN, "null"))
        return ReceiptPage(items, proofs)

    def _wait(self, version_ids: Sequence[VersionId], until: float) -> None:
        seen = self._pool.changes
        waiting = self._pool.still_pending(version_ids)
        while waiting and (left := until - time.monotonic()) > 0:
            seen = self._pool.wait(seen, min(left, 1.0))
            # As long as the last one waits the others need not be looked for.
            if not self._pool.still_pending(waiting[-1:]):
                waiting = self._pool.still_pending(waiting)

    def _tip(self) -> BlockMark:
        """The newest projected block; read after the rows of a page, none of which is of a later one."""
        return self._index.tip() or BlockMark(-1, b"", 0)

    def _final(self, tip: BlockMark) -> int:
        """The newest block that this chain trusts."""
        return tip.number - self._contracts.link.confirmations

    def _states(self, filed: Sequence[Filed]) -> list[str]:
        """What chain and clock say of entries that the pool calls pending or sealed."""
        if not filed:
            return []
        parents = [_parents(one) for one in filed]
        named = {VersionId(parse_hex32(parent)) for of_one in parents for parent in of_one}
        here = {hex32(parent) for parent in self._index.sealed(named)} if named else set()
        sealed = [parse_hex32(one.version_id) for one in filed if one.state == PoolState.SEALED]
        places = self._index.places(map(VersionId, sealed)) if sealed else {}
        tip = self._tip()
        final = self._final(tip)
        return [
            _state(one, here.issuperset(of_one), tip.time, places, final)
            for one, of_one in zip(filed, parents, strict=True)
        ]


_UNSHOWN = '"submission":null,"signature":null'


def _text(value: object) -> str:
    return to_json(value).decode()


def _status(one: Filed, state: str) -> Json:
    return {
        "version_id": one.version_id,
        "state": state,
        "reason": one.reason,
        "model": one.model,
        "received": one.received,
    }


def _listed(one: Filed, state: str, *, is_shown: bool) -> str:
    return _item(_status(one, state), one.body[1:-1] if is_shown else _UNSHOWN, "null")


def _item(head: Json, signed: str, receipt: str) -> str:
    return f'{_text(head)[:-1]},{signed},"receipt":{receipt}}}'


def _parents(one: Filed) -> list[str]:
    """What a pending submission waits for; most have no parents, and their bodies need not be read."""
    if one.state != PoolState.PENDING or '"parents":[]' in one.body:
        return []
    found: list[str] = json.loads(one.body)["submission"]["version"]["parents"]
    return found


def _state(one: Filed, is_complete: bool, now: int, places: Mapping[str, int], final: int) -> str:
    if one.state == PoolState.SEALED:
        return State.FINAL if one.version_id in places and places[one.version_id] <= final else State.SEALED
    if one.state != PoolState.PENDING:
        return one.state.value
    if now > one.deadline:
        return State.EXPIRED
    return State.PENDING if is_complete else State.WAITING


def _pool_state(state: str | None) -> PoolState | None:
    if state is None:
        return None
    if state in ("final", "waiting"):
        return PoolState.SEALED if state == "final" else PoolState.PENDING
    try:
        return PoolState(state)
    except ValueError as e:
        raise Malformed(f"{state!r} is no state of a submission") from e
