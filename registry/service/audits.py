"""Forensic questions over the two logs: events, proofs, timelines, traces, impact, evidence."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from registry.audit.chainlog import chain_kinds
from registry.audit.completeness import page, page_to_json
from registry.audit.evidence import Surroundings, export_case, versions_in
from registry.audit.forensics import Moment, Probing, Trace, probing, timeline, trace
from registry.audit.gatewaylog import GATEWAY_KINDS
from registry.audit.impact import Impact, Link, impact
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.query import all_rows, find, hidden_rows, rows_about
from registry.audit.rows import CHAIN, GATEWAY, LOGS, Filter, Row, check_filter
from registry.audit.trust import PinnedContract
from registry.chain.deployment import KEY_OF
from registry.chain.gateway import Contracts
from registry.core.checkpoint import Checkpoint
from registry.core.ids import VersionId, hex32, model_id, parse_hex32, read_count
from registry.core.manifest import parse_manifest
from registry.core.note import Note
from registry.core.refs import parse_model
from registry.core.tlogproof import TlogProof
from registry.errors import Malformed, NotFound
from registry.index import Index, VersionRow
from registry.service.receipts import Receipts

_MAX_AFFECTED = 100_000
_REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class EventPage:
    """Rows of one or both logs; `next` continues, None at the end; `key` proves the page complete."""

    rows: tuple[Row, ...]
    next: str | None
    key: str | None


class Audits:
    """Answers auditors."""

    def __init__(
        self,
        contracts: Contracts,
        index: Index,
        receipts: Receipts,
        logs: Mapping[str, LogStore],
        openings: OpeningStore,
    ) -> None:
        self._contracts = contracts
        self._index = index
        self._receipts = receipts
        self._openings = openings
        self.logs = dict(logs)
        self._kinds = {*chain_kinds(), *GATEWAY_KINDS}

    def log(self, name: str) -> LogStore:
        """A log by its name."""
        if name not in self.logs:
            raise NotFound(f"there is no log {name!r}", hint="the logs are chain and gateway")
        return self.logs[name]

    def events(self, asked: Filter, *, cursor: str | None, limit: int) -> EventPage:
        """Rows that match, page by page; without a log first those of the chain, then the gateway's."""
        asked = check_filter(asked, self._kinds)
        names = [asked.log] if asked.log else list(LOGS)
        name, _, inner = (cursor or f"{names[0]}:").partition(":")
        if name not in names:
            raise Malformed(f"{cursor!r} is no cursor of this query", hint="take `next` of the page before")
        found = find(
            self.log(name),
            name,
            self._as(name, asked),
            cursor=inner or None,
            limit=limit,
            openings=self._shown(name),
        )
        following = f"{name}:{found.next}" if found.next else None
        if following is None and name != names[-1]:
            following = f"{names[names.index(name) + 1]}:"
            if not found.rows:
                # An empty page would read like the end.
                return self.events(asked, cursor=following, limit=limit)
        return EventPage(tuple(self._named(found.rows)), following, found.key)

    def proof(self, event: str) -> bytes:
        """The C2SP `.tlog-proof` of one event, named `log:index`."""
        name, _, number = event.partition(":")
        index = read_count(number, "the index of the event")
        log = self.log(name)
        log.entry(index)
        checkpoint = log.checkpoint()
        size = _size(checkpoint)
        if index >= size:
            raise NotFound(f"{event} is not under a checkpoint yet", hint="ask again in a second")
        return TlogProof(index, tuple(log.inclusion(index, size)), checkpoint).encode()

    def checkpoints(self, name: str, after: int, limit: int) -> list[str]:
        """Kept checkpoints of a log, as signed notes, with more entries than `after`."""
        return [raw.decode() for raw in self.log(name).checkpoints(after, limit)]

    def consistency(self, name: str, old: int, new: int) -> list[str]:
        """The RFC 9162 proof between two sizes of a log."""
        return [hex32(node) for node in self.log(name).consistency(old, new)]

    def complete(self, name: str, key: str, first: int, limit: int) -> dict[str, object]:
        """One page of everything that concerns a key, with the proof that nothing is missing.

        The chain knows a model by its id: `model:ns/name` is answered under `model:0x…` there.
        """
        kind, _, value = key.partition(":")
        if name == CHAIN and kind == "model":
            key = f"model:{self._model_key(value)}"
        return page_to_json(page(self.log(name), key, first=first, limit=limit))

    def timeline(self, asked: Filter) -> list[Moment]:
        """What happened to a model, a version or a member, in one order over both logs."""
        return timeline(self._named(list(self._rows(check_filter(asked, self._kinds)))))

    def trace(self, device: str, asked: Filter) -> Trace:
        """A device or member across cells, claimed or observed, with gaps and impossible moves."""
        rows = list(self._rows(check_filter(asked, self._kinds)))
        hidden = hidden_rows(self.log(GATEWAY), self._openings, "device", device)
        by_name = {row.name: row for row in (*rows, *hidden)}
        return trace(by_name.values(), device)

    def probing(self, asked: Filter, at_least: int) -> list[Probing]:
        """Refused requests per caller."""
        asked = check_filter(asked, self._kinds)
        if asked.log == CHAIN or asked.kind not in (None, _REFUSAL):
            return []
        return probing(self._rows(replace(asked, log=GATEWAY, kind=_REFUSAL)), at_least=at_least)

    def impact(self, tainted: list[VersionId]) -> Impact:
        """Every descendant, every alias that pointed to one and when, everyone who retrieved one."""
        sources = [hex32(version) for version in tainted]
        links = self._links_below(sources)
        affected = {*sources, *(link.child for link in links)}
        rows = [
            *self._rows(Filter(log=CHAIN, kind="alias_set")),
            *self._rows(Filter(log=CHAIN, kind="status_changed")),
            *rows_about(self.log(GATEWAY), GATEWAY, affected, openings=self._openings),
            *self._registrations(sources),
        ]
        found = impact(sources, links=links, rows=rows)
        names = self._models(one.version for one in found.aliases)
        aliases = (replace(one, model=names.get(one.version, one.model)) for one in found.aliases)
        return replace(found, aliases=tuple(aliases))

    def _registrations(self, versions: Iterable[str]) -> list[Row]:
        rows = rows_about(self.log(CHAIN), CHAIN, versions)
        return [row for row in rows if row.kind == "registered"]

    def _named(self, rows: Sequence[Row]) -> list[Row]:
        """The same with every model by its name: the chain log has ids."""
        names = self._models(row.version for row in rows if row.log == CHAIN and row.version is not None)
        return [replace(row, model=names.get(row.version or "", row.model)) for row in rows]

    def _models(self, versions: Iterable[str]) -> dict[str, str]:
        rows = self._index.versions({VersionId(parse_hex32(version)) for version in versions})
        return {hex32(version_id): row.model for version_id, row in rows.items()}

    def tainted_by(self, ingredient: str) -> list[VersionId]:
        """Versions whose manifests name a device, an update or a dataset."""
        return self._index.with_ingredient(ingredient)

    def evidence(self, asked: Filter) -> bytes:
        """case.zip of what was asked: entries, proofs, receipts, manifests, PROV and a report."""
        asked = check_filter(asked, self._kinds)
        spelled = {name: self._as(name, asked) for name in LOGS}
        wanted = versions_in(self.logs, asked, openings=self._openings, spelled=spelled)
        rows = self._index.versions(VersionId(parse_hex32(text)) for text in wanted)
        return export_case(
            self.logs,
            asked,
            self._surroundings(rows.values()),
            created=int(time.time()),
            openings=self._openings,
            spelled=spelled,
        )

    def _surroundings(self, rows: Iterable[VersionRow]) -> Surroundings:
        deployment = self._contracts.deployment
        held = list(rows)
        return Surroundings(
            chain_id=deployment.chain_id,
            genesis_hash=deployment.genesis_hash,
            contracts=tuple(
                PinnedContract(KEY_OF[name], one.address, one.code_hash)
                for name, one in deployment.contracts.items()
            ),
            manifests=tuple(parse_manifest(row.manifest) for row in held if row.manifest is not None),
            receipts={
                hex32(row.version_id): self._receipts.receipt(row, None).model_dump(by_alias=True)
                for row in held
            },
        )

    def _links_below(self, tainted: Sequence[str]) -> list[Link]:
        found: list[Link] = []
        seen, frontier = set(tainted), list(tainted)
        while frontier and len(seen) < _MAX_AFFECTED:
            links = [Link(*link) for link in self._index.links_below(frontier)]
            found += links
            frontier = [child for child in dict.fromkeys(link.child for link in links) if child not in seen]
            seen.update(frontier)
        return found

    def _rows(self, asked: Filter) -> Iterable[Row]:
        for name in [asked.log] if asked.log else LOGS:
            yield from all_rows(self.log(name), name, self._as(name, asked), openings=self._shown(name))

    def _as(self, name: str, asked: Filter) -> Filter:
        """The filter as a log's entries spell it: the chain's know a model's id and not its name."""
        if name != CHAIN or asked.model is None:
            return asked
        return replace(asked, model=self._model_key(asked.model))

    def _model_key(self, model: str) -> str:
        if "/" not in model:
            return model
        namespace, name = parse_model(model)
        return hex32(model_id(self._index.namespace_id(namespace) or 0, name))

    def _shown(self, name: str) -> OpeningStore | None:
        return self._openings if name == GATEWAY else None


def row_json(row: Row) -> dict[str, object]:
    """A row as JSON, with its name."""
    return {"name": row.name, **_plain(row)}


def _plain(row: Row) -> dict[str, object]:
    value: dict[str, object] = {}
    for key in row.__slots__:
        held = getattr(row, key)
        value[key] = (
            dict(held) if isinstance(held, Mapping) else list(held) if isinstance(held, tuple) else held
        )
    return value


def _size(checkpoint: bytes) -> int:
    return Checkpoint.parse(Note.parse(checkpoint).text).size
