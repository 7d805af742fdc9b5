"""Clients under whose hands things break: they submit in arrays and retrieve, and repeat what is Unavailable.

Everything but Unavailable is kept and fails the test: a fault of a part is no fault of the caller.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from conftest import write_weights

from registry.errors import RegistryError, Unavailable
from registry.sdk import Client
from registry.sdk.submitting import Work

T = TypeVar("T")
_ARRAY = 8
_PATIENCE_S = 240


@dataclass
class Load:
    """What two submitters and a reader saw of one gateway."""

    home: Path
    folder: Path
    acknowledged: dict[str, int] = field(default_factory=dict)
    retrieved: int = 0
    unavailable: list[Unavailable] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work until the block ends."""
        with Client(home=self.home) as client:
            client.submit("local/read", [write_weights(self.folder / "read.safetensors", 1)], {})
        workers = [threading.Thread(target=self._guarded, args=(self._submit, n)) for n in range(2)]
        workers.append(threading.Thread(target=self._guarded, args=(self._retrieve, 2)))
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._stop.set()
            for worker in workers:
                worker.join(_PATIENCE_S)
        assert self.broken == []
        assert not any(worker.is_alive() for worker in workers)

    def eventually(self, holds: Callable[[], bool]) -> None:
        """The limit only keeps a broken run from hanging."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            assert self.broken == []
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.02)

    def goes_on(self) -> None:
        """Wait until two more arrays were acknowledged and something more was read."""
        acknowledged, retrieved = len(self.acknowledged) + 2 * _ARRAY, self.retrieved
        self.eventually(lambda: len(self.acknowledged) >= acknowledged and self.retrieved > retrieved)

    def meets_the_fault(self) -> None:
        """Wait until somebody was told that a part is away."""
        known = len(self.unavailable)
        self.eventually(lambda: len(self.unavailable) > known)

    def _guarded(self, work: Callable[[Client, int], None], number: int) -> None:
        try:
            with Client(home=self.home) as client:
                work(client, number)
        except BaseException as e:  # a thread's error would be printed and forgotten
            self.broken.append(e)

    def _submit(self, client: Client, number: int) -> None:
        weights = write_weights(self.folder / f"load-{number}.safetensors", 2 + number)
        for turn in count():
            if self._stop.wait(0.2):
                return
            salts = [f"0x{number:08x}{turn:028x}{item:028x}" for item in range(_ARRAY)]
            works = [Work(f"local/load-{number}", [weights], {}, salt=salt) for salt in salts]
            for result in self._heard(partial(client.submit_many, works, wait=False)):
                if isinstance(result, RegistryError):
                    raise result
                version_id = result.version_id
                self.acknowledged[version_id] = self.acknowledged.get(version_id, 0) + 1

    def _retrieve(self, client: Client, _number: int) -> None:
        for turn in count():
            if self._stop.wait(0.1):
                return
            self._heard(partial(client.retrieve, "local/read", self.folder / f"read-{turn % 4}"))
            self.retrieved += 1

    def _heard(self, act: Callable[[], T]) -> T:
        """What a caller does with an Unavailable: the same again."""
        while True:
            try:
                return act()
            except Unavailable as e:
                self.unavailable.append(e)
                time.sleep(0.2)


def sealed_once_and_charged_once(client: Client, version_ids: set[str]) -> None:
    """Each is one version of its model, and one debit of its size in its submitter's statement."""
    versions = [version for model in client.models() for version in client.versions(model.model)]
    ids = [version.version_id for version in versions]
    assert len(ids) == len(set(ids))
    assert version_ids <= set(ids)
    statement = list(client.account.statement())
    assert sorted(str(entry.subject) for entry in statement if entry.reason == "fee") == sorted(ids)
    assert int(statement[-1].balance) == int(client.account.show().balance)
