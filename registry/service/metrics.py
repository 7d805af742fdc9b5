"""The gateway's figures, as a Prometheus scrape takes them.

A part that does not answer leaves its figures out and shows as `twinledger_part_up 0`: a scrape never fails
as a whole, for it is most wanted when something is down.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from registry.audit.logstore import LogStore
from registry.chain.gateway import Contracts
from registry.core.checkpoint import Checkpoint
from registry.core.ids import Address, VersionId
from registry.core.note import Note
from registry.errors import NotFound, RegistryError
from registry.index import Index, Line
from registry.pool import Pool, PoolState
from registry.storage.base import ContentStore

_HOLD_MONEY = ("TwinRegistry", "StorageMarket", "RewardPool")
Sample = tuple[str, float]


@dataclass(slots=True)
class Histogram:
    """How often which value was seen since this process began."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def see(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self) -> Iterator[Sample]:
        """The cumulative buckets, the sum and the count."""
        seen = 0
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            seen += count
            yield f'_bucket{{le="{"+Inf" if bound is None else f"{bound:g}"}"}}', seen
        yield "_sum", self.total
        yield "_count", seen


class Metrics:
    """Counts what is sealed as the follower hears of it, and asks the parts for the rest."""

    def __init__(
        self,
        contracts: Contracts,
        index: Index,
        pool: Pool,
        store: ContentStore,
        logs: Mapping[str, LogStore],
        account: Address,
    ) -> None:
        self._contracts = contracts
        self._index = index
        self._pool = pool
        self._store = store
        self._logs = logs
        self._account = account
        self._lock = Lock()
        self._latency = Histogram((1, 2, 5, 10, 30, 60, 300, 3_600))
        self._batches = Histogram((1, 5, 20, 50, 100, 200))

    def heard(self, lines: Sequence[Line], _last: int) -> None:
        """Take in what was sealed: how long our own submissions waited, how full the batches were."""
        ids = [VersionId(line.args["versionId"]) for line in lines if line.name == "Registered"]
        ours = self._pool.received(ids)
        with self._lock:
            for line in lines:
                if line.name == "BatchSealed":
                    self._batches.see(int(line.args["accepted"]))
                elif line.name == "Registered" and (came := ours.get(VersionId(line.args["versionId"]))):
                    self._latency.see(max(0, line.time - came))

    def text(self) -> str:
        """Prometheus text format 0.0.4."""
        lines = []
        with self._lock:
            for name, kept in (("seal_latency_seconds", self._latency), ("batch_items", self._batches)):
                lines += _family(name, "histogram", list(kept.samples()))
        parts: dict[str, Callable[[], Iterator[tuple[str, list[Sample]]]]] = {
            "pool": self._queue,
            "chain": self._chain,
            "store": self._bytes,
            "logs": self._log_lag,
            "accounts": self._balances,
        }
        up = []
        for part, ask in parts.items():
            try:
                for name, samples in list(ask()):
                    lines += _family(name, "gauge", samples)
                up.append((f'{{part="{part}"}}', 1.0))
            except RegistryError:
                up.append((f'{{part="{part}"}}', 0.0))
        return "\n".join([*lines, *_family("part_up", "gauge", up)]) + "\n"

    def _queue(self) -> Iterator[tuple[str, list[Sample]]]:
        for state in PoolState:
            yield f"pool_{state}", [("", self._pool.count(state))]

    def _chain(self) -> Iterator[tuple[str, list[Sample]]]:
        head, tip = self._contracts.link.head(), self._index.tip()
        reached = tip.number if tip else -1
        yield "chain_head", [("", head.number)]
        yield "chain_time_seconds", [("", head.time)]
        yield "index_block", [("", reached)]
        yield "index_lag_blocks", [("", max(0, head.number - reached))]

    def _bytes(self) -> Iterator[tuple[str, list[Sample]]]:
        yield "store_bytes", [("", self._store.size_bytes())]

    def _log_lag(self) -> Iterator[tuple[str, list[Sample]]]:
        """Entries that no checkpoint covers yet; of the chain log also final events that are no entry yet."""
        link = self._contracts.link
        final = self._index.events_until(link.head().number - link.confirmations)
        sizes = {name: len(log) for name, log in self._logs.items()}
        wanted = {name: max(size, final) if name == "chain" else size for name, size in sizes.items()}
        yield "log_entries", [(f'{{log="{name}"}}', size) for name, size in sizes.items()]
        yield (
            "log_lag_entries",
            [(f'{{log="{name}"}}', wanted[name] - _covered(log)) for name, log in self._logs.items()],
        )

    def _balances(self) -> Iterator[tuple[str, list[Sample]]]:
        link = self._contracts.link
        yield "gateway_coin_wei", [("", link.balance(self._account))]
        yield (
            "contract_balance_wei",
            [(f'{{contract="{name}"}}', link.balance(self._contracts.address(name))) for name in _HOLD_MONEY],
        )


def _covered(log: LogStore) -> int:
    try:
        return Checkpoint.parse(Note.parse(log.checkpoint()).text).size
    except NotFound:
        return 0


def _family(name: str, kind: str, samples: Sequence[Sample]) -> list[str]:
    return [
        f"# TYPE twinledger_{name} {kind}",
        *(f"twinledger_{name}{suffix} {_number(value)}" for suffix, value in samples),
    ]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
