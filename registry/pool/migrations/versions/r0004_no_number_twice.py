"""A sequence number is never given twice, and a submission's time of arrival is that of its promise.

Readers page through the pool by `sequence`: of a number that came back after its row was deleted, SQLite's
habit without AUTOINCREMENT, they would never see the new row. PostgreSQL's sequences do not go back.
"""

import json

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, UniqueConstraint, text

from registry.database import ExactText

revision = "0004"
down_revision = "0003"

_INDEXES = {
    "submissions_by_state": ["state", "sequence"],
    "submissions_by_submitter": ["submitter", "state"],
    "submissions_by_deadline": ["state", "deadline"],
}


def upgrade() -> None:
    """SQLite makes AUTOINCREMENT with a table only: a new one takes the rows over."""
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    _date()


def _make_anew() -> None:
    for name in _INDEXES:
        op.drop_index(name, "submissions")
    op.rename_table("submissions", "submissions_0003")
    op.create_table(
        "submissions",
        Column("sequence", Integer, primary_key=True, autoincrement=True),
        *(Column(name, ExactText, nullable=False) for name in ("version_id", "state", "submitter", "model")),
        *(Column(name, BigInteger, nullable=False) for name in ("issued_at", "deadline")),
        Column("reserved", ExactText, nullable=False),
        Column("received", BigInteger, nullable=False),
        Column("body", ExactText, nullable=False),
        *(Column(name, ExactText) for name in ("reason", "promise")),
        UniqueConstraint("version_id"),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO submissions SELECT * FROM submissions_0003")
    op.drop_table("submissions_0003")
    for name, columns in _INDEXES.items():
        op.create_index(name, "submissions", columns)


def _date() -> None:
    connection = op.get_bind()
    rows = connection.execute(text("SELECT sequence, received, promise FROM submissions ORDER BY sequence"))
    for sequence, received, promise in rows.all():
        issued = received if promise is None else json.loads(promise)["issued"]
        if issued != received:
            connection.execute(
                text("UPDATE submissions SET received = :issued WHERE sequence = :sequence"),
                {"issued": issued, "sequence": sequence},
            )
