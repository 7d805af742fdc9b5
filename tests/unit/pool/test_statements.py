"""What is asked of many rows by their keys is found by an index, however many rows there are."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Engine

from registry.core.ids import VersionId
from registry.database import open_database, reading, sqlite_url
from registry.index import projection, queries
from registry.index.schema import metadata
from registry.pool import Pool, submissions, uploads
from registry.statements import Command

MODULES: tuple[ModuleType, ...] = (submissions, uploads, queries, projection)
ASKED = [
    (f"{module.__name__.rpartition('.')[2]}.{name}", found)
    for module in MODULES
    for name, found in vars(module).items()
    if isinstance(found, Command)
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = open_database(sqlite_url(tmp_path / "all.db"))
    Pool(found)
    metadata.create_all(found)
    yield found
    found.dispose()


def test_each_is_found_by_an_index(engine: Engine) -> None:
    by_keys = 0
    with reading(engine) as connection:
        for name, command in ASKED:
            prepared = command._for(connection.dialect)
            if "keys" not in prepared.constants:
                continue
            by_keys += 1
            given = prepared.bound({**prepared.constants, "keys": "[]"})
            raw = connection.connection.cursor()
            raw.execute(f"EXPLAIN QUERY PLAN {prepared.text}", given)
            plan = [row[3] for row in raw.fetchall()]
            assert plan[0].startswith("SEARCH") and "INDEX" in plan[0], f"{name}: {plan}"
    assert by_keys >= 12


def test_any_number_of_keys_is_one_statement(engine: Engine) -> None:
    assert Pool(engine).received(VersionId(n.to_bytes(32, "big")) for n in range(50_000)) == {}
