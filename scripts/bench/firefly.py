"""FireFly, the chain gateway, beside ours in one run: registrations through REST on the same anvil.

Theirs: a transaction of the naive contract each; FireFly builds, signs, sends and follows it to its receipt.
Ours: submissions signed before by their submitters, sealed by a miner, receipts verified.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from crowd import crowd, post
from firefly_server import VERSION, firefly
from installation import Installation, on_anvil
from kit import Result, side_by_side
from through import anvil, prepared, registered

from registry.sdk.carrying import upload_small
from registry.sdk.collecting import Collector
from registry.sdk.receipts import Receipt
from registry.sdk.submitting import Prepared

CLIENTS = 32
ROUNDS = 3
# FireFly's own long run of 1.5.0rc1 on two nodes, as its release test reports it: nothing was measured here.
PUBLISHED = 26.6


def measure(*, full: bool) -> list[Result]:
    """Both are warm before the clock starts."""
    ours, theirs = (10_000, 1_000) if full else (1_000, 200)
    with ExitStack() as stack:
        # PostgreSQL runs as another user, who must reach its folder.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        folder.chmod(0o755)
        rpc = stack.enter_context(anvil(folder / "anvil"))
        found = stack.enter_context(on_anvil(folder, rpc, miners=1))
        peer = stack.enter_context(firefly(folder / "firefly", rpc))
        weights = folder / "twin.csv"
        weights.write_text("a,b\n1,2\n")
        runs = count()

        def fresh(size: int) -> list[Prepared]:
            return prepared(found, weights, size, f"run{next(runs)}")

        registered(found, fresh(400))
        peer.register(100, CLIENTS)
        arrays, there = side_by_side(
            lambda: registered(found, fresh(ours)),
            lambda: theirs / peer.register(theirs, CLIENTS),
            ROUNDS,
        )
        single, alike = side_by_side(
            lambda: _one_by_one(found, fresh(theirs // 2)),
            lambda: theirs / 2 / peer.register(theirs // 2, CLIENTS),
            ROUNDS,
        )
    what = "registrations per second through REST on anvil"
    return [
        Result(
            f"{what}, each in its best way",
            f"{arrays:.0f}/s, 1 client, 200 a request",
            f"FireFly {VERSION}: {there:.0f}/s, {CLIENTS} clients, a transaction each",
            arrays / there,
            1,
            f"medians of {ROUNDS} of {ours:,}, {theirs:,}; FireFly's core, signer, transaction manager and "
            "a connector of ours, which does less than its own: modules/firefly/connector says why",
        ),
        Result(
            f"{what}, one a request, {CLIENTS} clients",
            f"{single:.0f}/s",
            f"FireFly {VERSION}: {alike:.0f}/s",
            single / alike,
            1,
            f"medians of {ROUNDS} of {theirs // 2:,}",
        ),
        Result(
            f"{what}, against its published figure",
            f"{arrays:.0f}/s",
            f"FireFly 1.5.0rc1, published and not run: {PUBLISHED}/s",
            arrays / PUBLISHED,
            1,
            "two nodes on other machines: the ratio says little, the figure is FireFly's own",
        ),
    ]


def _one_by_one(found: Installation, works: Sequence[Prepared]) -> float:
    """Registrations per second of many clients that each carry one at a time, until all have receipts."""
    requests = [post("/v1/submissions", work.signed.model_dump(mode="json")) for work in works]
    with found.client() as client:
        upload_small(client._session.http, works)
        start = time.perf_counter()
        crowd(urlsplit(found.url).port or 80, requests, CLIENTS)
        receipts = Collector(client._session.http).collect([[work.version_id for work in works]], 600)
        took = time.perf_counter() - start
    if not all(isinstance(receipt, Receipt) for receipt in receipts.values()):
        raise RuntimeError("a submission has no receipt")
    return len(works) / took
