"""Case: an insider edits the database. Whatever row is touched, `fsck` says which layer and where."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from registry.audit.fsck import check_chain_log, check_log, check_store
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.core.cid import Cid
from registry.core.note import COSIGNATURE, Note, NoteSigner
from registry.errors import RegistryError, VerificationFailed


@pytest.fixture
def scene(world):
    versions = [world.seal("lab/urban", "ana")]
    for number in range(300):
        world.retrieve("lab/urban", versions[0], f"reader {number % 7}", address="10.0.0.7")
    world.alias("lab/urban", "champion", versions[0], "ana")
    world.publish()
    world.version = versions[0]
    return world


def file_of(world, name="gateway"):
    return world.folder / f"{name}.db"


def differences(world, name="gateway"):
    key = world.gateway_key if name == "gateway" else world.chain_key
    return list(check_log(file_of(world, name), world.trust.for_log(key.key.name)))


def edit(world, sql, *given, name="gateway"):
    with closing(sqlite3.connect(file_of(world, name))) as db:
        assert db.execute(sql, given).rowcount > 0, "the insider must change something"
        db.commit()


def test_an_untouched_log_has_no_differences(scene) -> None:
    assert differences(scene) == []
    assert differences(scene, "chain") == []


def test_a_log_is_checked_while_it_grows(scene) -> None:
    scene.retrieve("lab/urban", scene.version, "late")
    assert differences(scene) == []


EDITS = {
    "an entry's text": (
        """UPDATE entries SET body = CAST(replace(body, '"served"', '"failed"') AS BLOB) WHERE idx = 5""",
        "entry", ":5",
    ),
    "a leaf hash": ("UPDATE entries SET leaf = zeroblob(32) WHERE idx = 5", "entry", ":5"),
    "an entry deleted": ("DELETE FROM entries WHERE idx = 5", "entry", ":5"),
    "an entry inserted": (
        "INSERT INTO entries SELECT 5000, leaf, body FROM entries WHERE idx = 1", "entry", "missing"
    ),
    "two entries swapped": (
        "UPDATE entries SET (leaf, body) = (SELECT leaf, body FROM entries WHERE idx = 6) WHERE idx = 5",
        "entry", "root",
    ),
    "a tile hash": ("UPDATE nodes SET hash = zeroblob(32) WHERE tree = 0", "tile", "level 8 hash 0"),
    "a key's count": ("UPDATE trees SET count = 299 WHERE id = 1", "map", "kind:retrieval"),
    "a key's root": ("UPDATE trees SET root = zeroblob(32) WHERE id = 1", "map", "kind:retrieval"),
    "a key renamed": ("UPDATE trees SET key = 'kind:refusal' WHERE id = 1", "map", "kind:refusal"),
    "a posting moved": ("UPDATE postings SET idx = idx + 1 WHERE tree = 1 AND pos = 3", "index", "kind:"),
    "a posting deleted": ("DELETE FROM postings WHERE tree = 1 AND pos = 299", "index", "kind:"),
    "a checkpoint's size": (
        "UPDATE checkpoints SET note = CAST(replace(note, '300', '301') AS BLOB)", "checkpoint", "wrong"
    ),
    "a checkpoint cut": ("UPDATE checkpoints SET note = substr(note, 1, 40)", "checkpoint", "no signatures"),
    "a row of another type": ("UPDATE trees SET count = 'many' WHERE id = 1", "log", "no log writes"),
    "the origin": ("UPDATE meta SET value = 'other' WHERE name = 'origin'", "log", "other"),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_row_is_found_and_blamed_on_its_layer(scene, what) -> None:
    sql, layer, words = EDITS[what]
    scene.logs["gateway"].close()
    edit(scene, sql)
    found = differences(scene)
    assert any(one.layer == layer and words in f"{one.where} {one.text}" for one in found), found


def test_a_bent_and_a_strangers_cosignature_are_told_apart(scene) -> None:
    scene.logs["gateway"].close()
    with closing(sqlite3.connect(file_of(scene))) as db:
        note = Note.parse(db.execute("SELECT note FROM checkpoints").fetchone()[0])
    mine, theirs = note.signatures
    stranger = NoteSigner(theirs.name, bytes(32), COSIGNATURE).cosign(note.text, scene.now)
    lines = {
        f"the signature of {theirs.name}": replace(theirs, raw=theirs.raw[:-1] + b"\x01"),
        f"{theirs.name!r} with the key {stranger.key_id.hex()}, which nobody": stranger,
        "is malformed": replace(theirs, raw=theirs.raw[:-1]),
    }
    for words, line in lines.items():
        edit(scene, "UPDATE checkpoints SET note = ?", Note(note.text, (mine, line)).encode())
        (found,) = differences(scene)
        assert (found.layer, words in found.text) == ("checkpoint", True), found


def test_no_flipped_byte_of_the_file_changes_the_log_unseen(scene) -> None:
    scene.logs["gateway"].close()
    path = file_of(scene)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = db.execute("SELECT idx, body FROM entries ORDER BY idx").fetchall()
    whole = path.read_bytes()
    dice = random.Random(11)
    found = 0
    for _ in range(40):
        bent = bytearray(whole)
        bent[dice.randrange(len(bent))] ^= dice.randrange(1, 256)
        path.write_bytes(bytes(bent))
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        if differences(scene):
            found += 1
            continue
        # Nothing found: then the byte lay in a page's unused room, and every entry is as it was.
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT idx, body FROM entries ORDER BY idx").fetchall() == before
    assert found > 20
    path.write_bytes(whole)


def test_a_gateway_does_not_serve_a_log_that_differs_from_its_checkpoint(scene) -> None:
    scene.logs["gateway"].close()
    edit(scene, "UPDATE trees SET root = zeroblob(32) WHERE key = 'kind:retrieval'")
    with pytest.raises(VerificationFailed, match="differs from its own checkpoint"):
        LogStore(file_of(scene), scene.gateway_key, scene.clock)


def test_a_log_signed_anew_after_an_edit_is_refused_by_the_witness(scene) -> None:
    """The insider has the log's key too: the witness remembers what it was shown."""
    scene.logs["gateway"].close()
    forged = LogStore(scene.folder / "forged.db", scene.gateway_key, scene.clock)
    honest = LogStore(file_of(scene), scene.gateway_key, scene.clock)
    kept = [record.entry for record in honest.entries(0, 300) if record.index != 5]
    forged.append(kept)
    scene.logs["gateway"] = forged
    with pytest.raises(AssertionError, match="409"):
        scene.publish()
    forged.append([kept[0], kept[1]])
    with pytest.raises(AssertionError, match=r"no prefix|422"):
        scene.publish()
    honest.close()


def test_the_chain_log_is_compared_with_the_chain(scene) -> None:
    from registry.audit.chainlog import ChainEvent

    events: list[ChainEvent] = []
    keep, scene.chain.extend = scene.chain.extend, lambda more: events.extend(more) or keep(more)
    scene.alias("lab/urban", "stable", scene.version, "ana")
    records = scene.logs["chain"].entries(2, 3)
    assert list(check_chain_log(records, events)) == []
    assert [one.text for one in check_chain_log([], events)] == ["AliasSet of block 3 is missing"]
    assert [one.text for one in check_chain_log(records, [])] == ["the chain holds no event for this entry"]
    other = scene.logs["chain"].entries(1, 2)
    assert [one.layer for one in check_chain_log(other, events)] == ["chain log"]


def test_content_that_is_missing_or_corrupt_is_named() -> None:
    good, bad = Cid(0x55, bytes(32)), Cid(0x55, b"\x01" * 32)

    def read(cid: Cid):
        if cid == bad:
            raise VerificationFailed(f"{cid} is corrupt")
        yield b"fine"

    found = list(check_store([("0x01", good), ("0x02", bad)], read))
    assert [(one.layer, one.text) for one in found] == [("store", f"{bad} is corrupt")]


def test_an_edited_opening_is_refused_when_it_is_shown(scene) -> None:
    scene.openings.close()
    with closing(sqlite3.connect(scene.folder / "openings.db")) as db:
        db.execute("UPDATE openings SET value = '10.9.9.9'")
        db.commit()
    scene.openings = OpeningStore(scene.folder / "openings.db")
    with pytest.raises(RegistryError, match="does not fit"):
        scene.rows(kind="retrieval")
