"""Rekor v2, Sigstore's transparency log, beside our gateway's log in one run over loopback.

Theirs: an entry is the signed digest of something, answered once a checkpoint covers it. Ours: a signed
submission, judged against the consortium, durable in the log, answered with a signed promise; the clock runs
until a checkpoint covers them all. What has no counterpart in Rekor is left out: the content is uploaded
before, and nothing is sealed on the chain meanwhile.
"""

import json
import tempfile
import time
from contextlib import ExitStack, closing
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from crowd import crowd, post
from installation import Installation, on_anvil
from kit import Result, actor, log_entry, seconds, side_by_side
from rekor_server import VERSION, Rekor, rekor
from through import anvil, prepared

from registry.audit.completeness import Answer, Trust, page, page_to_json, verify_page
from registry.audit.logstore import LogStore
from registry.core.checkpoint import Checkpoint
from registry.core.note import Note, NoteSigner
from registry.sdk import Client
from registry.sdk.carrying import upload_small

PER_KEY = 20
ROUNDS = 3
CROWD, LARGE_CROWD = 64, 2_048
ARRAY = 200
FEW = 10
_NAME = f"Rekor {VERSION}"
_BEST = "[log]\ncheckpoint_s = 0.1\n"


def measure(*, full: bool) -> list[Result]:
    """Entries per second, then everything of one key in a grown log."""
    alike, best, size = (1_000, 8_000, 100_000) if full else (200, 1_000, 20_000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rpc = stack.enter_context(anvil(folder / "anvil"))
        ours_slow = Gateway(stack.enter_context(on_anvil(folder / "alike", rpc, miners=0)), folder)
        ours_fast = Gateway(stack.enter_context(on_anvil(folder / "best", rpc, 0, _BEST)), folder)
        slow = stack.enter_context(rekor(folder / "slow", "1s", 1))
        fast = stack.enter_context(rekor(folder / "fast", "100ms", size // PER_KEY))
        singly = side_by_side(
            lambda: ours_slow.send(alike, 1, CROWD) / alike, lambda: slow.send(alike, CROWD) / alike, ROUNDS
        )
        many = 2 * LARGE_CROWD
        arrays, at_best = side_by_side(
            lambda: ours_fast.send(best, ARRAY, 2) / best, lambda: fast.send(many, LARGE_CROWD) / many, ROUNDS
        )
        single = side_by_side(lambda: ours_fast.promise(FEW), lambda: fast.send(FEW, 1) / FEW, ROUNDS)
        fast.send(size - len(fast), LARGE_CROWD)
        asked = _asked(folder, fast, size)
    what = "signed entries per second until a checkpoint covers them"
    return [
        _rates(
            f"{what}, {CROWD} clients, one entry a request, a checkpoint a second",
            singly,
            ("", ""),
            f"{alike:,}; Rekor's clients wait for the checkpoint, ours for a signed promise",
        ),
        _rates(
            f"{what}, each in its best way",
            (arrays, at_best),
            (f", 2 clients, {ARRAY} entries a request", f", {LARGE_CROWD:,} clients"),
            f"{best:,} and {many:,}; a checkpoint in 100 ms; Rekor takes one entry a request",
        ),
        Result(
            "time until a single client has a signed word for its entry",
            f"{1e3 * single[0]:.0f} ms, a promise of the durable entry",
            f"{_NAME}: {1e3 * single[1]:.0f} ms, a proof; a checkpoint in 100 ms",
            single[1] / single[0],
            1,
            f"median of {ROUNDS} means of {FEW}",
        ),
        *asked,
    ]


def _rates(what: str, each: tuple[float, float], ways: tuple[str, str], note: str) -> Result:
    """From the seconds that an entry takes of ours and of theirs."""
    return Result(
        what,
        f"{1 / each[0]:.0f}/s{ways[0]}",
        f"{_NAME}: {1 / each[1]:.0f}/s{ways[1]}",
        each[1] / each[0],
        1,
        f"medians of {ROUNDS} of {note}",
    )


class Gateway:
    """Our gateway, and signed submissions to send it; their signing and their content are not timed."""

    def __init__(self, found: Installation, folder: Path) -> None:
        self._found = found
        self._port = urlsplit(found.url).port or 80
        self._weights = folder / "twin.csv"
        self._weights.write_text("a,b\n1,2\n")
        self._runs = count()

    def send(self, how_many: int, at_once: int, clients: int) -> float:
        """Seconds until new submissions are in the log under a checkpoint."""
        with self._found.client() as client:
            requests = self._fresh(client, how_many, at_once)
            before = _size(client.audit.checkpoint("gateway"))
            start = time.perf_counter()
            _check(crowd(self._port, requests, clients)[1], how_many)
            while _size(client.audit.checkpoint("gateway")) < before + how_many:
                time.sleep(0.01)
            return time.perf_counter() - start

    def promise(self, how_many: int) -> float:
        """Seconds until a single client has the promise for its submission, on average."""
        with self._found.client() as client:
            took, answers = crowd(self._port, self._fresh(client, how_many, 1), 1)
        _check(answers, how_many)
        return took / how_many

    def _fresh(self, client: Client, how_many: int, at_once: int) -> list[bytes]:
        works = prepared(self._found, self._weights, how_many, f"run{next(self._runs)}")
        upload_small(client._session.http, works)
        bodies = [work.signed.model_dump(mode="json") for work in works]
        parts = [bodies[first : first + at_once] for first in range(0, how_many, at_once)]
        return [post("/v1/submissions", part if at_once > 1 else part[0]) for part in parts]


def _check(answers: list[bytes], how_many: int) -> None:
    taken = [json.loads(answer) for answer in answers]
    promised = [one for some in taken for one in (some if isinstance(some, list) else [some])]
    if len(promised) != how_many or not all(one.get("promise") for one in promised):
        raise RuntimeError(f"a submission has no promise: {promised[0]}")


def _size(checkpoint: bytes) -> int:
    return Checkpoint.parse(Note.parse(checkpoint).text).size


def _asked(folder: Path, theirs: Rekor, size: int) -> list[Result]:
    """Both logs hold as many entries of as many signers; both answers are checked against the checkpoint."""
    signer = NoteSigner("bench/gateway", sha256(b"bench").digest())
    trust = Trust(signer.key.name, (signer.key,))
    with closing(LogStore(folder / "log.db", signer, lambda: int(time.time()))) as log:
        _fill(log, size)
        keys = [f"actor:{actor(number * 37 % (size // PER_KEY))}" for number in range(100)]

        def checked(key: str) -> Answer:
            return verify_page(page(log, key), trust)

        if any(len(checked(key).entries) != PER_KEY for key in keys):
            raise RuntimeError("a signer has other entries than it was given")
        ours = median(seconds(partial(checked, key)) for key in keys)
        moved = median(len(json.dumps(page_to_json(page(log, key)))) for key in keys)
    answers = [theirs.of_key(theirs.public_key(number)) for number in range(2)]
    if any(len(found) != PER_KEY for found, _ in answers):
        raise RuntimeError("a key of Rekor's has other entries than it was given")
    took = median(seconds(partial(theirs.of_key, theirs.public_key(number))) for number in range(3))
    read = answers[0][1]
    what = f"every entry of one signer, {PER_KEY} of {size:,}, proved complete"
    return [
        Result(
            what,
            f"{1e3 * ours:.2f} ms",
            f"{_NAME}: {1e3 * took:.0f} ms, all its entries read and hashed",
            took / ours,
            10,
            "both from local files, both by the same Python; Rekor v2 has no index to ask",
        ),
        Result(
            f"{what}: bytes a client needs",
            f"{moved / 1024:.1f} KiB",
            f"{_NAME}: {read / 1024:,.0f} KiB",
            read / moved,
            100,
        ),
    ]


def _fill(log: LogStore, size: int) -> None:
    signers = size // PER_KEY
    for first in range(0, size, 5_000):
        numbers = range(first, min(first + 5_000, size))
        log.append([log_entry(number, number % signers, number % signers) for number in numbers])
        log.publish()
