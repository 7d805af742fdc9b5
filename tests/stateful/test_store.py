"""The embedded store against a dict: put, bind, pin, collect, compact, move and reopen in any order."""

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stateful.kit import run

from registry.core.cid import Cid
from registry.errors import NotFound
from registry.storage.base import Link, Pin
from registry.storage.embedded import EmbeddedStore

CHUNK = 1 << 20
# The last three share their first chunk, so a collection may take one file and must leave the others whole.
CONTENTS = [b"", b"a", b"twin" * 250, *(bytes(CHUNK) + bytes([n]) * n for n in (1, 2, 3))]
OWNER = st.sampled_from(["ana", "bo"])
TOO_OLD = 50


class StoreMachine(RuleBasedStateMachine):
    """The model: the bytes of each file and the entries of each directory, by CID, and the set of pins."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="stateful-store-"))
        self.now = 1_000.0
        self.files: dict[Cid, bytes] = {}
        self.directories: dict[Cid, frozenset[Cid]] = {}
        self.links: dict[Cid, Link] = {}  # everything that was ever held
        self.pins: set[Pin] = set()
        self.moves = 0
        self.store = self.open("store")

    def open(self, name: str) -> EmbeddedStore:
        return EmbeddedStore(self.folder / name, clock=lambda: self.now)

    def holds(self, cid: Cid) -> bool:
        return cid in self.files or cid in self.directories

    def some(self, data: st.DataObject) -> Cid:
        return data.draw(st.sampled_from(sorted(self.links)))

    @rule(which=st.integers(0, len(CONTENTS) - 1), cut=st.integers(0, CHUNK))
    def put(self, which: int, cut: int) -> None:
        content = CONTENTS[which]
        stored = self.store.put([content[:cut], content[cut:]])
        self.files[stored.cid] = content
        link = Link(stored.cid, stored.size, stored.dag_size)
        assert self.links.setdefault(stored.cid, link) == link

    @precondition(lambda self: self.files)
    @rule(data=st.data(), count=st.integers(1, 3))
    def bind(self, data: st.DataObject, count: int) -> None:
        """A directory of some files; of one that is gone there is none."""
        files = [cid for cid in sorted(self.links) if cid not in self.directories]
        entries = [self.links[data.draw(st.sampled_from(files))] for _ in range(count)]
        named = {f"{place}.npz": link for place, link in enumerate(entries)}
        if any(link.cid not in self.files for link in entries):
            with pytest.raises(NotFound):
                self.store.put_directory(named)
            return
        link = self.store.put_directory(named)
        self.directories[link.cid] = frozenset(entry.cid for entry in entries)
        self.links[link.cid] = link

    @precondition(lambda self: self.links)
    @rule(data=st.data(), offset=st.integers(0, 2 * CHUNK), length=st.none() | st.integers(0, 2 * CHUNK))
    def read(self, data: st.DataObject, offset: int, length: int | None) -> None:
        cid = self.some(data)
        if cid in self.directories:
            return
        if cid not in self.files:
            with pytest.raises(NotFound):
                b"".join(self.store.get(cid, offset, length))
            return
        end = None if length is None else offset + length
        assert b"".join(self.store.get(cid, offset, length)) == self.files[cid][offset:end]

    @precondition(lambda self: self.links)
    @rule(data=st.data(), owner=OWNER)
    def pin(self, data: st.DataObject, owner: str) -> None:
        cid = self.some(data)
        if self.holds(cid):
            self.store.pin(cid, owner)
            self.pins.add(Pin(cid, owner))
        else:
            with pytest.raises(NotFound):
                self.store.pin(cid, owner)

    @precondition(lambda self: self.links)
    @rule(data=st.data(), owner=OWNER)
    def unpin(self, data: st.DataObject, owner: str) -> None:
        cid = self.some(data)
        self.store.unpin(cid, owner)
        self.pins.discard(Pin(cid, owner))

    @rule()
    def collect(self) -> None:
        """Whatever no pin reaches goes, for all of it is too old; packs are compacted on the way."""
        self.now += 2 * TOO_OLD
        self.store.collect(older_than=TOO_OLD)
        kept = {pin.cid for pin in self.pins}
        self.directories = {cid: parts for cid, parts in self.directories.items() if cid in kept}
        kept |= {part for parts in self.directories.values() for part in parts}
        self.files = {cid: content for cid, content in self.files.items() if cid in kept}

    @rule()
    def collect_what_is_fresh(self) -> None:
        """Nothing of this second goes, pinned or not."""
        before = {cid for cid in self.links if self.store.has(cid)}
        self.now += TOO_OLD - 1
        for cid in sorted(before):
            self.store.put_car(self.store.export(cid))
        self.store.collect(older_than=TOO_OLD)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open("store")

    @precondition(lambda self: self.files)
    @rule()
    def move(self) -> None:
        """Everything goes out as one CAR into another store, which goes on instead with the same pins."""
        self.moves += 1
        other = self.open(f"store-{self.moves}")
        other.put_car(self.store.export_all(sorted({*self.files, *self.directories})))
        other.pin_each(sorted(self.pins))
        self.store.close()
        (self.folder / "store").rename(self.folder / f"former-{self.moves}")
        other.close()
        (self.folder / f"store-{self.moves}").rename(self.folder / "store")
        self.store = self.open("store")

    @invariant()
    def agrees(self) -> None:
        assert list(self.store.pins()) == sorted(self.pins)
        assert [cid for cid in self.links if self.store.has(cid) != self.holds(cid)] == []

    def teardown(self) -> None:
        damage = list(self.store.damage())
        self.store.close()
        rmtree(self.folder)
        assert damage == []


def test_the_store_is_a_dict_with_pins() -> None:
    run(StoreMachine, examples=12, steps=20)
