"""One archive of everything in a home that nobody could write again, taken also while its service runs.

The order is what makes a running home consistent: a submission goes from the pool to the chain, and the
chain into the chain log, so the pool and the chain log are copied before the chain, and content last. What
happens meanwhile is then in the later copies, and a restart takes it from there. Left out is what follows
from the rest: the projection, the packs' indexes and the locks.

The archive is a tar whose last member, backup.json, holds the sha-256 of every other one.
"""

import hashlib
import io
import os
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from registry.config import Home
from registry.core.canonical import canonical, strict_json
from registry.errors import Conflict, NotFound, StoreUnavailable, VerificationFailed
from registry.wiring.origins import put_aside

SCHEMA = "twinledger/backup/1"
_INDEX = "backup.json"
_PIECE = 1 << 20
_FILES = ("deployment.json", "trust.json", "client.toml", "twinledger.toml", "genesis.json")


def make_backup(home: Home, file: Path) -> int:
    """Write the archive and answer its length; an interrupted one leaves no file of that name."""
    if not home.keys.is_dir() and not home.deployment.exists():
        raise NotFound(f"{home.root} is no home of anything yet", hint="give --home DIR")
    if file.exists():
        raise Conflict(f"{file} exists", hint="choose another file name")
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with _disk(file), _private(part) as target, tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            _write(home, target, Path(scratch))
            target.flush()
            os.fsync(target.fileno())
        with _disk(file):
            # A link, not a rename: it fails where somebody made the file meanwhile.
            file.hardlink_to(part)
    except FileExistsError as e:
        raise Conflict(f"{file} exists", hint="choose another file name") from e
    except FileNotFoundError as e:
        raise NotFound(f"{e.filename} is not there: the backup is given up") from e
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size


def restore_backup(file: Path, home: Home) -> None:
    """Fill an empty or missing home; nothing appears in it before every byte of the archive was checked."""
    if home.root.exists() and (not home.root.is_dir() or any(home.root.iterdir())):
        raise Conflict(f"{home.root} is not empty", hint="restore into an empty --home DIR")
    home.root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{home.root.name}.", dir=home.root.parent))
    try:
        with _disk(part), file.open("rb") as source:
            _read(source, part)
        # An empty folder is replaced in one step: the home is empty before it and complete after.
        part.replace(home.root)
    except FileNotFoundError as e:
        raise NotFound(f"there is no archive {file}") from e
    except tarfile.TarError as e:
        raise VerificationFailed(f"{file} is no whole archive of `twinledger backup`: {e}") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(home: Home, target: IO[bytes], scratch: Path) -> None:
    members: dict[str, str] = {}
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for source in _sources(home):
            name = source.relative_to(home.root).as_posix()
            if source.suffix in (".db", ".sqlite"):
                copy = scratch / "copy"
                _copy_database(source, copy)
                members[name] = _add(archive, copy, name, source.stat().st_mtime)
                copy.unlink()
            else:
                members[name] = _add(archive, source, name, source.stat().st_mtime)
        for store in _stores(home):
            members |= _add_packs(archive, store / "packs", home)
        index = canonical({"schema": SCHEMA, "made": int(time.time()), "members": members})
        archive.addfile(_info(_INDEX, len(index), time.time()), io.BytesIO(index))


def _sources(home: Home) -> Iterator[Path]:
    """What is copied before the packs, in the order of the module's docstring."""
    wanted = [home.pool, home.log / "chain.db", home.chain / "chain.sqlite"]
    wanted += [home.log / "gateway.db", home.log / "openings.db", *put_aside(home.log)]
    wanted += [store / "pins.db" for store in _stores(home)]
    wanted += [home.root / name for name in _FILES]
    wanted += sorted(path for path in home.keys.glob("*") if not path.name.startswith("."))
    return (path for path in wanted if path.is_file())


def _stores(home: Home) -> list[Path]:
    return [home.store, *sorted(home.root.glob("miners/*/store"))]


def _add_packs(archive: tarfile.TarFile, folder: Path, home: Home) -> dict[str, str]:
    """Packs only grow; one that a collection took away meanwhile has left its blocks to a newer one."""
    done: dict[str, str] = {}
    while new := [path for path in sorted(folder.glob("*.car")) if _name(path, home) not in done]:
        for path in new:
            done[_name(path, home)] = ""
            with suppress(FileNotFoundError):
                done[_name(path, home)] = _add(archive, path, _name(path, home), path.stat().st_mtime)
    return {name: digest for name, digest in done.items() if digest}


def _name(path: Path, home: Home) -> str:
    return path.relative_to(home.root).as_posix()


def _copy_database(source: Path, copy: Path) -> None:
    """SQLite's online backup: one moment's state, whoever writes meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as held,
            closing(sqlite3.connect(copy)) as target,
        ):
            held.backup(target)
    except sqlite3.Error as e:
        raise StoreUnavailable(f"{source} cannot be copied: {e}") from e


def _add(archive: tarfile.TarFile, path: Path, name: str, modified: float) -> str:
    with path.open("rb") as file:
        hashing = _Hashing(file)
        # As long as it is now: what a pack grows by while it is read was never promised to this backup.
        archive.addfile(_info(name, os.fstat(file.fileno()).st_size, modified), hashing)  # type: ignore[arg-type]
    return hashing.digest


def _info(name: str, size: int, modified: float) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, modified, 0o600
    return info


def _read(source: IO[bytes], folder: Path) -> None:
    found: dict[str, str] = {}
    index: Any = None
    with tarfile.open(fileobj=source, mode="r:") as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            if content is None or index is not None:
                raise VerificationFailed(f"the archive holds {info.name!r}, which no backup writes")
            if info.name == _INDEX:
                index = strict_json(content.read())
            else:
                found[info.name] = _unpack(content, folder / _safe(info.name), info.mtime)
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise VerificationFailed(f"the archive ends without its {_INDEX}: it is not whole")
    _compare(found, index.get("members"))


def _compare(found: dict[str, str], wanted: Any) -> None:
    if wanted != found:
        names = sorted({*found, *wanted}) if isinstance(wanted, dict) else []
        wrong = [name for name in names if found.get(name) != wanted.get(name)]
        raise VerificationFailed(f"the archive is damaged at {', '.join(wrong[:3]) or _INDEX}")


def _unpack(content: IO[bytes], path: Path, modified: float) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hashing = _Hashing(content)
    with _private(path) as target:
        while piece := hashing.read(_PIECE):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    os.utime(path, (modified, modified))
    return hashing.digest


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise VerificationFailed(f"the archive names {name!r}, which is outside a home")
    return path


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


class _Hashing:
    """A file that remembers the digest of what was read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._running = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._file.read(size)
        self._running.update(piece)
        return piece

    @property
    def digest(self) -> str:
        """The sha-256 of everything read so far."""
        return self._running.hexdigest()


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as e:
        raise StoreUnavailable(f"{path} cannot be written: {e.strerror or e}") from e
