"""`twinledger` as a process that starts at once: forked from one that has read the code already.

Reading the code is nine tenths of a start. What is forked is a process of its own that runs the command's own
`main` and may be killed like any other; nothing but the modules is shared with those before it.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

CODE = ("registry.cli.app", "registry.cli.serving", "registry.wiring.up", "registry.api.app")


@dataclass(frozen=True)
class Child:
    """A command that was started; the part of Popen that its starter needs."""

    pid: int
    nursery: "Nursery"

    def poll(self) -> int | None:
        """Its exit code, None while it runs; negative when a signal ended it."""
        return self.nursery.ask({"poll": self.pid})

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code when it ends; a limit is the nursery's reader's to keep."""
        code = self.nursery.ask({"wait": self.pid})
        assert code is not None
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; it is there until it was waited for."""
        os.kill(self.pid, number)


class Nursery:
    """Starts commands, and is the one that may wait for them."""

    def __init__(self) -> None:
        self._parent: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parent is not None:
            self._parent.communicate()

    def start(self, arguments: list[str], log: Path) -> Child:
        """Start a command; what it says goes behind the log."""
        pid = self.ask({"start": arguments, "log": str(log)})
        assert pid is not None
        return Child(pid, self)

    def ask(self, question: dict[str, object]) -> int | None:
        """One question, one number."""
        if self._parent is None:
            pipe = subprocess.PIPE
            self._parent = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True)
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(question) + "\n")
        self._parent.stdin.flush()
        answer: int | None = json.loads(self._parent.stdout.readline())
        return answer


def _answer(question: dict[str, object], running: set[int]) -> int | None:
    if "start" in question:
        started = os.fork() or _become(question)
        running.add(started)
        return started
    flag = os.WNOHANG if "poll" in question else 0
    pid, status = os.waitpid(int(str(question.get("poll") or question["wait"])), flag)
    running.discard(pid)
    return os.waitstatus_to_exitcode(status) if pid else None


def _become(question: dict[str, object]) -> NoReturn:
    from registry.cli.app import main

    log = os.open(str(question["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for taken, given in ((0, nothing), (1, log), (2, log)):
        os.dup2(given, taken)
    arguments = question["start"]
    assert isinstance(arguments, list)
    main([str(argument) for argument in arguments])
    raise AssertionError("main always exits")


if __name__ == "__main__":
    for name in CODE:
        importlib.import_module(name)
    children: set[int] = set()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), children)), flush=True)
    for child in children:
        os.kill(child, signal.SIGKILL)
