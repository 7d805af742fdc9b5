"""A mark on the rows of the pool that nothing else answers for.

A submission has its submitter's signature and the gateway's promise. A nonce, a kept answer and an upload
have neither: whoever changed one in the database could not be told from the gateway. The mark is an
HMAC-SHA256 under a key that follows from the log's secret: it costs microseconds and needs no key of its own.
What it cannot show is a row that was taken away.
"""

import hmac
import json
from collections.abc import Mapping
from functools import cache

from sqlalchemy import Table

from registry.core.ids import sha256

_PURPOSE = b"twinledger/row-seal/1\0"
_COLUMN = "seal"
_text = json.JSONEncoder(separators=(",", ":")).encode


class RowSeal:
    """Marks rows for one gateway; a mark begins with whose it is."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is that of the log's key."""
        self._key = sha256(_PURPOSE + secret)
        self._whose = sha256(self._key)[:4].hex()

    def of(self, table: Table, row: Mapping[str, object]) -> str:
        """The mark of a row: over the table's name and every other column."""
        told = [table.name, *[_stored(row[name]) for name in _sealed(table)]]
        mac = hmac.digest(self._key, _text(told).encode(), "sha256")
        return f"{self._whose}:{mac[:16].hex()}"

    def is_own(self, mark: str) -> bool:
        """Whether a mark says that it is this gateway's."""
        return mark.partition(":")[0] == self._whose


@cache
def _sealed(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.c if column.name != _COLUMN)


def _stored(value: object) -> object:
    """As the database keeps it: see `registry.database.ExactText`."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
