"""The store against all that names content: each pinned, whole, and every byte of it of its hash."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.core.manifest import Manifest, parse_manifest
from registry.core.version import Version
from registry.errors import NotFound, RegistryError
from registry.index import Index, VersionRow
from registry.pool import Entry
from registry.storage.base import ContentStore, Link, Pin

_PAGE = 500


class Content(Protocol):
    """What is asked of a store."""

    def has(self, cid: Cid) -> bool:
        """Whether a DAG is held whole."""

    def block(self, cid: Cid) -> bytes:
        """The bytes of a held block, which are of its CID."""

    def stat(self, cid: Cid) -> Link:
        """The sizes of a held DAG."""


def unkept(content: Content, index: Index, ids: list[VersionId], pins: Collection[Pin]) -> Iterator[str]:
    """Versions that are not pinned with all their files, or not whole."""
    for row in _rows(index, ids):
        name = f"{row.model} v{row.number} ({hex32(row.version_id)})"
        manifest = None if row.manifest is None else parse_manifest(row.manifest)
        yield from _missing(content, name, _pins_of(row.version, manifest), pins)


def unkept_submissions(content: Content, entries: Iterable[Entry], pins: Collection[Pin]) -> Iterator[str]:
    """The same of what was taken into the pool: a miner may ask for it, and nothing lets go of it."""
    for entry in entries:
        version = entry.submission.version
        name = f"submission {entry.sequence} ({hex32(version.id)})"
        try:
            manifest = parse_manifest(content.block(manifest_cid(version.manifest)))
        except RegistryError as e:
            yield f"{name}: {e.message}"
            continue
        yield from _missing(content, name, _pins_of(version, manifest), pins)


def unkept_documents(content: Content, documents: Iterable[Pin], pins: Collection[Pin]) -> Iterator[str]:
    """What tasks rest on, under the owner that says which of them."""
    for pin in documents:
        yield from _missing(content, pin.owner, [pin], pins)


def _pins_of(version: Version, manifest: Manifest | None) -> list[Pin]:
    """Root and manifest first; the files are named by the manifest, if it can be read."""
    files = () if manifest is None else tuple(file.cid for file in manifest.files)
    cids = (weights_cid(version.weights_root), manifest_cid(version.manifest), *files)
    return [Pin(cid, f"version:{hex32(version.id)}") for cid in cids]


def _missing(content: Content, name: str, wanted: Iterable[Pin], pins: Collection[Pin]) -> Iterator[str]:
    for pin in dict.fromkeys(wanted):
        if pin not in pins:
            yield f"{name} is not pinned: {pin.cid}"
        try:
            is_whole = content.has(pin.cid)
        except RegistryError as e:  # a directory or root block that is damaged itself
            yield f"{name}: {e.message}"
            continue
        if not is_whole:
            yield f"{name}: {pin.cid} is not whole"


def size_in(content: Content) -> Callable[[Cid], int]:
    """How long a file is that is held whole; NotFound for any other."""

    def size_of(cid: Cid) -> int:
        if not content.has(cid):
            raise NotFound(f"{cid} is not held")
        return content.stat(cid).size

    return size_of


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
