"""The audit log: durable appends, one-key answers with proofs as it grows, eth_getLogs, impact."""

import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from installation import RICH, ask_node
from kit import Result, actor, log_entry, mined, percentile, seconds, sign
from sqlalchemy import insert
from through import anvil

from registry.audit.completeness import page
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.rows import CHAIN, GATEWAY
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.core.ids import VersionId, keccak
from registry.core.log import LogEntry
from registry.core.note import NoteSigner
from registry.database import open_database, sqlite_url, writing
from registry.index import Index, Projection, schema
from registry.service.audits import Audits

# The gateway makes a checkpoint a second: at the target rate that is one for so many entries.
BATCH = 5_000
ACTORS = 200
PER_KEY = 20
DESCENDANTS = 10_000
# For i from the first word of its call data to before the second it logs (i) under the topics
# 1, i mod 200 and i / 20: the actor and the model of entry i above.
EMITTER = bytes.fromhex(
    "602880600b6000396000f3"  # answer the 40 bytes below as the contract
    "6000355b806020351115602657"  # i = word 0; until word 1 > i fails
    "806000526014810460c88206600160406000a3"  # log3(64 bytes, 1, i % 200, i / 20)
    "6001016003565b00"  # i + 1, again
)
PER_TRANSACTION, EMIT_GAS = 5_000, 15_000_000


def measure(*, full: bool) -> list[Result]:
    """One growing log; 10^6 entries only with --full."""
    steps = [10_000, 100_000, 1_000_000] if full else [10_000, 100_000]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        log = _log(path, "log")
        try:
            for size in steps:
                results += _asked(log, size, _grow(log, size), path)
            results.append(_against_node(log, Path(folder)))
        finally:
            log.close()
    with tempfile.TemporaryDirectory() as folder:
        return [*results, _impact(Path(folder))]


@dataclass(frozen=True, slots=True)
class Rate:
    """Entries per second: of the clock, and of the processor this process got of it."""

    clock: float
    processor: float


def _grow(log: LogStore, size: int) -> Rate:
    """Append up to a size, durable and with the map and a checkpoint after every group."""
    begun = len(log)
    clock = processor = 0.0
    while len(log) < size:
        entries = [
            log_entry(number, number % ACTORS, number // PER_KEY)
            for number in range(len(log), min(len(log) + BATCH, size))
        ]
        start = time.perf_counter(), time.process_time()
        log.append(entries)
        log.publish()
        clock += time.perf_counter() - start[0]
        processor += time.process_time() - start[1]
    return Rate((size - begun) / clock, (size - begun) / processor)


def _asked(log: LogStore, size: int, rate: Rate, path: Path) -> list[Result]:
    keys = [f"model:lab/model-{number * 37 % (size // PER_KEY)}" for number in range(500)]
    took = [seconds(lambda key=key: page(log, key)) for key in keys]
    if len(page(log, keys[0]).entries) != PER_KEY:
        raise RuntimeError(f"{keys[0]} has other entries than it was given")
    p99 = 1e3 * percentile(took, 0.99)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else what waits beside the file is not counted
    held = path.stat().st_size / size
    name = f"{size:,} entries"
    return [
        Result(
            f"append, durable with map and checkpoint, up to {name}",
            f"{rate.clock:,.0f}/s in groups of {BATCH:,}",
            "5,000/s",
            rate.clock / 5_000,
            1,
            f"{held:.0f} bytes per entry on disk; {rate.processor:,.0f} entries per second of processor time",
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


def _against_node(log: LogStore, folder: Path) -> Result:
    """The same question to both over as many events: everything of one model."""
    events, model = len(log), 3
    with anvil(folder / "anvil") as rpc:
        link = RpcChain([rpc], confirmations=0)
        try:
            place = Sender(link, RICH).send(None, EMITTER).contract_address
            assert place is not None
            nonce = link.nonce(RICH.address)
            for number, first in enumerate(range(0, events, PER_TRANSACTION)):
                words = first, min(first + PER_TRANSACTION, events)
                data = b"".join(word.to_bytes(32, "big") for word in words)
                mined(link, link.send(sign(link, RICH, place, data, nonce=nonce + number, gas=EMIT_GAS)))
        finally:
            link.close()
        query = {
            "fromBlock": "0x0", "toBlock": "latest", "address": place,
            "topics": [None, None, f"0x{model:064x}"],
        }  # fmt: skip
        if (found := len(ask_node(rpc, "eth_getLogs", query))) != PER_KEY:
            raise RuntimeError(f"the node found {found} events of model {model}")
        theirs = statistics.median(seconds(lambda: ask_node(rpc, "eth_getLogs", query)) for _ in range(10))
        ours = statistics.median(seconds(lambda: page(log, f"model:lab/model-{model}")) for _ in range(200))
    return Result(
        f"one model's {PER_KEY} entries of {events:,}, with proofs",
        f"{1e3 * ours:.2f} ms",
        f"eth_getLogs on anvil over {events:,} events, without proofs: {1e3 * theirs:.1f} ms",
        theirs / ours,
        100,
    )


def _impact(folder: Path) -> Result:
    """Through the forensic service: links from the projection, deliveries from a gateway's log."""
    ids = ["0x" + keccak(b"version %d" % number).hex() for number in range(DESCENDANTS + 1)]
    engine = open_database(sqlite_url(folder / "index.db"))
    Projection(engine)
    with writing(engine) as connection:
        # Each version is made from an earlier one, three from each.
        rows = [
            {"block": n, "version_id": ids[n], "position": 0, "parent": ids[(n - 1) // 3]}
            for n in range(1, len(ids))
        ]
        connection.execute(insert(schema.parents), rows)
    logs = {name: _log(folder / f"{name}.db", name) for name in (CHAIN, GATEWAY)}
    openings = OpeningStore(folder / "openings.db")
    try:
        logs[GATEWAY].append(
            [
                LogEntry("retrieval", 1_700_000_000 + n, actor=actor(n % ACTORS), version=version)
                for n, version in enumerate(ids)
            ]
        )
        for log in logs.values():
            log.publish()
        audits = Audits(None, Index(engine), None, logs, openings)  # type: ignore[arg-type]
        tainted = [VersionId(bytes.fromhex(ids[0][2:]))]
        found = audits.impact(tainted)
        if (len(found.versions), len(found.deliveries)) != (len(ids), len(ids)):
            raise RuntimeError(
                f"{len(found.versions)} versions, {len(found.deliveries)} deliveries were found"
            )
        took = statistics.median(seconds(lambda: audits.impact(tainted)) for _ in range(5))
    finally:
        for part in (*logs.values(), openings):
            part.close()
        engine.dispose()
    return Result(
        f"impact of a version with {DESCENDANTS:,} descendants, each retrieved once",
        f"{1e3 * took:.0f} ms",
        "1 s",
        took,
        1,
        at_most=True,
    )


def _log(path: Path, name: str) -> LogStore:
    return LogStore(path, NoteSigner(f"bench/{name}", sha256(b"bench").digest()), lambda: int(time.time()))
