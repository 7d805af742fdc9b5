"""The store of a home: what versions, submissions and tasks name is pinned, whole, and of its hash."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row

from registry.audit.marked import check_upload_rows, upload_rows
from registry.config import EmbeddedStore
from registry.core.cid import Cid
from registry.errors import Conflict, RegistryError, Unauthenticated, VerificationFailed
from registry.index import Index
from registry.index.tasks import TaskIndex
from registry.pool import Entry, Pool
from registry.pool.contributions import Contributions
from registry.pool.migrations import due as pool_due
from registry.storage.base import Pin
from registry.storage.shelf import Shelf
from registry.wiring.backends import Databases, open_store
from registry.wiring.gathering import documents_of
from registry.wiring.installation import Installation
from registry.wiring.keeping import (
    Content,
    denied,
    size_in,
    unkept,
    unkept_documents,
    unkept_submissions,
    unreadable,
)
from registry.wiring.pooling import told

Differences = Generator[str, None, str]
_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Named:
    """What the pool says that content belongs to: submissions, updates of rounds, uploads."""

    submitted: Sequence[Entry]
    updates: Sequence[tuple[Cid, str, bool]]
    uploads: Sequence[Row[Any]]


def check_store(installation: Installation, databases: Databases) -> Differences:
    """What can be looked at is looked at byte by byte; of what the service holds its word is taken."""
    index = Index(databases.index)
    ids = index.version_ids()
    settings, folder = installation.settings, installation.home.store
    if not isinstance(settings.store, EmbeddedStore):
        with closing(open_store(settings, folder, owner=str(installation.gateway))) as daemon:
            yield from _named(installation, databases, daemon, daemon.pins)
            yield from unreadable(daemon, index, ids)
        return f"holds and pins all {len(ids)} versions; every block of them is of its hash"
    try:
        shelf = Shelf(folder)
    except Conflict:
        try:
            yield from denied(index, ids, installation.is_held)
        except Unauthenticated as e:
            return f"is held by the service; {e.message} what it holds: stop it to verify every byte"
        return f"holds all {len(ids)} versions, by the service's word; stop it to verify every byte"
    except VerificationFailed as e:
        yield str(e)
        return "cannot be looked at further"
    with closing(shelf):
        yield from _named(installation, databases, shelf, lambda: shelf.pins)
        yield from shelf.damage()
    return f"holds and pins all {len(ids)} versions; every block of every pack is of its hash"


def _named(
    installation: Installation, databases: Databases, content: Content, pinned: Callable[[], Iterable[Pin]]
) -> Iterator[str]:
    """What names content is read before the pins: a gateway pins it before it says that it took it in."""
    index, tasks = Index(databases.index), TaskIndex(databases.index)
    ids = index.version_ids()
    documents = list(documents_of((event.name, event.args) for event in tasks.stating()))
    named, trouble = _Named((), (), ()), list[str]()
    try:
        if pool_due(databases.primary) is None:  # else it is said of the pool already
            named = _names(installation, databases.primary, tasks)
    except (RegistryError, ValueError) as e:
        trouble = [f"the pool cannot be read: {e}"]
    pins = set(pinned())
    yield from unkept(content, index, ids, pins)
    yield from unkept_documents(content, documents, pins)
    yield from trouble
    yield from unkept_submissions(content, named.submitted, pins)
    kept = [Pin(cid, owner) for cid, owner, is_over in named.updates if not is_over]
    yield from unkept_documents(content, kept, pins)
    handed = {cid for cid, _owner, _is_over in named.updates}
    is_ours = _owns(installation)
    pinned_cids = {pin.cid for pin in pins}
    yield from told(check_upload_rows(named.uploads, pinned_cids, handed, size_in(content), is_ours))


def _names(installation: Installation, pool: Engine, tasks: TaskIndex) -> _Named:
    return _Named(
        tuple(_own(installation, Pool(pool))),
        _updates(tasks, Contributions(pool)),
        upload_rows(pool),
    )


def _owns(installation: Installation) -> Callable[[Row[Any]], bool]:
    """Of gateways that share a pool each pins what came in through it, and marks the upload with its own."""
    if not installation.is_shared() or (seal := installation.seal()) is None:
        return lambda _row: True
    return lambda row: row.seal is not None and seal.is_own(row.seal)


def _own(installation: Installation, pool: Pool) -> Iterator[Entry]:
    """What this gateway took in: of what came to others that share the pool they keep the content."""
    promised = installation.promised()
    after = 0
    while entries := pool.listed(None, limit=_PAGE, after=after):
        after = entries[-1].sequence
        for entry in entries:
            if promised is not None and entry.promise is not None and entry.promise.log == promised.own.name:
                yield entry


def _updates(tasks: TaskIndex, contributions: Contributions) -> list[tuple[Cid, str, bool]]:
    """Every encrypted update with its pin's owner, and whether its task was refunded and it may be let go."""
    found = []
    for task in range(1, tasks.count() + 1):
        is_over = bool(tasks.events(task, ("EscrowRefunded",)))
        for given, _signature in contributions.handed(task):
            owner = f"update:{given.task}:{given.round}:{given.device}"
            found.append((given.sealed, owner, is_over))
    return found
