"""Real logs in a temporary folder, with a clock that the test moves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from registry.audit.completeness import Trust
from registry.audit.gatewaylog import GatewayLog
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.witness import Witness
from registry.core.ids import Address, address_of
from registry.core.log import LogEntry
from registry.core.note import COSIGNATURE, NoteSigner, VerifierKey

ORIGIN = "gateway.example/log"


@dataclass
class Clock:
    """Seconds that only the test moves."""

    now: int = 1_700_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Bench:
    """Everything a test about logs needs, real and in one folder."""

    folder: Path
    clock: Clock
    signer: NoteSigner

    def open(self, name: str = "gateway") -> LogStore:
        return LogStore(self.folder / f"{name}.db", self.signer, self.clock)

    def trust(self, *witnesses: VerifierKey, quorum: int = 1) -> Trust:
        return Trust(ORIGIN, (self.signer.key,), witnesses, quorum)

    def witness(self, fetch: Callable[[str, str], bytes], name: str = "witness.example/w") -> Witness:
        signer = NoteSigner(name, sha256(name.encode()).digest(), COSIGNATURE)
        logs = {ORIGIN: [self.signer.key]}
        return Witness(self.folder / name.replace("/", "_"), signer, logs, fetch, self.clock)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, Clock(), NoteSigner(ORIGIN, sha256(b"the log's key").digest()))


@pytest.fixture
def log(bench: Bench) -> Iterator[LogStore]:
    store = bench.open()
    yield store
    store.close()


@pytest.fixture
def gateway(bench: Bench, log: LogStore) -> Iterator[GatewayLog]:
    salts = count()
    openings = OpeningStore(bench.folder / "openings.db")
    yield GatewayLog(log, openings, clock=bench.clock, salt=lambda: next(salts).to_bytes(32, "big"))
    openings.close()


@pytest.fixture
def member() -> Callable[[int], Address]:
    """The address of a numbered member."""
    return lambda number: address_of(sha256(b"member %d" % number).digest()[:20])


@pytest.fixture
def entry(member: Callable[[int], Address]) -> Callable[[int], LogEntry]:
    """A numbered entry: five actors, seven versions, three kinds take turns."""

    def make(number: int) -> LogEntry:
        return LogEntry(
            kind=("retrieval", "refusal", "submission_accepted")[number % 3],
            time=1_700_000_000 + number,
            actor=member(number % 5),
            model="lab/urban",
            version="0x" + f"{number % 7:064x}",
            details={"number": number},
        )

    return make
