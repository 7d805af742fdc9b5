"""The rows that a run of events adds: gathered, then written with one statement per table."""

from collections.abc import Mapping

from sqlalchemy import Connection, Table, bindparam, func, select

from registry.database import add_rows
from registry.index import schema as t
from registry.index.records import Line
from registry.statements import Lookup

# Built once: a run of events asks it for every model.
_NEWEST = Lookup(
    select(func.coalesce(func.max(t.versions.c.number), 0).label("number")).where(
        t.versions.c.model_id == bindparam("model")
    )
)


class Rows:
    """What one transaction of the projection will add."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[Table, list[Mapping[str, object]]] = {}
        self._numbers: dict[str, int] = {}

    def add(self, table: Table, line: Line, **columns: object) -> None:
        """One row for an event, in a table whose key is the event's place."""
        self.put(table, {"block": line.block, "log_index": line.log_index, **columns})

    def put(self, table: Table, row: Mapping[str, object]) -> None:
        """One row as it is."""
        self._rows.setdefault(table, []).append(row)

    def number(self, model: str) -> int:
        """The next version's number in a model.

        Chain order is the order of the rows, so it is the same on every gateway.
        """
        known = self._numbers.get(model)
        if known is None:
            known = int(_NEWEST.first(self._connection, model=model).number)
        self._numbers[model] = known + 1
        return known + 1

    def write(self) -> None:
        """Write everything added."""
        for table, rows in self._rows.items():
            add_rows(self._connection, table, rows)
        self._rows.clear()
