"""Registrations through the whole service on anvil, against the naive contract over the same path.

Ours: manifests in CARs, submissions in arrays of 200 over HTTP, sealed by a miner that is a process of its
own, receipts by the page, each verified. The submissions are hashed and signed before the clock starts,
because that is their submitters' work and not the service's; the naive transactions are, too.
Naive: each model's transaction goes over HTTP to a service of its own (naive_relay.py), which hands it to the
same node, awaits its receipt and answers with it.
"""

import gc
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installation import RICH, Installation, engine, on_anvil
from kit import NAIVE_GAS, ROOT, Result, naive_call, naive_code, sign

from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.sdk.receipts import Receipt
from registry.sdk.submitting import Prepared, Submitter, Work

WHAT = "registrations per second on anvil through the whole service"
_TICK = os.sysconf("SC_CLK_TCK")


def measure(*, full: bool) -> list[Result]:
    """One miner: the cores are few."""
    items = 20_000 if full else 2_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rpc = stack.enter_context(anvil(folder / "anvil"))
        found = stack.enter_context(on_anvil(folder, rpc, miners=1))
        relay = stack.enter_context(_relay(rpc))
        weights = folder / "twin.csv"
        weights.write_text("a,b\n1,2\n")
        registered(found, prepared(found, weights, 400, "warm"))
        single = _one_by_one(found, weights, 5)
        naive = _naive(rpc, relay, 100)
        works = prepared(found, weights, items, "bench")
        before = busy(found)
        rate = registered(found, works)
        spent = {name: cpu - before[name] for name, cpu in busy(found).items()}
        naive = (naive + _naive(rpc, relay, 100)) / 2
    each = ", ".join(f"{name} {1000 * cpu / items:.2f}" for name, cpu in spent.items())
    note = (
        f"{items:,} signed before, every receipt verified; one by one {single:.1f}/s; "
        f"milliseconds of processor time per registration: {each}"
    )
    return [
        Result(WHAT, f"{rate:.0f}/s", "1,000/s", rate / 1_000, 1, note),
        Result(f"{WHAT}, against naive", f"{rate:.0f}/s", f"naive: {naive:.0f}/s", rate / naive, 8),
    ]


def prepared(found: Installation, weights: Path, count: int, run: str, first: int = 1) -> list[Prepared]:
    """Signed submissions of one model: a manifest each, and one small file that all of them name."""
    works = [
        Work(f"local/{run}", [weights], {"description": f"{run} {n}"}, salt=n.to_bytes(32, "big"))
        for n in range(first, first + count)
    ]
    with found.client() as client:
        return Submitter(client._session).prepare_many(works)  # the step before what is measured


def registered(found: Installation, works: list[Prepared]) -> float:
    """Registrations per second, from the first byte sent to the last receipt verified."""
    # What was signed before the clock starts is nothing that a client looks through for garbage after it.
    gc.collect()
    gc.freeze()
    with found.client() as client:
        start = time.perf_counter()
        receipts = Submitter(client._session).register_many(works, 1_800)
        whole = time.perf_counter() - start
    refused = [one for one in receipts if not isinstance(one, Receipt)]
    if refused:
        raise RuntimeError(f"{len(refused)} of {len(works)} have no receipt: {refused[0]}")
    return len(works) / whole


def _one_by_one(found: Installation, weights: Path, count: int) -> float:
    with found.client() as client:
        start = time.perf_counter()
        for number in range(count):
            client.submit("local/single", [weights], {"description": f"single {number}"})
        return count / (time.perf_counter() - start)


def _naive(rpc: str, relay: int, count: int) -> float:
    link = RpcChain([rpc], confirmations=0)
    connection = http.client.HTTPConnection("127.0.0.1", relay, timeout=60)
    try:
        place = Sender(link, RICH).send(None, naive_code()).contract_address
        nonce = link.nonce(RICH.address)
        signed = [
            sign(link, RICH, place, naive_call(number), nonce=nonce + number, gas=NAIVE_GAS, value=7)
            for number in range(count)
        ]
        start = time.perf_counter()
        for raw in signed:
            connection.request("POST", "/", raw)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"the naive service answered {response.status}")
        return count / (time.perf_counter() - start)
    finally:
        connection.close()
        link.close()


def busy(found: Installation) -> Mapping[str, float]:
    """Seconds of processor time that each process has used, this one (the client) included."""
    return {name: _cpu(pid) for name, pid in {**found.processes, "client": os.getpid()}.items()}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def _relay(rpc: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("naive_relay.py")), rpc],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        said = re.search(r"relays at (\d+)", process.stdout.readline())
        if said is None:
            raise RuntimeError("the naive service did not start")
        yield int(said[1])
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def anvil(folder: Path) -> Iterator[str]:
    """One anvil, by its address."""
    with engine("anvil", folder) as found:
        yield found["TWINLEDGER_ANVIL"]
