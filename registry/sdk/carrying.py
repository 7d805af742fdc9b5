"""Many small files in few requests: one CAR per 32 MiB instead of one PUT per file.

A signed CAR is hashed before it is sent, so it is built in memory; larger files go by PUT as ever.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from registry.core.cid import Cid
from registry.sdk.files import pieces_of
from registry.sdk.http import Http
from registry.storage.car import write_car

if TYPE_CHECKING:
    from registry.sdk.submitting import Prepared

SMALL = 1 << 20
_CAR_BYTES = 32 << 20
_CAR_ROOTS = 1_000  # a header of 64 KiB names 1,500
CAR = "application/vnd.ipld.car"


def upload_small(http: Http, prepared: "Sequence[Prepared]") -> None:
    """Upload everything these submissions name: single-block files and manifests by CAR, the rest by PUT."""
    blocks: dict[Cid, bytes] = {}
    held = 0
    for cid, raw in _blocks(http, prepared):
        if cid not in blocks:
            blocks[cid] = raw
            held += len(raw)
        if held >= _CAR_BYTES or len(blocks) == _CAR_ROOTS:
            _send(http, blocks)
            blocks, held = {}, 0
    if blocks:
        _send(http, blocks)


def _blocks(http: Http, prepared: "Sequence[Prepared]") -> Iterator[tuple[Cid, bytes]]:
    for item in prepared:
        for file in item.files:
            if file.entry.size <= SMALL:
                yield file.entry.cid, file.source.read_bytes()
            elif not http.head(f"/v1/content/{file.entry.cid}"):
                http.upload(f"/v1/content/{file.entry.cid}", pieces_of(file.source), size=file.entry.size)
        yield item.manifest.cid, item.manifest.bytes


def _send(http: Http, blocks: dict[Cid, bytes]) -> None:
    body = b"".join(write_car(tuple(blocks), blocks.items()))
    http.put("/v1/content", body, CAR)
