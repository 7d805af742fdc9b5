"""Writes an evidence file: rows, their proofs and what they rest on, for someone who has no network.

What the file needs from elsewhere (manifests, receipts, the deployment) is passed in. Every part is
taken under one checkpoint per log, so the file is about one moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType

from registry.audit.case import (
    HEADER,
    INDEX,
    PROMISES,
    PROV,
    REPORT,
    CaseHeader,
    LogPart,
    case_rows,
    link_manifests,
    pack,
)
from registry.audit.case_lines import KeyAnswer, answer_lines, entry_lines, opening_lines
from registry.audit.logstore import LogStore
from registry.audit.openings import Opening, OpeningStore
from registry.audit.prov import prov_json
from registry.audit.query import all_rows
from registry.audit.report import report_html
from registry.audit.rows import CHAIN, GATEWAY, Filter, row_of
from registry.audit.trust import PinnedContract
from registry.core import merkle
from registry.core.canonical import canonical
from registry.core.checkpoint import Checkpoint
from registry.core.log import Recorded
from registry.core.manifest import Manifest
from registry.core.note import Note, VerifierKey
from registry.core.promise import Promise
from registry.core.tlogproof import TlogProof
from registry.errors import TooLarge

MAX_CASE_ENTRIES = 1_000_000
_LOOK_BACK = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a case rests on besides the logs; receipts (their JSON) by version id (0x…)."""

    chain_id: int
    genesis_hash: bytes
    contracts: tuple[PinnedContract, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    manifests: tuple[Manifest, ...] = ()
    receipts: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: MappingProxyType({}))
    promises: tuple[Promise, ...] = ()


@dataclass(slots=True)
class _Picked:
    """The entries of one log that belong to a case, under one checkpoint."""

    log: LogStore
    part: LogPart
    checkpoint: bytes
    size: int
    records: dict[int, Recorded]
    answer: KeyAnswer | None

    def add(self, numbers: Iterable[int]) -> None:
        """Take further entries in, as far as the checkpoint covers them."""
        wanted = [n for n in numbers if 0 <= n < self.size and n not in self.records]
        self.records |= {record.index: record for record in self.log.entries_of(wanted)}

    @property
    def ordered(self) -> list[Recorded]:
        """The entries in the log's order."""
        return [self.records[number] for number in sorted(self.records)]


def export_case(
    logs: Mapping[str, LogStore],
    asked: Filter,
    about: Surroundings,
    *,
    created: int,
    openings: OpeningStore | None = None,
    also: Mapping[str, Iterable[int]] | None = None,
    spelled: Mapping[str, Filter] = MappingProxyType({}),
) -> bytes:
    """The bytes of case.zip for what was asked; no filter at all takes both logs whole.

    `openings` discloses what commitments of the gateway log hide; leave it out to disclose nothing.
    `also` adds entries by log and number: what a hidden device did, or a case put together by hand.
    `spelled` is what was asked as a log's own entries spell it, where that differs: a chain log has ids.
    """
    picked = _pick_all(logs, asked, openings, also or {}, spelled)
    header = CaseHeader(
        created=created,
        asked=asked,
        chain_id=about.chain_id,
        genesis_hash=about.genesis_hash,
        contracts=tuple(sorted(about.contracts, key=lambda one: one.name)),
        logs=tuple(one.part for one in picked.values()),
        witnesses=about.witnesses,
    )
    shown = {name: _disclosed(one, openings) for name, one in picked.items()}
    members = {HEADER: header.encode()}
    for name, one in picked.items():
        members |= _log_members(one, shown[name])
    members |= _surrounding_members(about)
    entries = {name: one.ordered for name, one in picked.items()}
    linked = link_manifests(entries.get(CHAIN, ()), about.manifests)
    rows = case_rows(header, entries, shown, linked)
    members[PROV], members[REPORT] = prov_json(rows), report_html(rows)
    members[INDEX] = canonical({name: sha256(raw).hexdigest() for name, raw in members.items()})
    return pack(members)


def versions_in(
    logs: Mapping[str, LogStore],
    asked: Filter,
    *,
    openings: OpeningStore | None = None,
    also: Mapping[str, Iterable[int]] | None = None,
    spelled: Mapping[str, Filter] = MappingProxyType({}),
) -> list[str]:
    """The versions that such a case will name: whose manifests and receipts to bring."""
    picked = _pick_all(logs, asked, openings, also or {}, spelled)
    rows = [row_of(name, record) for name, one in picked.items() for record in one.ordered]
    return list(dict.fromkeys(version for row in rows for version in row.versions))


def _pick_all(
    logs: Mapping[str, LogStore],
    asked: Filter,
    openings: OpeningStore | None,
    also: Mapping[str, Iterable[int]],
    spelled: Mapping[str, Filter],
) -> dict[str, _Picked]:
    picked = {
        name: _pick(name, log, spelled.get(name, asked), openings if name == GATEWAY else None)
        for name, log in logs.items()
        if asked.log in (None, name)
    }
    for name, numbers in also.items():
        if name in picked:
            picked[name].add(numbers)
    if CHAIN in picked:
        rows = [row_of(name, record) for name, one in picked.items() for record in one.ordered]
        versions = dict.fromkeys(version for row in rows for version in row.versions)
        picked[CHAIN].add(_sealed_at(picked[CHAIN].log, versions))
    return picked


def _pick(name: str, log: LogStore, asked: Filter, openings: OpeningStore | None) -> _Picked:
    rarest = min((log.view(key) for key in asked.map_keys()), key=lambda view: view.count, default=None)
    checkpoint = log.checkpoint() if rarest is None else rarest.checkpoint
    size = Checkpoint.parse(Note.parse(checkpoint).text).size
    is_whole = asked == Filter(log=asked.log)
    part = LogPart(name, log.origin, (VerifierKey.parse(log.verifier_key),), is_whole)
    picked = _Picked(log, part, checkpoint, size, {}, None)
    if rarest is None:
        if size > MAX_CASE_ENTRIES:
            raise TooLarge(f"a case holds at most {MAX_CASE_ENTRIES} entries", hint="ask for less")
        rows = all_rows(log, name, asked, openings=openings)
        picked.add(range(size) if is_whole else (row.index for row in rows))
        return picked
    # An answer is proved complete as a whole, so entries of its key that do not match come along.
    numbers = tuple(log.posted(rarest, 0, rarest.count))
    picked.add(numbers)
    picked.answer = KeyAnswer(rarest.key, numbers, rarest.proof)
    return picked


def _sealed_at(log: LogStore, versions: Iterable[str]) -> list[int]:
    """Where the chain log holds the sealing of these versions."""
    found = []
    for version in versions:
        view = log.view(f"version:{version}")
        for record in log.entries_of(log.posted(view, 0, min(view.count, _LOOK_BACK))):
            row = row_of(CHAIN, record)
            if row.kind == "registered" and row.version == version:
                found.append(record.index)
                break
    return found


def _disclosed(one: _Picked, openings: OpeningStore | None) -> list[Opening]:
    if openings is None or one.part.name != GATEWAY:
        return []
    hidden = [c for record in one.ordered for c in record.entry.commitments.values()]
    return openings.for_commitments(hidden)


def _log_members(one: _Picked, shown: Sequence[Opening]) -> dict[str, bytes]:
    name, records = one.part.name, one.ordered
    members = {
        f"entries/{name}.jsonl": entry_lines(records),
        f"proofs/{name}/checkpoint": one.checkpoint,
    }
    if not one.part.is_whole:
        nodes = one.log.nodes()
        for record in records:
            path = tuple(merkle.inclusion(nodes.node, record.index, one.size))
            proof = TlogProof(record.index, path, one.checkpoint)
            members[f"proofs/{name}/{record.index}.tlog-proof"] = proof.encode()
    if one.answer is not None:
        members[f"proofs/{name}/answers.jsonl"] = answer_lines([one.answer])
    if shown:
        members[f"proofs/{name}/openings.jsonl"] = opening_lines(shown)
    return members


def _surrounding_members(about: Surroundings) -> dict[str, bytes]:
    members = {f"manifests/{one.digest.hex()}.json": one.bytes for one in about.manifests}
    members |= {f"receipts/{version}.json": canonical(body) for version, body in about.receipts.items()}
    if about.promises:
        members[PROMISES] = b"".join(canonical(one.to_json()) + b"\n" for one in about.promises)
    return members
