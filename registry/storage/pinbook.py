"""Who wants what kept. Unlike the index this cannot be rebuilt from the packs: it is primary data."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from registry.core.cid import Cid
from registry.storage.base import Pin
from registry.storage.sqlite import Database

# By owner: what one version pins lies on one page. A book of an earlier release, which is by CID, serves too.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pin(
    cid BLOB NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (owner, cid)) WITHOUT ROWID;
"""


class PinBook:
    """The pins of a store, durable."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA)

    def add(self, pins: Iterable[Pin]) -> None:
        """Write pins down, in one transaction."""
        with self._db.write() as c:
            c.executemany("INSERT OR IGNORE INTO pin VALUES (?, ?)", ((p.cid.raw, p.owner) for p in pins))

    def remove(self, pin: Pin) -> None:
        """Strike a pin out."""
        with self._db.write() as c:
            c.execute("DELETE FROM pin WHERE cid = ? AND owner = ?", (pin.cid.raw, pin.owner))

    def all(self) -> list[Pin]:
        """Every pin, in order of CID and owner."""
        with self._db.read() as c:
            rows = c.execute("SELECT cid, owner FROM pin ORDER BY cid, owner").fetchall()
        return [Pin(Cid.of_raw(raw), owner) for raw, owner in rows]

    def roots(self) -> Iterator[Cid]:
        """Every pinned CID."""
        with self._db.read() as c:
            for (raw,) in c.execute("SELECT DISTINCT cid FROM pin"):
                yield Cid.of_raw(raw)

    def close(self) -> None:
        """Close the database."""
        self._db.close()
