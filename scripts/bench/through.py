"""Registrations through the whole service on anvil, against the naive contract on the same chain and path.

Ours: one CAR with every manifest, submissions in arrays over HTTP, sealed by miners that are processes of
their own, every receipt fetched and verified by the client. Naive over the same service path: each model's
signed transaction goes to the gateway one by one (`POST /v1/transactions` cannot take another contract's,
so it goes to the node itself, which flatters it), its receipt awaited.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installation import RICH, Installation, on_anvil
from kit import NAIVE_GAS, ROOT, Result, mined, naive_call, naive_code, sign

from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.sdk.receipts import Receipt
from registry.sdk.submitting import Work

WHAT = "registrations per second on anvil through the whole service"


def measure(*, full: bool) -> list[Result]:
    """One miner: the cores are few."""
    items = 20_000 if full else 400
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rpc = stack.enter_context(anvil(folder / "anvil"))
        found = stack.enter_context(on_anvil(folder, rpc, miners=1))
        weights = folder / "twin.csv"
        weights.write_text("a,b\n1,2\n")
        _submit(found, weights, 50, "warm")
        single = _one_by_one(found, weights, 5)
        naive = _naive(rpc, 50)
        sealed = _submit(found, weights, items, "bench")
        naive = (naive + _naive(rpc, 50)) / 2
    spread = f"{items:,} by `submit_many`, every receipt verified; one by one {single:.1f}/s"
    return [
        Result(WHAT, f"{sealed:.0f}/s", "1,000/s", sealed / 1_000, 1, spread),
        Result(f"{WHAT}, against naive", f"{sealed:.0f}/s", f"naive: {naive:.0f}/s", sealed / naive, 8),
    ]


def _submit(found: Installation, weights: Path, count: int, run: str) -> float:
    """Registrations per second: hashing, signing, receipts and their verification included."""
    works = [
        Work(f"local/{run}", [weights], {"description": f"{run} {n}"}, salt=n.to_bytes(32, "big"))
        for n in range(1, count + 1)
    ]
    with found.client() as client:
        start = time.perf_counter()
        receipts = client.submit_many(works, timeout_s=1_800)
        whole = time.perf_counter() - start
    refused = [receipt for receipt in receipts if not isinstance(receipt, Receipt)]
    if refused:
        raise RuntimeError(f"{len(refused)} of {count} have no receipt: {refused[0]}")
    return count / whole


def _one_by_one(found: Installation, weights: Path, count: int) -> float:
    with found.client() as client:
        start = time.perf_counter()
        for number in range(count):
            client.submit("local/single", [weights], {"description": f"single {number}"})
        return count / (time.perf_counter() - start)


def _naive(rpc: str, count: int) -> float:
    link = RpcChain([rpc], confirmations=0)
    try:
        place = Sender(link, RICH).send(None, naive_code()).contract_address
        nonce = link.nonce(RICH.address)
        start = time.perf_counter()
        for number in range(count):
            raw = sign(link, RICH, place, naive_call(number), nonce=nonce + number, gas=NAIVE_GAS, value=7)
            mined(link, link.send(raw))
        return count / (time.perf_counter() - start)
    finally:
        link.close()


@contextmanager
def anvil(folder: Path) -> Iterator[str]:
    devnet = str(ROOT / "scripts" / "devnet" / "anvil")
    subprocess.run([devnet, "start", "--dir", str(folder)], check=True, capture_output=True)
    try:
        done = subprocess.run(
            [devnet, "env", "--dir", str(folder)], check=True, capture_output=True, text=True
        )
        yield dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())[
            "TWINLEDGER_ANVIL"
        ]
    finally:
        subprocess.run([devnet, "stop", "--dir", str(folder)], check=True, capture_output=True)
