"""Local files as content: found, hashed and named before a server sees them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.core.manifest import FileEntry
from registry.core.weights import format_of, inspect
from registry.errors import Malformed, NotFound
from registry.storage.base import Link
from registry.storage.unixfs import import_file, weights_root

PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk and what it is called in the version."""

    source: Path
    entry: FileEntry
    link: Link


def read_files(given: Sequence[str | Path | LocalFile] | str | Path) -> list[LocalFile]:
    """Hash every file; a folder stands for all files below it, one that was read before for itself.

    Malformed for pickles and broken weight files, NotFound for a missing one.
    """
    named: dict[str, Path | LocalFile] = {}
    for path in [given] if isinstance(given, str | Path) else given:
        for name, source in _named(path):
            if name in named:
                raise Malformed(f"two files would be called {name!r}: {named[name]} and {source}")
            named[name] = source
    if not named:
        raise Malformed("there is no file to submit", hint="name at least one weights file")
    return [
        source if isinstance(source, LocalFile) else _local(name, source)
        for name, source in sorted(named.items())
    ]


def root_of(files: Iterable[LocalFile]) -> bytes:
    """The digest of the directory of all files: `weightsRoot`."""
    return weights_root({file.entry.path: file.link for file in files}).cid.digest


def pieces_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _named(given: str | Path | LocalFile) -> Iterator[tuple[str, Path | LocalFile]]:
    if isinstance(given, LocalFile):
        yield given.entry.path, given
        return
    path = Path(given)
    if path.is_dir():
        for below in sorted(path.rglob("*")):
            if below.is_file():
                yield below.relative_to(path).as_posix(), below
    elif path.is_file():
        yield path.name, path
    else:
        raise NotFound(f"there is no file {path}", hint="check the path")


def _local(name: str, source: Path) -> LocalFile:
    with source.open("rb") as file:
        inspect(format_of(name), file)
    stored = import_file(pieces_of(source))
    entry = FileEntry(
        path=name, cid=stored.cid, sha256=stored.sha256, size=stored.size, format=format_of(name)
    )
    return LocalFile(source, entry, stored)
