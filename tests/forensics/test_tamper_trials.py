"""Random damage to everything that is kept: found each time, and blamed on the layer that was hit.

One installation is made and stopped; each trial changes one value of one class, asks the check that `audit
fsck` runs for that class (or the offline verifier), and puts the value back. The number of trials is
TWINLEDGER_TEST_TAMPERS (50), the first seed TWINLEDGER_TEST_SEED (0); trial n is of class n
modulo the number of classes.
"""

import io
import os
import random
import sqlite3
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import write_weights

from registry.audit import case
from registry.audit.gatewaylog import Caller
from registry.audit.trust import parse_trust
from registry.audit.verify_case import verify_case
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.errors import RegistryError
from registry.sdk import Client
from registry.wiring.agreement import Agreement
from registry.wiring.backends import find_deployment, open_chain
from registry.wiring.up import running

TRIALS = int(os.environ.get("TWINLEDGER_TEST_TAMPERS", "50"))
FIRST = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))


@dataclass
class Scene:
    """A home that was stopped in order, and an evidence file of all its logs."""

    home: Home
    case: Path

    def findings(self, part: str) -> list[str]:
        """What `audit fsck` says of one part."""
        settings = load_settings(self.home, {}, folder=self.home.root).settings
        deployment = find_deployment(settings, self.home)
        with ExitStack() as stack:
            link = None
            if part == "projection":
                link = open_chain(settings, self.home, deployment)
                stack.callback(link.close)
            agreement = Agreement(self.home, settings, deployment, link, None)
            return list(dict(agreement.checks(stack))[part]())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("tampered")
    home = Home(folder / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    with ExitStack() as stack:
        found = stack.enter_context(running(home, settings))
        stack.enter_context(in_background(found.gateway.service, settings, found.listener))
        with Client(home=home.root) as client:
            first = client.submit("local/kept", [write_weights(folder / "a.safetensors", 1)], {"tags": ["x"]})
            client.submit(
                "local/kept", [write_weights(folder / "b.safetensors", 2)], {}, parents=[first.version_id]
            )
            client.retrieve(first.version_id, to=folder / "out", cell="local/tower-1")
            chain = found.gateway.logs.chain
            while not chain.view(f"version:{first.version_id}").count:
                time.sleep(0.05)
            # More than 256 entries, so that the log has a tile whose hash is kept.
            own = found.gateway.logs.gateway
            for number in range(300):
                own.relayed(Caller(), tx_hash=f"0x{number:064x}", route="/v1/transactions")
            own.log.publish()
            client.audit.export(folder / "case.zip")
    return Scene(home, folder / "case.zip")


# --- damage


def flipped(raw: bytes, dice: random.Random) -> bytes:
    """The same bytes, but one."""
    place = dice.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ dice.randint(1, 255)]) + raw[place + 1 :]


def other(value: object, dice: random.Random) -> object:
    """A value of the same type that differs in one place."""
    if isinstance(value, bytes):
        return flipped(value, dice)
    if isinstance(value, int | float):
        return value + dice.choice((-1, 1))
    text = str(value)
    place = dice.randrange(len(text))
    replaced = dice.choice([c for c in "0123456789abcdef" if c != text[place]])
    return text[:place] + replaced + text[place + 1 :]


Undo = Callable[[], None]
Damage = Callable[[Scene, random.Random], Undo]


def row_of(path: Callable[[Home], Path], tables: dict[str, tuple[str, ...]]) -> Damage:
    """Change one value of one row of a database."""

    def damage(scene: Scene, dice: random.Random) -> Undo:
        with closing(sqlite3.connect(path(scene.home))) as db:
            held = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
            table = dice.choice(sorted(name for name, rows in held.items() if rows))
            columns = [one[1] for one in db.execute(f"PRAGMA table_info({table})")]
            row = dict(zip(columns, dice.choice(held[table]), strict=True))
            chosen = [c for c in tables[table] or columns if row[c] not in (None, "", b"")]
            bent = _bend(db, table, row, chosen, dice)

        def undo() -> None:
            with closing(sqlite3.connect(path(scene.home))) as db:
                _replace(db, table, bent, row)

        return undo

    return damage


def _bend(
    db: sqlite3.Connection, table: str, row: dict[str, object], columns: list[str], dice: random.Random
) -> dict[str, object]:
    """Another value in one of these columns. One that collides with another row cannot be stored."""
    bent = row
    while bent == row:
        column = dice.choice(columns)
        bent = _replace(db, table, row, row | {column: other(row[column], dice)})
    return bent


def _replace(
    db: sqlite3.Connection, table: str, before: dict[str, object], after: dict[str, object]
) -> dict[str, object]:
    """One row for another; answers the row that is there then. Every value names it: not all are numbered."""
    sets = ", ".join(f"{column} = ?" for column in after)
    where = " AND ".join(f"{column} IS ?" for column in before)
    sql = f"UPDATE {table} SET {sets} WHERE {where}"
    try:
        assert db.execute(sql, (*after.values(), *before.values())).rowcount == 1
    except sqlite3.IntegrityError:
        db.rollback()
        return before
    db.commit()
    return after


def note(scene: Scene, dice: random.Random) -> Undo:
    """Flip a byte of a checkpoint: its text, its log's signature or a witness's co-signature."""
    path = log_file(dice.choice(("chain", "gateway")))(scene.home)
    with closing(sqlite3.connect(path)) as db:
        size, before = dice.choice(db.execute("SELECT size, note FROM checkpoints ORDER BY size").fetchall())
        db.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (flipped(before, dice), size))
        db.commit()

    def undo() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (before, size))
            db.commit()

    return undo


def keyed(scene: Scene, dice: random.Random) -> Undo:
    """Change one value in the chain's database: under a hash, or what leads to a block or a transaction."""
    path = scene.home.chain / "chain.sqlite"
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "SELECT k, v FROM kv WHERE length(k) = 32 OR k LIKE 'block-number-to-hash:%'"
            " OR k LIKE 'transaction-hash-to-block:%' ORDER BY k"
        ).fetchall()
        key, before = dice.choice(rows)
        db.execute("UPDATE kv SET v = ? WHERE k = ?", (flipped(bytes(before), dice), key))
        db.commit()

    def undo() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE kv SET v = ? WHERE k = ?", (before, key))
            db.commit()

    return undo


def block_of(where: str) -> Damage:
    """Flip a byte of the content of one block in a pack."""

    def damage(scene: Scene, dice: random.Random) -> Undo:
        index = scene.home.store / "index.db"
        with closing(sqlite3.connect(index)) as db:
            spots = db.execute(
                "SELECT p.name, b.offset, b.length FROM block b JOIN pack p ON p.id = b.pack"
                f" WHERE {where} ORDER BY b.cid"
            ).fetchall()
        name, offset, length = dice.choice(spots)
        path = next((scene.home.store / "packs").glob(f"{name}*"))
        before = path.read_bytes()
        bent = flipped(before[offset : offset + length], dice)
        path.write_bytes(before[:offset] + bent + before[offset + length :])

        def undo() -> None:
            path.write_bytes(before)
            with closing(sqlite3.connect(index)) as db:
                db.execute("UPDATE block SET is_bad = 0")  # what the store noted when it met the damage
                db.commit()

        return undo

    return damage


def log_file(name: str) -> Callable[[Home], Path]:
    return lambda home: home.log / f"{name}.db"


ENTRY = {"entries": ("leaf", "body")}
INDEX = {"trees": ("key", "count", "root"), "postings": ("idx",)}
PROJECTION: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        *("events", "namespaces", "memberships", "keys", "cells", "versions", "parents"),
        *("market", "batches", "entries"),
    ),
    (),
)
SIGNED = {
    "submissions": ("version_id", "submitter", "model", "issued_at", "deadline", "reserved", "body"),
}
TILES = {"nodes": ("hash",)}

# Class: how it is damaged, which part of fsck finds it, and a word of the blame.
CLASSES: dict[str, tuple[Damage, str, tuple[str, ...]]] = {
    "log entry": (row_of(log_file("gateway"), ENTRY), "logs", ("entry",)),
    "chain log entry": (row_of(log_file("chain"), ENTRY), "logs", ("entry",)),
    "log index": (row_of(log_file("chain"), INDEX), "logs", ("map", "index", "entry", "log")),
    "checkpoint": (note, "logs", ("checkpoint",)),
    "projection row": (row_of(lambda home: home.index, PROJECTION), "projection", ("rows of the chain",)),
    "manifest row": (
        row_of(lambda home: home.index, {"manifests": (), "fields": ("key", "text", "number")}),
        "projection", ("manifest", "projection"),
    ),
    "pool": (row_of(lambda home: home.pool, SIGNED), "pool", ("pool",)),
    "tile": (row_of(log_file("gateway"), TILES), "logs", ("tile",)),
    "pack": (block_of("1"), "store", ("0", "b")),
    "chain database": (keyed, "chain database", ("0x", "leads to", "block")),
}  # fmt: skip


def test_an_untouched_home_has_no_differences(scene: Scene) -> None:
    for part in sorted({part for _, part, _ in CLASSES.values()}):
        assert scene.findings(part) == [], part
    verify_case(scene.case, parse_trust(scene.home.trust.read_bytes()))


def test_every_damage_is_found_and_blamed_on_its_layer(scene: Scene) -> None:
    names = [*CLASSES, "evidence"]
    for seed in range(FIRST, FIRST + TRIALS):
        dice = random.Random(seed)
        name = names[seed % len(names)]
        if name == "evidence":
            check_evidence(scene, dice)
            continue
        damage, part, words = CLASSES[name]
        undo = damage(scene, dice)
        found = scene.findings(part)
        undo()
        assert found, f"trial {seed}: damage to {name} was not found"
        assert any(word in one for one in found for word in words), f"trial {seed}: {name}: {found}"


def check_evidence(scene: Scene, dice: random.Random) -> None:
    """One member changed, its index entry repaired or not, or the file itself cut, doubled or flipped."""
    trust = parse_trust(scene.home.trust.read_bytes())
    honest = scene.case.read_bytes()
    scene.case.write_bytes(DAMAGES[dice.randrange(len(DAMAGES))](honest, dice))
    try:
        with pytest.raises(RegistryError):
            verify_case(scene.case, trust)
    finally:
        scene.case.write_bytes(honest)


def of_a_member(raw: bytes, dice: random.Random) -> bytes:
    """A byte of one member, index.json among them, in an archive that is whole."""
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        members = {name: box.read(name) for name in box.namelist()}
    name = dice.choice(sorted(name for name, held in members.items() if held))
    return case.pack(members | {name: flipped(members[name], dice)})


def cut(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw))]


def doubled(raw: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(raw))
    return raw[: place + dice.randint(1, 64)] + raw[place:]


DAMAGES = (flipped, cut, doubled, of_a_member, of_a_member)
