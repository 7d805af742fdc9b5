"""From the first released schema to the present one, on every database this machine has; nothing is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, inspect, select, text
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from registry.core.cid import RAW, Cid
from registry.core.ids import sha256, to_address
from registry.core.sealed_update import Handover
from registry.database import writing
from registry.errors import Conflict, Unauthenticated
from registry.index import Projection
from registry.index import release as projected
from registry.index.schema import metadata as projection_metadata
from registry.pool import Pool, PoolState, Requests, Uploads, open_nonces
from registry.pool.contributions import Contributions
from registry.pool.migrations import HEAD, prepare, revisions
from registry.pool.schema import metadata, submissions
from registry.pool.seals import RowSeal

DUMPS = Path(__file__).parents[1] / "vectors" / "data"
# Tables that a later release brought: 0.1.0 has no row for them.
LATER = {"handovers"}
# Columns that a later release brought: empty in every row of 0.1.0.
NEWER = {"seal", "contributions.promise"}
SEAL = RowSeal(b"k" * 32)
OpenEngine = Callable[[], Engine]


def load_first_release(engine: Engine) -> dict[str, list[Any]]:
    """The pool that release 0.1.0 left, in the empty database; answers its rows."""
    dump = DUMPS / f"pool-0.1.0.{engine.dialect.name}.sql"
    raw = engine.raw_connection()
    try:
        if engine.dialect.name == "sqlite":
            raw.driver_connection.executescript(dump.read_text())  # type: ignore[union-attr]
        else:
            cursor = raw.cursor()
            cursor.execute("SELECT current_schema()")
            (schema,) = cursor.fetchone()  # type: ignore[misc]
            kept = [
                line.replace("twinledger_pool", schema)
                for line in dump.read_text().splitlines()
                if not line.startswith(("--", "SET ", "CREATE SCHEMA", "SELECT pg_catalog.set_config"))
            ]
            cursor.execute("\n".join(kept))
            raw.commit()
    finally:
        raw.close()
    return rows(engine)


def rows(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {
            table.name: sorted(
                tuple(row) for row in connection.execute(select(*(c for c in table.c if not is_newer(c))))
            )
            for table in metadata.sorted_tables
            if table.name not in LATER
        }


def is_newer(column: Column[Any]) -> bool:
    return bool({column.name, f"{column.table.name}.{column.name}"} & NEWER)


def stated(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return connection.execute(select(revisions.c.version_num)).scalar_one()


def differences(engine: Engine) -> list[Any]:
    """What alembic would still change to come from the database to schema.py."""
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def test_every_row_of_the_first_release_is_there_after_the_upgrade(open_engine: OpenEngine) -> None:
    engine = open_engine()
    before = load_first_release(engine)
    assert all(before[name] for name in set(metadata.tables) - LATER), "the dump has a row in every table"
    prepare(engine)
    assert rows(engine) == before
    assert stated(engine) == HEAD
    assert differences(engine) == []
    with engine.connect() as connection:
        newer = [c for table in metadata.sorted_tables for c in table.c if is_newer(c)]
        assert newer and all(connection.execute(select(c)).scalars().first() is None for c in newer)


def test_the_upgraded_pool_goes_on_where_the_first_release_stopped(open_engine: OpenEngine) -> None:
    engine = open_engine()
    old = load_first_release(engine)
    pool = Pool(engine)
    assert [e.state for e in pool.listed(None, limit=9)] == [PoolState.SEALED] * 2 + [PoolState.PENDING]
    (pending,) = pool.pending(limit=9)
    other = replace(pending.submission, version=replace(pending.submission.version, salt=bytes(32)))
    pool.add([replace(pending, submission=other)])
    assert [e.sequence for e in pool.pending(limit=9)] == [3, 4], "the order of arrival goes on"
    assert pool.expire(pending.submission.deadline + 1) == 2
    requests = Requests(engine, SEAL)
    key = next(row for row in old["answers"] if row[2] == "kept since 0.1.0")
    kept = requests.answered(key[0], key[1], key[2], bytes.fromhex(key[3]))
    assert kept is not None and (kept.status, kept.body) == (key[4], key[5])
    with pytest.raises(Unauthenticated):
        open_nonces(engine, SEAL, window_s=300).take(old["nonces"][0][0], b"n" * 32, 1_000, 1_000)
    (held,) = Contributions(engine).listed(1, 0)
    assert (held.contribution.samples, held.aggregator_signature) == (17, b"\x02" * 65)
    assert [statement.measurement.loss_after for statement in held.statements] == [200_000]
    assert Uploads(engine, SEAL).unnamed_bytes() == 0


def empty(_engine: Engine) -> None:
    """A database that no release has used."""


@pytest.mark.parametrize("begin", [empty, load_first_release])
def test_a_sequence_number_is_never_given_twice(
    open_engine: OpenEngine, begin: Callable[[Engine], object]
) -> None:
    load_first_release(open_engine())
    (given,) = Pool(open_engine()).pending(limit=9)
    engine = open_engine()
    with writing(engine) as connection:
        for table in (*metadata.sorted_tables, revisions):
            connection.execute(DropTable(table))
    begin(engine)
    pool = Pool(engine)
    numbers = []
    for _ in range(3):
        pool.add([given])  # replaces the row in place: the newest number is free again
        numbers += [entry.sequence for entry in pool.pending(limit=9)]
    with writing(engine) as connection:
        connection.execute(submissions.delete())
    Pool(open_engine()).add([given])
    numbers += [entry.sequence for entry in pool.pending(limit=9)]
    assert numbers == sorted(set(numbers)), numbers


def test_a_submission_of_the_first_release_arrived_when_its_promise_says(open_engine: OpenEngine) -> None:
    engine = open_engine()
    load_first_release(engine)
    with writing(engine) as connection:
        connection.execute(submissions.update().values(received=submissions.c.received - 1))
    prepare(engine)
    *promised, bare = Pool(engine).listed(None, limit=9)
    assert [one.received for one in promised] == [one.promise and one.promise.issued for one in promised]
    assert (bare.received, bare.promise) == (999, None)


def test_what_later_releases_brought_is_there_after_the_upgrade(open_engine: OpenEngine) -> None:
    engine = open_engine()
    load_first_release(engine)
    rounds = Contributions(engine)
    device = to_address("0x5a67b879Eab14606955251B2026b11C587d706C1")
    first, second = (Handover(1, 0, device, bytes(32), Cid(RAW, sha256(word))) for word in (b"a", b"b"))
    rounds.hand_over(first, bytes(65))
    rounds.hand_over(second, b"\x01" * 65)
    assert rounds.handed(1) == rounds.handed(1, 0) == [(second, b"\x01" * 65)]


def test_a_new_database_and_an_upgraded_one_are_the_same(open_engine: OpenEngine) -> None:
    engine = open_engine()
    prepare(engine)
    assert stated(engine) == HEAD
    assert differences(engine) == []
    assert not any(rows(engine).values())


def test_a_first_release_that_never_opened_a_part_is_upgraded_too(open_engine: OpenEngine) -> None:
    engine = open_engine()
    load_first_release(engine)
    with writing(engine) as connection:
        for name in ("contributions", "measurements"):
            connection.execute(text(f"DROP TABLE {name}"))
    prepare(engine)
    assert differences(engine) == []


def test_gateways_that_start_at_once_upgrade_once(open_engine: OpenEngine) -> None:
    engines = [open_engine() for _ in range(4)]
    before = load_first_release(engines[0])
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(prepare, engines))
    assert rows(engines[0]) == before
    assert differences(engines[0]) == []


def test_an_upgrade_that_breaks_off_changes_nothing(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    before = load_first_release(engine)
    with writing(engine) as connection:
        # The last step of the last revision finds its name taken.
        connection.execute(text("CREATE INDEX uploads_by_age ON uploads (received)"))
    with pytest.raises(Exception, match="uploads_by_age"):
        prepare(engine)
    names = {found["name"] for found in inspect(engine).get_indexes("submissions")}
    assert "submissions_by_deadline" not in names
    assert not inspect(engine).has_table(revisions.name)
    with writing(engine) as connection:
        connection.execute(text("DROP INDEX uploads_by_age"))
    prepare(engine)
    assert rows(engine) == before


def test_a_pool_of_a_newer_release_is_refused_with_what_to_do(open_engine: OpenEngine) -> None:
    engine = open_engine()
    prepare(engine)
    with writing(engine) as connection:
        connection.execute(revisions.update().values(version_num="0999"))
    with pytest.raises(Conflict, match="schema 0999") as refused:
        Pool(engine)
    assert "backup" in str(refused.value.hint)
    assert stated(engine) == "0999"


def test_the_newest_revision_is_the_one_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", "registry.pool:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_projection_of_another_shape_is_dropped_and_a_newer_one_refused(open_engine: OpenEngine) -> None:
    engine = open_engine()
    with writing(engine) as connection:  # as release 0.1.0 left it: no number
        connection.execute(text("CREATE TABLE versions (unlike INTEGER)"))
    assert Projection(engine).cursor() is None
    assert "unlike" not in {column["name"] for column in inspect(engine).get_columns("versions")}
    with writing(engine) as connection:
        connection.execute(projected.release.update().values(projection=projected.PROJECTION + 1))
    with pytest.raises(Conflict, match="shape"):
        Projection(engine)


def test_a_changed_projection_has_a_new_number() -> None:
    tables = [str(CreateTable(table)) for table in projection_metadata.sorted_tables]
    indexes = [
        str(CreateIndex(index))
        for table in projection_metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    known = {1: "d2dc223397401005", 2: "f0d9a3da91b8ae27", 3: "4da296d95aa9b0d5", 4: "cd044e088b1c4bca"}
    digest = sha256("\n".join(tables + indexes).encode()).hex()[:16]
    assert known.get(projected.PROJECTION) == digest, "raise PROJECTION, and name its digest here"
