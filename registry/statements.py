"""Statements that nearly every request makes: compiled once for each database, on the driver's cursor.

SQLAlchemy takes six times as long over such a statement as SQLite takes to answer it.
"""

import json
from collections import namedtuple
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    ClauseElement,
    ColumnElement,
    Compiled,
    Connection,
    Dialect,
    Select,
    bindparam,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as one kind of database reads it."""

    text: str
    constants: dict[str, Any]
    order: list[str] | None

    def bound(self, values: Mapping[str, object]) -> Any:
        """The values as this driver takes them: by place, or by name."""
        return values if self.order is None else [values[name] for name in self.order]


class Among(ColumnElement[bool]):
    """Whether a column is one of the texts of a list, however long, that is given as the parameter `keys`."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column: ColumnElement[Any] = column
        self.keys: ColumnElement[Any] = bindparam("keys")

    def self_group(self, *_: object, **_against: object) -> Self:
        """As it is: `IN (…) = 1`, which SQLAlchemy would make of it, finds nothing by an index."""
        return self


@compiles(Among)
def _among(one: Among, compiler: SQLCompiler, **_: object) -> str:
    column, keys = compiler.process(one.column), compiler.process(one.keys)
    return f"{column} IN (SELECT value FROM json_each({keys}))"  # noqa: S608 - a name and a placeholder


@compiles(Among, "postgresql")
def _among_postgresql(one: Among, compiler: SQLCompiler, **_: object) -> str:
    return f"{compiler.process(one.column)} = ANY({compiler.process(one.keys)})"


class Command:
    """A statement that changes something."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, Prepared] = {}

    def run(self, connection: Connection, **values: object) -> None:
        """Carry it out; a list is the `keys` of an `Among`."""
        with closing(connection.connection.cursor()) as cursor:
            self._execute(cursor, connection.dialect, values)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Carry it out once for each of the rows of values."""
        compiled = self._for(connection.dialect)
        given = [compiled.bound({**compiled.constants, **row}) for row in rows]
        if given:
            with closing(connection.connection.cursor()) as cursor:
                cursor.executemany(compiled.text, given)

    def _execute(self, cursor: Any, dialect: Dialect, values: Mapping[str, object]) -> None:
        compiled = self._for(dialect)
        given = {**compiled.constants, **values}
        if "keys" in values and dialect.name == "sqlite":
            given["keys"] = json.dumps(values["keys"])
        cursor.execute(compiled.text, compiled.bound(given))

    def _for(self, dialect: Dialect) -> Prepared:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = prepared(self._statement.compile(dialect=dialect))
        return compiled


class Lookup(Command):
    """A statement that reads."""

    def __init__(self, statement: Select[Any]) -> None:
        super().__init__(statement)
        # Its fields are known when the statement is, which no type checker can follow.
        self._row: Any = namedtuple("Row", statement.selected_columns.keys())  # type: ignore[misc]

    def rows(self, connection: Connection, **values: object) -> list[Any]:
        """The rows, with their columns as attributes."""
        with closing(connection.connection.cursor()) as cursor:
            self._execute(cursor, connection.dialect, values)
            return list(map(self._row._make, cursor.fetchall()))

    def first(self, connection: Connection, **values: object) -> Any:
        """The first row, or None."""
        return next(iter(self.rows(connection, **values)), None)


def prepared(made: Compiled) -> Prepared:
    """What SQLAlchemy made of a statement."""
    return Prepared(str(made), made.params, made.positiontup)  # type: ignore[attr-defined]
