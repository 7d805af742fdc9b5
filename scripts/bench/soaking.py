"""Many submissions through one installation on anvil: memory by the thousand, latencies as percentiles.

    python scripts/bench/soaking.py RECORD COUNT       (scripts/soak submissions runs it)

The record is written after every thousand. Stopped in the middle, the next run begins a new installation and
goes on counting; the samples say where that was.
"""

import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from installation import Installation, on_anvil
from kit import percentile
from through import anvil, prepared

from registry.sdk.collecting import Collector
from registry.sdk.receipts import Receipt
from registry.sdk.submitting import Prepared, Submitter

ARRAY, IN_FLIGHT, SAMPLE = 200, 1_000, 1_000


class Run:
    """One client that keeps a bounded number of submissions under way."""

    def __init__(self, found: Installation, record: dict[str, object], path: Path) -> None:
        self._found = found
        self._record = record
        self._path = path
        self._seconds_before = float(str(record["seconds"]))
        self._taken: list[float] = []
        self._sealed: list[float] = []

    def go(self, first: int, count: int, weights: Path) -> None:
        """Submit numbers first … count − 1, and wait for the last receipt."""
        with self._found.client() as client:
            submitter, collector = Submitter(client._session), Collector(client._session.http)
            under_way: deque[tuple[list[Prepared], float]] = deque()
            begun = time.monotonic()
            done = first
            for works in _arrays(self._found, weights, first, count):
                sent = time.perf_counter()
                (outcomes,) = submitter.send_many(works)
                if refused := [refusal for refusal in outcomes if refusal is not None]:
                    raise RuntimeError(f"{len(refused)} were refused: {refused[0]}")
                self._taken.append(time.perf_counter() - sent)
                under_way.append((works, sent))
                while under_way and (len(under_way) * ARRAY >= IN_FLIGHT or done + _size(under_way) == count):
                    done += self._collect(collector, *under_way.popleft())
                    if done % SAMPLE == 0 or done == count:
                        self._sample(done, done - first, time.monotonic() - begun)

    def _collect(self, collector: Collector, works: list[Prepared], sent: float) -> int:
        receipts = collector.collect([[work.version_id for work in works]], 3_600)
        self._sealed.append(time.perf_counter() - sent)
        for receipt in receipts.values():
            if not isinstance(receipt, Receipt):
                raise RuntimeError(f"a submission has no receipt: {receipt}")
        return len(receipts)

    def _sample(self, done: int, here: int, seconds: float) -> None:
        samples = self._record["samples"]
        assert isinstance(samples, list)
        samples.append(
            {
                "count": done,
                "in_this_process": here,
                "memory_mib": {who: _mib(pid) for who, pid in self._found.processes.items()},
                "per_s": round(here / seconds, 1),
                "load": round(os.getloadavg()[0], 1),  # what else the machine did, and this
                "array_taken_s": _percentiles(self._taken),
                "array_sealed_s": _percentiles(self._sealed),
            }
        )
        self._record["count"] = done
        self._record["seconds"] = round(self._seconds_before + seconds, 1)
        self._path.write_text(json.dumps(self._record, indent=1) + "\n")
        print(f"submissions: {done}, {here / seconds:.0f}/s, {samples[-1]['memory_mib']}", flush=True)


def _arrays(found: Installation, weights: Path, first: int, count: int) -> Iterator[list[Prepared]]:
    for start in range(first, count, ARRAY):
        yield prepared(found, weights, min(ARRAY, count - start), "soak", start + 1)


def _size(under_way: deque[tuple[list[Prepared], float]]) -> int:
    return sum(len(works) for works, _sent in under_way)


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{round(100 * share)}": round(percentile(values, share), 3) for share in (0.5, 0.95, 0.99)}


def _mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))


def main(path: Path, count: int) -> None:
    """Go on from where the record stands."""
    record = json.loads(path.read_text())
    first = int(record["count"])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rpc = stack.enter_context(anvil(folder / "anvil"))
        found = stack.enter_context(on_anvil(folder, rpc, miners=1))
        weights = folder / "twin.csv"
        weights.write_text("a,b\n1,2\n")
        Run(found, record, path).go(first, count, weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
