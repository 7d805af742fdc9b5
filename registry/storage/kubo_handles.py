"""Handles: small directories of ours in a Kubo daemon, each pinned recursively under a name.

twinledger:pin:CID:OWNER          links to CID
twinledger:lease:UNIX-SECONDS     links to what an import stored; `collect` removes it when it is old
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from registry.core.cid import DAG_PB, Cid
from registry.storage.dagpb import DIRECTORY, NodeLink, UnixFs, encode_node, encode_unixfs
from registry.storage.spool import Spool

PIN, LEASE = "twinledger:pin:", "twinledger:lease:"
_LINKS = 5000  # of a handle; keeps its block far below 2 MiB


@dataclass(frozen=True, slots=True)
class Handle:
    """A directory of ours whose recursive pin keeps what it links to."""

    cid: Cid
    block: bytes

    @classmethod
    def pin(cls, cid: Cid, owner: str) -> "Handle":
        """What keeps a DAG for an owner."""
        return cls._linking((cid,), f"{PIN}{owner}")

    @classmethod
    def lease(cls, cids: Iterable[Cid]) -> "Handle":
        """What keeps fresh content until its lease is old."""
        # Each lease is another block, else the end of one would be the end of a younger one.
        return cls._linking(cids, f"{LEASE}{uuid.uuid4().hex}")

    @classmethod
    def _linking(cls, cids: Iterable[Cid], label: str) -> "Handle":
        links = tuple(NodeLink(cid.raw, f"{label}:{i}".encode(), 0) for i, cid in enumerate(cids))
        block = encode_node(links, encode_unixfs(UnixFs(DIRECTORY)))
        return cls(Cid(DAG_PB, sha256(block).digest()), block)


def lease_all(spool: Spool) -> Cid:
    """Add to a CAR the handle that keeps all of it, by way of others if there is much to link to."""
    below = spool.tops
    while True:
        handles = [Handle.lease(below[at : at + _LINKS]) for at in range(0, len(below), _LINKS)]
        for handle in handles:
            spool.add(handle.cid, handle.block)
        if len(handles) == 1:
            return handles[0].cid
        below = tuple(handle.cid for handle in handles)


def lease_time(name: str) -> float | None:
    """When a lease of this name began, None for any other name."""
    try:
        return float(name.removeprefix(LEASE)) if name.startswith(LEASE) else None
    except ValueError:
        return None  # somebody else's name
