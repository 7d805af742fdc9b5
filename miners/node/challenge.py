"""From a beacon to the one block that a miner must show: a pure function, the same for every auditor.

The version is drawn evenly from all that the miner must keep, the leaf by its bytes within the version. The
beacon can be ground by the block's sealer and means nothing on a single-trust embedded chain.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from registry.core.cid import DAG_PB, Cid
from registry.core.ids import keccak
from registry.storage.dagpb import decode_node

T = TypeVar("T")


def pick(challenge: bytes, kept: Sequence[T]) -> T:
    """The version that a challenge draws."""
    return kept[int.from_bytes(keccak(challenge + b"version")) % len(kept)]


def leaf_of(challenge: bytes, roots: Sequence[Cid], block: Callable[[Cid], bytes]) -> Cid:
    """Walk down from one of the roots to a block without links; `block` reads the auditor's own copy."""
    draw = keccak(challenge + b"root")
    cid = roots[int.from_bytes(draw) % len(roots)]
    while cid.codec == DAG_PB:
        links = decode_node(block(cid)).links
        if not links:
            return cid
        draw = keccak(draw)
        at = int.from_bytes(draw) % max(1, sum(link.dag_size for link in links))
        for link in links:
            if at < link.dag_size:
                break
            at -= link.dag_size
        cid = link.cid
    return cid
