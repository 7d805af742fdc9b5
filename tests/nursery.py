"""`twinledger` as processes that start at once: forked from one that has read the code already.

Reading the code is nine tenths of a start. What is forked is a process of its own that runs the command's own
`main`, in the folder and the environment it was given, and may be killed like any other; nothing but the
modules is shared with those before it. `python -m registry.cli` itself is what tests/docs and
tests/e2e/test_interface_cli.py run.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NoReturn

PACKAGES = ("registry", "miners", "incentives", "contracts")
# What the code reads only when it is first needed.
LIBRARIES = (
    *("uvicorn.protocols.http.auto", "uvicorn.loops.auto", "uvicorn.lifespan.off", "alembic.command"),
    *("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.hazmat.backends.openssl.backend"),
)


@dataclass(frozen=True)
class Start:
    """What a command is given: its words, where it runs, and the files that are its three streams."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    stdin: str
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Child:
    """A command that was started; the part of Popen that its starters need."""

    pid: int
    nursery: "Nursery"

    def poll(self) -> int | None:
        """Its exit code, None while it runs; negative when a signal ended it."""
        return self.nursery.ask({"poll": self.pid})

    def wait(self, timeout: float = 600) -> int:
        """Its exit code when it ends."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} has not ended within {timeout} s")
            time.sleep(0.01)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end, as an operator would."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.send_signal(signal.SIGKILL)
        self.wait()


class Nursery:
    """Starts commands, and is the one that may wait for them."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._parent = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True)
        self._lock = Lock()

    def start(
        self,
        *arguments: object,
        folder: Path,
        environment: Mapping[str, str],
        stdout: Path = Path(os.devnull),
        stderr: Path = Path(os.devnull),
        stdin: Path = Path(os.devnull),
    ) -> Child:
        """Start a command; what it says goes behind what its files hold already."""
        words = [str(argument) for argument in arguments]
        streams = (str(path) for path in (stdin, stdout, stderr))
        pid = self.ask({"start": asdict(Start(words, str(folder), dict(environment), *streams))})
        assert pid is not None
        return Child(pid, self)

    def ask(self, question: dict[str, object]) -> int | None:
        """One question, one number."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        with self._lock:
            self._parent.stdin.write(json.dumps(question) + "\n")
            self._parent.stdin.flush()
            answer: int | None = json.loads(self._parent.stdout.readline())
        return answer

    def close(self) -> None:
        """End whatever still runs."""
        self._parent.communicate()


@cache
def nursery() -> Nursery:
    """The one of this test process."""
    made = Nursery()
    atexit.register(made.close)
    return made


class _Children:
    """What was forked here, and how it ended: a process can be waited for only once."""

    def __init__(self) -> None:
        self._codes: dict[int, int | None] = {}

    def start(self, start: Start) -> int:
        pid = os.fork() or _become(start)
        self._codes[pid] = None
        return pid

    def poll(self, pid: int) -> int | None:
        if self._codes[pid] is None:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._codes[pid] = os.waitstatus_to_exitcode(status)
        return self._codes[pid]

    def kill(self) -> None:
        for pid in self._codes:
            if self.poll(pid) is None:
                os.kill(pid, signal.SIGKILL)


def _become(start: Start) -> NoReturn:
    from registry.cli.app import main

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    ends = ((start.stdin, os.O_RDONLY), (start.stdout, flags), (start.stderr, flags))
    for stream, (path, how) in enumerate(ends):
        opened = os.open(path, how)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdin = os.fdopen(0)  # what the parent has read ahead is not this command's
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    main(start.arguments)
    raise AssertionError("main always exits")


def _read_the_code() -> None:
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            # What runs as it is read: a program, and what alembic reads for itself.
            if not module.name.endswith(("__main__", ".migrations.env")):
                importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()


if __name__ == "__main__":
    _read_the_code()
    children = _Children()
    for line in sys.stdin:
        question = json.loads(line)
        start = question.get("start")
        print(
            json.dumps(children.start(Start(**start)) if start else children.poll(question["poll"])),
            flush=True,
        )
    children.kill()
