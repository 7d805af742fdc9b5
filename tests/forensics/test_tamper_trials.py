"""Random damage to everything that is kept: found each time, and blamed on the layer that was hit.

One installation is made and stopped; each trial changes one value of one class, asks the check that `audit
fsck` runs for that class (or the offline verifier), and puts the value back. The number of trials is
TWINLEDGER_TEST_TAMPERS (50), the first seed TWINLEDGER_TEST_SEED (0); trial n is of class n
modulo the number of classes, so every table of the projection and every member of the evidence has its turn.
"""

import os
import random
from pathlib import Path

import pytest
from tampered import (
    Damage,
    Scene,
    block,
    cut,
    cut_pack,
    doubled,
    flipped,
    framing,
    make_scene,
    manifest_block,
    members,
    of_a_file,
    of_a_member,
    row_of,
    state,
)

from registry.audit.trust import parse_trust
from registry.audit.verify_case import verify_case
from registry.config import Home
from registry.errors import RegistryError
from registry.index.schema import CHAIN_TABLES

TRIALS = int(os.environ.get("TWINLEDGER_TEST_TAMPERS", "50"))
FIRST = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("tampered"))


def chain_log(home: Home) -> Path:
    return home.log / "chain.db"


def gateway_log(home: Home) -> Path:
    return home.log / "gateway.db"


def index(home: Home) -> Path:
    return home.index


def pool(home: Home) -> Path:
    return home.pool


def chain(home: Home) -> Path:
    return home.chain / "chain.sqlite"


def openings(home: Home) -> Path:
    return home.log / "openings.db"


def pins(home: Home) -> Path:
    return home.store / "pins.db"


def blocks(home: Home) -> Path:
    return home.store / "index.db"


POOL_TABLES = {
    "contributions": "contribution",
    "measurements": "measurement",
    "handovers": "handover",
    "uploads": "upload",
    "nonces": "nonce",
    "answers": "answer",
}
LOG_WORDS = ("map", "index", "entry", "log", "tile")
# What only executing a failed transaction could tell is left out: see registry/chain/filecheck.py.
# Class: how it is damaged, which part of fsck finds it, and a word of the blame.
CLASSES: dict[str, tuple[Damage, str, tuple[str, ...]]] = {
    **{
        f"projection: {table.name}": (row_of(index, table.name), "projection", (f"{table.name}:",))
        for table in CHAIN_TABLES
    },
    "projection: blocks": (row_of(index, "blocks"), "projection", ("blocks:",)),
    "projection: release": (row_of(index, "release"), "projection", ("shape",)),
    "projection: manifests": (row_of(index, "manifests"), "projection", ("manifest",)),
    "projection: fields": (row_of(index, "fields"), "projection", ("fields of", "searchable")),
    "pool": (row_of(pool, "submissions"), "pool", ("submission",)),
    "pool: state": (state, "pool", ("submission", "pool", "counts as", "is expired")),
    "pool: promise": (row_of(pool, "submissions", ("promise",)), "pool", ("submission",)),
    **{
        f"pool: {table}": (row_of(pool, table), "pool", (f"pool {one} ",))
        for table, one in POOL_TABLES.items()
    },
    "pool: schema": (row_of(pool, "alembic_version"), "pool", ("schema",)),
    "openings": (row_of(openings, "openings"), "logs", ("openings",)),
    "log entry": (row_of(gateway_log, "entries"), "logs", ("entry",)),
    "chain log entry": (row_of(chain_log, "entries"), "logs", ("entry",)),
    "log tree": (row_of(chain_log, "trees"), "logs", LOG_WORDS),
    "log index": (row_of(gateway_log, "postings"), "logs", ("index", "map")),
    "tile": (row_of(gateway_log, "nodes"), "logs", ("tile",)),
    "log description": (row_of(gateway_log, "meta", ("value",)), "logs", ("holds the log", "schema")),
    "checkpoint": (row_of(gateway_log, "checkpoints", ("note",)), "logs", ("checkpoint",)),
    "chain log checkpoint": (row_of(chain_log, "checkpoints", ("note",)), "logs", ("checkpoint",)),
    "checkpoint row": (row_of(chain_log, "checkpoints", ("size", "kept")), "logs", ("checkpoint",)),
    "pack": (of_a_file(block("1")), "store", ("corrupt",)),
    "manifest": (of_a_file(manifest_block), "store", ("corrupt",)),
    "CAR framing": (of_a_file(framing), "store", ("the frame in pack", "the header of pack")),
    "pack cut": (cut_pack, "store", ("the pack",)),
    "store pins": (row_of(pins, "pin"), "store", ("is not pinned", "no CID")),
    # `seen` says how long a block that nothing names is kept: the clock of this store alone.
    "store blocks": (
        row_of(blocks, "block", ("cid", "pack", "offset", "length", "is_bad")),
        "store",
        ("corrupt", "not whole", "frame", "not held", "not in this store", "no CID"),
    ),
    "store packs": (row_of(blocks, "pack"), "store", ("the pack", "not whole", "says that pack", "frame")),
    "chain database": (row_of(chain, "kv"), "chain database", ("0x", "leads to", "block")),
}
WHOLE = (flipped, cut, doubled)


def test_an_untouched_home_has_no_differences(scene: Scene) -> None:
    for part in sorted({part for _, part, _ in CLASSES.values()}):
        assert scene.findings(part) == [], part
    verify_case(scene.case, parse_trust(scene.home.trust.read_bytes()))


def test_every_damage_is_found_and_blamed_on_its_layer(scene: Scene) -> None:
    inside = members(scene.case.read_bytes())
    evidence = [name for name, held in sorted(inside.items()) if held]
    names = [*CLASSES, *(f"evidence: {name}" for name in evidence), "evidence: as a whole"]
    wrong = []
    for seed in range(FIRST, FIRST + TRIALS):
        dice = random.Random(seed)
        name = names[seed % len(names)]
        if name not in CLASSES:
            check_evidence(scene, name.removeprefix("evidence: "), dice)
            continue
        damage, part, words = CLASSES[name]
        undo = damage(scene, dice)
        found = scene.findings(part)
        undo()
        if not any(word in one for one in found for word in words):
            wrong.append(f"trial {seed}: {name}: {found}")
    assert wrong == []


def check_evidence(scene: Scene, name: str, dice: random.Random) -> None:
    """One member changed in an archive that is whole, or the file itself cut, doubled or flipped."""
    trust = parse_trust(scene.home.trust.read_bytes())
    honest = scene.case.read_bytes()
    bent = dice.choice(WHOLE)(honest, dice) if name == "as a whole" else of_a_member(honest, name, dice)
    scene.case.write_bytes(bent)
    try:
        with pytest.raises(RegistryError):
            verify_case(scene.case, trust)
    finally:
        scene.case.write_bytes(honest)
