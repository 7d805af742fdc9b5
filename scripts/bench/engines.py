"""Peers written in Go: built on first use into the cache, from modules pinned here; run on loopback."""

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

MODULES = Path(__file__).parent / "modules"
_PATIENCE_S = 120


def cache() -> Path:
    """Where peers are kept, outside the clone."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "twinledger"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def built(module: str, package: str) -> Path:
    """The program of a package of modules/MODULE, whose go.sum names every byte that it is made of."""
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(f"{package} is built by Go, and go is not on this machine")
    pinned = hashlib.sha256()
    for path in sorted((MODULES / module).rglob("*.*")):
        pinned.update(path.read_bytes())
    program = cache() / f"{module}-{pinned.hexdigest()[:16]}" / package.rpartition("/")[2]
    with (cache() / f"{module}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            # -p 1 is slow and leaves the machine to others: it happens once.
            command = ["nice", "-n", "15", go, "build", "-p", "1", "-mod=readonly", "-buildvcs=false"]
            subprocess.run(
                [*command, "-o", str(program), package],
                cwd=MODULES / module,
                check=True,
                env={**os.environ, "CGO_ENABLED": "0"},
            )
    return program


def module_folder(module: str, path: str) -> Path:
    """Where the sources of a module that modules/MODULE needs lie."""
    command = ["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path]
    done = subprocess.run(command, cwd=MODULES / module, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in held]


@contextmanager
def program(
    command: Sequence[str], log: Path, answers: str, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process whose HTTP address answers, by its pid; its output stands in the log."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=log.parent, env={**os.environ, **(env or {})}
        )
    try:
        _await(process, log, answers)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _await(process: "subprocess.Popen[bytes]", log: Path, answers: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urlopen(answers, timeout=5):  # noqa: S310
                return
        except URLError as e:
            if getattr(e, "code", None) is not None:
                return  # it answers, if only to say that there is nothing here
            time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text()[-2_000:]}")
