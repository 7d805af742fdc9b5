"""The audit log: durable appends, one-key answers with proofs as it grows, eth_getLogs, impact."""

import statistics
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from installation import RICH, ask_node
from kit import NAIVE_GAS, Result, mined, naive_call, naive_code, percentile, seconds, sign
from through import anvil

from registry.audit.completeness import page
from registry.audit.impact import Link, impact
from registry.audit.logstore import LogStore
from registry.audit.rows import Row
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.core.ids import Address, address_of, keccak
from registry.core.log import LogEntry
from registry.core.note import NoteSigner

# The gateway makes a checkpoint a second: at the target rate that is one for so many entries.
BATCH = 5_000
ACTORS = 200
PER_KEY = 20


def measure(*, full: bool) -> list[Result]:
    """One growing log; 10^6 entries only with --full."""
    steps = [10_000, 100_000, 1_000_000] if full else [10_000, 100_000]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        log = LogStore(path, NoteSigner("bench/log", sha256(b"bench").digest()), lambda: int(time.time()))
        try:
            for size in steps:
                rate = _grow(log, size)
                results += _asked(log, size, rate, path)
            results.append(_against_node(log, 20_000 if full else 5_000, Path(folder)))
        finally:
            log.close()
    return [*results, _impact()]


def _grow(log: LogStore, size: int) -> float:
    """Entries per second, durable and with the map and a checkpoint after every group."""
    begun = len(log)
    spent = 0.0
    while len(log) < size:
        entries = [_entry(number) for number in range(len(log), min(len(log) + BATCH, size))]
        start = time.perf_counter()
        log.append(entries)
        log.publish()
        spent += time.perf_counter() - start
    return (size - begun) / spent


def _entry(number: int) -> LogEntry:
    return LogEntry(
        "submission_accepted",
        1_700_000_000 + number // 100,
        actor=_actor(number % ACTORS),
        model=f"lab/model-{number // PER_KEY}",
        version="0x" + keccak(number.to_bytes(8, "big")).hex(),
        details={"size": 65_536, "fee_class": 0},
    )


def _actor(number: int) -> Address:
    return address_of(keccak(b"actor %d" % number)[12:])


def _asked(log: LogStore, size: int, rate: float, path: Path) -> list[Result]:
    keys = [f"model:lab/model-{number * 37 % (size // PER_KEY)}" for number in range(500)]
    took = [seconds(lambda key=key: page(log, key)) for key in keys]
    if len(page(log, keys[0]).entries) != PER_KEY:
        raise RuntimeError(f"{keys[0]} has other entries than it was given")
    p99 = 1e3 * percentile(took, 0.99)
    held = sum(file.stat().st_size for file in path.parent.glob("log.db*")) / size
    name = f"{size:,} entries"
    return [
        Result(
            f"append, durable with map and checkpoint, up to {name}",
            f"{rate:,.0f}/s in groups of {BATCH:,}",
            "5,000/s",
            rate / 5_000,
            1,
            f"{held:.0f} bytes per entry on disk",
        ),
        Result(
            f"p99 of a one-key answer of {PER_KEY} entries with proofs, {name}",
            f"{p99:.2f} ms (median {1e3 * statistics.median(took):.2f})",
            "10 ms",
            p99 / 10,
            1,
            at_most=True,
        ),
    ]


def _against_node(log: LogStore, events: int, folder: Path) -> Result:
    """The same question to both: one actor's events among all. The node's events are the naive contract's."""
    with anvil(folder / "anvil") as rpc:
        link = RpcChain([rpc], confirmations=0)
        try:
            place = Sender(link, RICH).send(None, naive_code()).contract_address
            assert place is not None
            nonce = link.nonce(RICH.address)
            for number in range(events):
                raw = sign(
                    link, RICH, place, naive_call(number), nonce=nonce + number, gas=NAIVE_GAS, value=7
                )
                last = link.send(raw)
            mined(link, last)
        finally:
            link.close()
        topics = [None, None, "0x" + bytes(12).hex() + _actor(3)[2:].lower()]
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": place, "topics": topics}
        theirs = statistics.median(seconds(lambda: _logs(rpc, query)) for _ in range(20))
        ours = statistics.median(seconds(lambda: page(log, "model:lab/model-3")) for _ in range(200))
    return Result(
        f"one key's entries with proofs of {len(log):,} entries",
        f"{1e3 * ours:.2f} ms",
        f"eth_getLogs on anvil over {events:,} events, no proof: {1e3 * theirs:.1f} ms",
        theirs / ours,
        100,
        "the node holds fewer events than the log; eth_getLogs scans, so its time grows with them",
    )


def _logs(rpc: str, query: dict[str, object]) -> object:
    return ask_node(rpc, "eth_getLogs", query)


def _impact() -> Result:
    """A tree of versions below one, each made from an earlier one."""
    ids = ["0x" + keccak(b"version %d" % number).hex() for number in range(10_001)]
    links = [Link(ids[number], ids[(number - 1) // 3]) for number in range(1, len(ids))]
    rows: list[Row] = []
    found = impact([ids[0]], links=links, rows=rows)
    if len(found.versions) < 10_000:
        raise RuntimeError(f"{len(found.versions)} descendants were found")
    took = statistics.median(seconds(lambda: impact([ids[0]], links=links, rows=rows)) for _ in range(5))
    return Result(
        "impact of a version with 10,000 descendants, links at hand",
        f"{1e3 * took:.0f} ms",
        "1 s",
        took,
        1,
        at_most=True,
    )
