"""The store against the versions: each pinned, whole, and every byte of it of its hash."""

from collections.abc import Callable, Iterable, Iterator

from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.errors import RegistryError
from registry.index import Index, VersionRow
from registry.storage.base import ContentStore, Pin

_PAGE = 500


def unkept(
    index: Index, ids: list[VersionId], pins: Iterable[Pin], has: Callable[[Cid], bool]
) -> Iterator[str]:
    """Versions that are not pinned, or not whole."""
    pinned = set(pins)
    for row in _rows(index, ids):
        name = f"{row.model} v{row.number} ({hex32(row.version_id)})"
        for cid in _cids(row):
            if Pin(cid, f"version:{hex32(row.version_id)}") not in pinned:
                yield f"{name} is not pinned: {cid}"
            try:
                is_whole = has(cid)
            except RegistryError as e:  # a directory or root block that is damaged itself
                yield f"{name}: {e.message}"
                continue
            if not is_whole:
                yield f"{name}: {cid} is not whole"


def unreadable(store: ContentStore, index: Index, ids: list[VersionId]) -> Iterator[str]:
    """Read a daemon's content once, by version."""
    for row in _rows(index, ids):
        for cid in _cids(row):
            try:
                for _piece in store.export(cid):
                    pass
            except RegistryError as e:
                yield f"{row.model} v{row.number}: {e.message}"


def denied(index: Index, ids: list[VersionId], is_held: Callable[[str], bool] | None) -> Iterator[str]:
    """What the running service, whose word is all there is, says that it does not hold."""
    for row in _rows(index, ids):
        for cid in _cids(row):
            if is_held is not None and not is_held(str(cid)):
                yield f"{row.model} v{row.number}: the service does not hold {cid}"


def _rows(index: Index, ids: list[VersionId]) -> Iterator[VersionRow]:
    for start in range(0, len(ids), _PAGE):
        yield from index.versions(ids[start : start + _PAGE]).values()


def _cids(row: VersionRow) -> Iterable[Cid]:
    return manifest_cid(row.version.manifest), weights_cid(row.version.weights_root)
