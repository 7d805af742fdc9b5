"""A Kubo daemon through the whole service, against the command line of the same binary on the same daemon.

Ours: a client over a socket, the service with `store = "kubo"`, the daemon. The client names what it sends
and hashes what it reads; the service chunks, names and leases on the way in and hashes every block on the
way out. Theirs: `ipfs add` and `ipfs cat`, which ask the daemon themselves. Every add is of new bytes, every
read is of bytes that both have read before.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from installation import engine, installation
from kit import ROOT, Result, seconds, side_by_side
from store import MEGABYTE, UNLIMITED, cid_of, download, random_file, upload, warm

ROUNDS = 5


def measure(*, full: bool) -> list[Result]:
    """Medians of five, in turn."""
    size = (512 if full else 64) * MEGABYTE
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        daemons = stack.enter_context(engine("kubo", folder / "kubo"))
        api = daemons["TWINLEDGER_KUBO_API"].split(",")[0]
        ipfs = _command_line(folder / "kubo" / "repo1")
        settings = f'store = "kubo"\n[kubo]\napi = ["{api}/http"]\n{UNLIMITED}'
        client = stack.enter_context(stack.enter_context(installation(folder, settings)).client())
        warm(client, folder)
        ipfs("add", "-Q", str(random_file(folder, MEGABYTE, name="theirs")))
        files = _fresh(folder, size)
        ours, theirs = side_by_side(
            lambda: _timed(files, lambda path: upload(client, path, cid_of(path))),
            lambda: _timed(files, lambda path: ipfs("add", "-Q", "--progress=false", str(path))),
            ROUNDS,
        )
        path = random_file(folder, size, name="read")
        cid = cid_of(path)
        upload(client, path, cid)
        reads = (lambda: seconds(lambda: download(client, cid)), lambda: seconds(lambda: ipfs("cat", cid)))
        for read in reads:
            read()
        down, cat = side_by_side(*reads, ROUNDS)
    name = f"{size // MEGABYTE} MiB"
    return [
        _line(f"client, service, Kubo: add {name}", size, ours, "ipfs add", theirs, 0.3),
        _line(f"Kubo, service, client: verified get {name}", size, down, "ipfs cat", cat, 0.5),
    ]


def _fresh(folder: Path, size: int) -> Iterator[Path]:
    """Files that nobody holds; each takes the place of the last."""
    while True:
        yield random_file(folder, size, name="added")


def _timed(files: Iterator[Path], add: Callable[[Path], object]) -> float:
    path = next(files)  # written before the clock starts
    return seconds(lambda: add(path))


def _line(what: str, size: int, ours: float, command: str, theirs: float, target: float) -> Result:
    speed, bare = size / MEGABYTE / ours, size / MEGABYTE / theirs
    note = f"median of {ROUNDS}, warm; {ours:.2f} s and {theirs:.2f} s"
    return Result(what, f"{speed:.0f} MiB/s", f"{command}: {bare:.0f} MiB/s", theirs / ours, target, note)


def _command_line(repo: Path) -> Callable[..., None]:
    """The `ipfs` of the daemon of this repository; what it prints goes nowhere."""
    install = [str(ROOT / "scripts" / "devnet" / "kubo"), "install"]
    done = subprocess.run(install, check=True, capture_output=True, text=True)
    binary = done.stdout.splitlines()[-1]
    surroundings = {**os.environ, "IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off"}

    def ipfs(*words: str) -> None:
        subprocess.run([binary, *words], env=surroundings, check=True, stdout=subprocess.DEVNULL)

    return ipfs
