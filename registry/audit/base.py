"""What a log promises to the rest of the gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.core.log import LogEntry, Recorded
from registry.core.smt import MapProof


class Log(Protocol):
    """A log as the rest of the gateway sees it; tests/unit/audit/test_logstore.py holds backends to it.

    - `append` is durable when it returns; the bytes are never changed and never move;
    - `checkpoint` covers a prefix; proofs are for it, and for sizes before it;
    - what it answers verifies against its checkpoint, or raises.
    """

    @property
    def origin(self) -> str: ...
    def append(self, entries: Sequence[LogEntry]) -> list[Recorded]: ...
    def checkpoint(self) -> bytes: ...
    def entry(self, index: int) -> Recorded: ...
    def inclusion(self, index: int, size: int) -> list[bytes]: ...
    def consistency(self, old: int, new: int) -> list[bytes]: ...
    def tile(self, path: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key under one checkpoint: its entries' tree, the map's proof, and the checkpoint itself."""

    key: str
    tree: int
    count: int
    edge: Mapping[tuple[int, int], bytes]
    proof: MapProof
    checkpoint: bytes
