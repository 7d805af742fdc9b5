"""A quiet namespace alone, and beside one at 20 times its share: its p99 of retrievals and of class-H seals.

The quiet member has one retrieval and one submission under way at a time, each as soon as the last one ended.
The other namespace has 20 of both without a pause, on 20 connections and as arrays of 20. Each calls from an
address of its own, as from machines of their own, and so does the miner.
`python scripts/bench/isolation.py HOME URL ARRAYS` is that namespace: a process, because in this one it would
take the interpreter from what is measured, and a nicer one, because it stands for other machines.
"""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from installation import Installation, on_anvil
from kit import ROOT, Result, percentile, seconds
from through import anvil

from registry.keystore import create_development_keystore
from registry.sdk import Client
from registry.sdk.submitting import Prepared, Submitter, Work

TIMES = 20
_FLOOD_ADDRESS, _QUIET_ADDRESS = "127.0.0.2", "127.0.0.3"
_SIZE = 64 << 10
_GRANT = 10**24
_PATH = "/v1/versions/local/flood@v1/files/twin.bin"


class _Took(defaultdict[str, list[float]]):
    """How long each act of a kind took."""

    def __init__(self) -> None:
        super().__init__(list)


def measure(*, full: bool) -> list[Result]:
    """Alone and beside the flood in turn, so that a busy moment of the machine hits both."""
    lasts_s, rounds = (120, 5) if full else (15, 2)
    with ExitStack() as stack:
        stack.enter_context(_calling_from(_QUIET_ADDRESS))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rpc = stack.enter_context(anvil(folder / "anvil"))
        found = stack.enter_context(on_anvil(folder, rpc, miners=1))
        quiet = stack.enter_context(_quiet(found))
        weights = folder / "twin.bin"
        weights.write_bytes(os.urandom(_SIZE))
        numbers = count(1)
        acts: dict[str, Callable[[], object]] = {
            "retrieval": lambda: quiet.retrieve("quiet/twin@v1", folder / f"retrieved-{next(numbers)}"),
            "seal": lambda: quiet.submit(
                "quiet/twin", [weights], {"description": f"quiet {next(numbers)}"}, fee="priority"
            ),
        }
        acts["seal"]()
        process = stack.enter_context(_flooding(found, arrays=rounds * lasts_s * 3))
        alone, beside = _Took(), _Took()
        downloads = seals = 0
        for _ in range(rounds):
            _phase(acts, lasts_s, alone)
            _say(process, "go")
            _phase(acts, lasts_s, beside)
            more = _say(process, "stop").split()
            downloads, seals = downloads + int(more[0]), seals + int(more[1])
    note = f"the flood meanwhile: {downloads:,} downloads and {seals:,} seals"
    return [
        _line(
            "p99 of a retrieval beside a namespace at 20 times the share", "retrieval", alone, beside, note
        ),
        _line("p99 of a class-H seal beside the same", "seal", alone, beside),
    ]


def _phase(acts: dict[str, Callable[[], object]], lasts_s: float, took: "_Took") -> None:
    """Each act one after the other, all of them side by side, and at least one of each."""
    end = time.monotonic() + lasts_s

    def repeat(kind: str) -> None:
        while True:
            took[kind].append(seconds(acts[kind]))
            if time.monotonic() > end:
                return

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(repeat, kind) for kind in acts]:
            done.result()


def _line(what: str, kind: str, alone: "_Took", beside: "_Took", note: str = "") -> Result:
    ratio = percentile(beside[kind], 0.99) / percentile(alone[kind], 0.99)
    return Result(what, _figure(beside[kind]), f"alone: {_figure(alone[kind])}", ratio, 2, note, at_most=True)


def _figure(took: list[float]) -> str:
    return (
        f"{1e3 * percentile(took, 0.99):.0f} ms (median {1e3 * percentile(took, 0.5):.0f}, of {len(took):,})"
    )


@contextmanager
def _calling_from(address: str) -> Iterator[None]:
    """What this process connects to over HTTP sees it at this address of the machine."""
    plain = http.client.HTTPConnection.__init__

    def bound(self: http.client.HTTPConnection, *given: Any, **named: Any) -> None:
        plain(self, *given, **{"source_address": (address, 0)} | named)

    with patch.object(http.client.HTTPConnection, "__init__", bound):
        yield


@contextmanager
def _quiet(found: Installation) -> Iterator[Client]:
    key = create_development_keystore(found.home.keys / "quiet.json")
    with found.client() as council:
        council.members.add(key.address, "quiet", ["submitter"], grant=_GRANT)
    with Client(found.url, "quiet", home=found.home.root) as client:
        yield client


@contextmanager
def _flooding(found: Installation, arrays: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, __file__, str(found.home.root), found.url, str(arrays)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            _heard(process)
            yield process
        finally:
            process.kill()


def _say(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return _heard(process)


def _heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        raise RuntimeError("the flood ended")
    return said


def main(home: str, url: str, arrays: int) -> None:
    """The flood: from each line `go` to the next `stop`, whose answer is what it was served."""
    with ExitStack() as stack:
        stack.enter_context(_calling_from(_FLOOD_ADDRESS))
        client = stack.enter_context(Client(url, "development", home=Path(home)))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        weights = Path(folder) / "twin.bin"
        weights.write_bytes(os.urandom(_SIZE))
        submitter = Submitter(client._session)
        works = [
            Work("local/flood", [weights], {"description": f"flood {n}"}, fee="priority")
            for n in range(arrays * TIMES)
        ]
        signed = [submitter.prepare_many(works[at : at + TIMES]) for at in range(0, len(works), TIMES)]
        client.submit("local/flood", [weights], {"description": "flood"}, fee="priority")
        os.nice(5)
        print("ready", flush=True)
        while sys.stdin.readline():
            _flood(submitter, url, signed)


def _flood(submitter: Submitter, url: str, arrays: list[list[Prepared]]) -> None:
    stopped = threading.Event()
    served = [0] * TIMES
    sealed = [0]

    def download(number: int) -> None:
        while not stopped.is_set():
            _download(url, stopped, served, number)

    def submit() -> None:
        while not stopped.is_set():
            if not arrays:
                print("too few were signed: a flood that dried up measures nothing", file=sys.stderr)
                os._exit(1)
            array = arrays.pop()
            submitter.register_many(array, 600)
            sealed[0] += len(array)

    threads = [threading.Thread(target=download, args=(number,)) for number in range(TIMES)]
    threads.append(threading.Thread(target=submit))
    for thread in threads:
        thread.start()
    print("flooding", flush=True)
    sys.stdin.readline()
    stopped.set()
    for thread in threads:
        thread.join()
    print(sum(served), sealed[0], flush=True)


def _download(url: str, stopped: threading.Event, served: list[int], number: int) -> None:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
    try:
        while not stopped.is_set():
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                served[number] += 1
            else:
                time.sleep(0.1)
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
