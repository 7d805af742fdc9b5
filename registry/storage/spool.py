"""A CAR on the local disk on its way to a store that must be given the whole at once, perhaps twice."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from registry.core.cid import RAW, Cid
from registry.storage.car import car_header, frame_prefix
from registry.storage.reader import children
from registry.storage.room import disk


class Spool:
    """A temporary CAR that disappears with its block; `tops` are the blocks that no other block links to."""

    def __init__(self) -> None:
        self.blocks = 0
        self._known: set[Cid] = set()
        self._linked: set[Cid] = set()
        with disk(Path(tempfile.gettempdir())):
            # The handle must outlive this call: __exit__ closes it, and with it the file goes.
            self._file = tempfile.NamedTemporaryFile(prefix="twinledger-", suffix=".car")  # noqa: SIM115
        # The root is known last; the header of one root has a fixed length, and `seal` overwrites it.
        self._write(car_header((Cid(RAW, bytes(32)),)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def path(self) -> Path:
        """The file, complete after `seal`."""
        return Path(self._file.name)

    @property
    def tops(self) -> tuple[Cid, ...]:
        """What a pin must name so that every block is kept."""
        return tuple(sorted(self._known - self._linked))

    @property
    def is_self_contained(self) -> bool:
        """Whether every link leads to a block of this CAR."""
        return self._linked <= self._known

    @property
    def cids(self) -> tuple[Cid, ...]:
        """Every block."""
        return tuple(sorted(self._known))

    def add(self, cid: Cid, block: bytes) -> None:
        """Take a verified block; a second time is fine."""
        if cid in self._known:
            return
        self._known.add(cid)
        self._linked.update(children(cid, block))
        self.blocks += 1
        self._write(frame_prefix(cid, block))
        self._write(block)

    def seal(self, root: Cid) -> None:
        """Name the root and write out what is still in memory."""
        with disk(self.path.parent):
            self._file.seek(0)
            self._file.write(car_header((root,)))
            self._file.flush()

    def _write(self, raw: bytes) -> None:
        with disk(self.path.parent):
            self._file.write(raw)
