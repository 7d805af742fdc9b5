"""The store against one-pass sha-256 of the same bytes: bare, and through the service, client to client."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installation import installation
from kit import Result, seconds, side_by_side

from registry.core.cid import Cid
from registry.sdk import Client
from registry.sdk.files import pieces_of, read_files
from registry.storage.embedded import EmbeddedStore

PIECE = 1 << 20
MEGABYTE = 1 << 20
# Three gigabytes of one anonymous client are over the quota of an installation as it comes.
UNLIMITED = f"[quotas]\nanonymous_bytes = {1 << 40}\nall_bytes = {1 << 40}\n"


def bare(*, full: bool) -> list[Result]:
    """The embedded store alone."""
    size = (1024 if full else 256) * MEGABYTE
    with tempfile.TemporaryDirectory() as folder:
        path = random_file(Path(folder), size)
        stored: list[Cid] = []

        def add() -> None:
            # A store of its own each time: bytes that are held already would not be written again.
            with EmbeddedStore(Path(tempfile.mkdtemp(dir=folder))) as store:
                stored.append(store.put(pieces_of(path)).cid)

        hashing, adding = side_by_side(lambda: seconds(lambda: _sha256(path)), lambda: seconds(add), 3)
        with EmbeddedStore(Path(folder) / "store") as store:
            cid = store.put(pieces_of(path)).cid
            again, reading = side_by_side(
                lambda: seconds(lambda: _sha256(path)), lambda: seconds(lambda: _drain(store.get(cid))), 3
            )
    name = f"{size // MEGABYTE} MiB"
    return [
        _line(f"store: add {name}", size, adding, hashing, 0.2),
        _line(f"store: verified read {name}", size, reading, again, 0.4),
    ]


def through_service(*, full: bool) -> list[Result]:
    """PUT and GET of one file over a real socket; the service is a process of its own."""
    size = (1024 if full else 256) * MEGABYTE
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = stack.enter_context(installation(folder, UNLIMITED))
        client = stack.enter_context(found.client())
        warm(client, folder)
        idle = found.memory()
        with _watch(found.memory) as peak:
            up, hashing, cids = _upload(client, folder, size)
            again, down = side_by_side(
                lambda: seconds(lambda: _sha256(folder / "0")),
                lambda: seconds(lambda: download(client, cids[0])),
                3,
            )
    name = f"{size // MEGABYTE} MiB"
    above = (max(peak) - idle) / MEGABYTE
    return [
        _line(f"client to service: upload {name}", size, up, hashing, 0.1),
        _line(f"service to client: verified download {name}", size, down, again, 0.15),
        Result(
            "memory of the service above idle meanwhile",
            f"{above:.0f} MiB",
            "64 MiB",
            above / 64,
            1,
            at_most=True,
        ),
    ]


def _upload(client: Client, folder: Path, size: int) -> tuple[float, float, list[str]]:
    paths = [random_file(folder, size, name=str(number)) for number in range(3)]
    cids = [cid_of(path) for path in paths]
    left = iter(zip(paths, cids, strict=True))
    hashing, up = side_by_side(
        lambda: seconds(lambda: _sha256(paths[0])), lambda: seconds(lambda: upload(client, *next(left))), 3
    )
    return up, hashing, cids


def warm(client: Client, folder: Path) -> None:
    """One upload and one download that nobody measures."""
    path = random_file(folder, MEGABYTE, name="warm")
    cid = cid_of(path)
    upload(client, path, cid)
    download(client, cid)


def cid_of(path: Path) -> str:
    """What a client names a file before it sends it."""
    return str(read_files([path])[0].entry.cid)


def upload(client: Client, path: Path, cid: str) -> None:
    """Send a file to the service."""
    client.http.upload(f"/v1/content/{cid}", pieces_of(path), size=path.stat().st_size)


def download(client: Client, cid: str) -> None:
    """Read a file from the service, hashing it."""
    running = hashlib.sha256()  # a client that verifies nothing would not be a client of ours
    with client.http.stream(f"/v1/content/{cid}") as response:
        while piece := response.read(PIECE):
            running.update(piece)


def _line(what: str, size: int, ours: float, hashing: float, target: float) -> Result:
    speed, hashed = size / MEGABYTE / ours, size / MEGABYTE / hashing
    return Result(
        what, f"{speed:.0f} MiB/s", f"sha-256 in one pass: {hashed:.0f} MiB/s", hashing / ours, target
    )


def random_file(folder: Path, size: int, name: str = "file") -> Path:
    """So many bytes that no store holds yet."""
    path = folder / name
    with path.open("wb") as file:
        for _ in range(0, size, PIECE):
            file.write(os.urandom(PIECE))
    return path


def _sha256(path: Path) -> None:
    running = hashlib.sha256()
    for piece in pieces_of(path):
        running.update(piece)


def _drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


@contextmanager
def _watch(memory: Callable[[], int]) -> Iterator[list[int]]:
    """Samples of the resident memory while the block runs."""
    samples = [memory()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            samples.append(memory())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
