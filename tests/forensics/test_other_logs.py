"""Damage to the other logs in a home, those put aside and the witness's mirrors, and rows taken out whole.

One home ran under two origins and was stopped; each test changes one thing, asks `audit fsck`, puts it back.
"""

import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import write_weights
from tampered import Scene, row_of, serving

from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.sdk import Client
from registry.wiring.origins import origin_in
from registry.wiring.up import running


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("origins")
    home = Home(folder / "home").make()
    first = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    second = replace(first, log=replace(first.log, origin="gateway/second"))
    for number, settings in enumerate((first, second)):
        with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
            weights = write_weights(folder / f"{number}.safetensors", number)
            with Client(home=home.root) as client:
                receipt = client.submit("local/kept", [weights], {})
                client.retrieve(receipt.version_id, folder / f"out-{number}")
    with serving(home, second) as (_, url), Client(url, home=home.root) as client:
        submit_twice(client, write_weights(folder / "twice.safetensors", 9))
    return Scene(home, second, folder / "none", b"")


def submit_twice(client: Client, weights: Path) -> None:
    """The same version, signed later: that submission takes the place of the earlier one."""
    first = client.submit("local/twice", [weights], {}, wait=False)
    issued = first.submission.issued_at
    while client.account.show().chain_time <= issued:
        time.sleep(0.1)
    client.submit("local/twice", [weights], {}, wait=False, max_price=1_000)


def aside(name: str) -> Callable[[Home], Path]:
    return lambda home: home.log / "before-1" / name


def mirror(log: str) -> Callable[[Home], Path]:
    def path(home: Home) -> Path:
        origin = origin_in(home.log / log)
        assert origin is not None
        return home.log / "witness" / f"{sha256(origin.encode()).hexdigest()}.db"

    return path


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Whatever becomes of a file or folder is undone."""
    spare = path.with_name(f"{path.name}.spare")
    copy = shutil.copytree if path.is_dir() else shutil.copy2
    copy(path, spare)
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        spare.rename(path)


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(sql).rowcount > 0
        db.commit()


def test_a_home_that_ran_under_two_origins_agrees_and_is_not_changed_by_the_look(scene: Scene) -> None:
    before = {path: path.read_bytes() for path in sorted((scene.home.log / "before-1").iterdir())}
    for part in ("logs", "pool"):
        assert scene.findings(part) == [], part
    assert {path: path.read_bytes() for path in sorted((scene.home.log / "before-1").iterdir())} == before


@pytest.mark.parametrize(
    ("path", "table", "columns"),
    [
        (aside("gateway.db"), "entries", ("body",)),
        (aside("gateway.db"), "checkpoints", ("note",)),
        (aside("gateway.db"), "postings", ()),
        (aside("openings.db"), "openings", ("value", "salt")),
        (mirror("gateway.db"), "entries", ("body",)),
        (mirror("gateway.db"), "entries", ("leaf",)),
        (mirror("chain.db"), "checkpoints", ("note",)),
        (mirror("chain.db"), "trees", ("root",)),
        (mirror("before-1/gateway.db"), "entries", ("body",)),
    ],
)
def test_a_value_changed_in_a_copy_is_found(
    scene: Scene, path: Callable[[Home], Path], table: str, columns: tuple[str, ...]
) -> None:
    undo = row_of(path, table, columns)(scene, random.Random(7))
    found = scene.findings("logs")
    undo()
    place = path(scene.home)
    named = "openings" if table == "openings" else f"in {place.parent.name}/{place.name}"
    assert [one for one in found if named in one], found


@pytest.mark.parametrize(
    ("path", "sql", "said"),
    [
        ("before-1/openings.db", "DELETE FROM openings", "is missing, and no rule deleted it"),
        ("before-1/gateway.db", "DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)", "follows"),
    ],
)
def test_rows_taken_out_of_a_log_that_was_put_aside_are_missed(
    scene: Scene, path: str, sql: str, said: str
) -> None:
    with kept(scene.home.log / path):
        execute(scene.home.log / path, sql)
        assert [one for one in scene.findings("logs") if said in one]


def test_a_log_that_was_put_aside_and_is_gone_is_missed(scene: Scene) -> None:
    folder = scene.home.log / "before-1"
    spare = folder.rename(folder.with_name("elsewhere"))
    found = scene.findings("logs")
    spare.rename(folder)
    assert [one for one in found if "which is gone" in one], found


def test_a_log_that_is_not_the_one_its_witness_saw_is_told_from_it(scene: Scene) -> None:
    """Both files are sound; only the witness knows that the log once was another."""
    seen, other = mirror("before-1/gateway.db")(scene.home), mirror("gateway.db")(scene.home)
    with kept(seen):
        shutil.copy2(other, seen)
        found = scene.findings("logs")
    assert [one for one in found if "filed as another log's mirror" in one], found


def test_a_submission_that_was_taken_out_of_the_pool_is_missed(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.home.pool)) as db:
        (version_id,) = db.execute("SELECT version_id FROM submissions ORDER BY sequence LIMIT 1").fetchone()
    with kept(scene.home.pool):
        execute(scene.home.pool, f"DELETE FROM submissions WHERE version_id = '{version_id}'")
        (found,) = scene.findings("pool")
    assert "1 submissions are gone" in found
    assert version_id in found
