"""The schema of release 0.1.0. Written down, not taken from `schema.py`: that one moves on.

A pool of 0.1.0 bears no revision, and may lack the tables of a part it never opened: what is there stays.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, UniqueConstraint

from registry.database import ExactText

revision = "0001"
down_revision = None


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, ExactText, nullable=nullable)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _submissions() -> None:
    sequence = BigInteger().with_variant(Integer, "sqlite")
    op.create_table(
        "submissions",
        Column("sequence", sequence, primary_key=True, autoincrement=True),
        *(_text(name) for name in ("version_id", "state", "submitter", "model")),
        *(_number(name) for name in ("issued_at", "deadline")),
        _text("reserved"),
        _number("received"),
        _text("body"),
        _text("reason", nullable=True),
        _text("promise", nullable=True),
        UniqueConstraint("version_id"),
        if_not_exists=True,
    )
    op.create_index("submissions_by_state", "submissions", ["state", "sequence"], if_not_exists=True)
    op.create_index("submissions_by_submitter", "submissions", ["submitter", "state"], if_not_exists=True)


def _uploads() -> None:
    op.create_table(
        "uploads",
        *(_text(name) for name in ("cid", "sha256")),
        _number("size"),
        _text("caller"),
        *(_number(name) for name in ("received", "named")),
        PrimaryKeyConstraint("cid"),
        if_not_exists=True,
    )
    op.create_index("uploads_by_caller", "uploads", ["caller", "named"], if_not_exists=True)


def _requests() -> None:
    op.create_table(
        "nonces",
        *(_text(name) for name in ("address", "nonce")),
        _number("created"),
        PrimaryKeyConstraint("address", "nonce"),
        if_not_exists=True,
    )
    op.create_table(
        "answers",
        *(_text(name) for name in ("actor", "route", "key", "body_sha256")),
        Column("status", Integer, nullable=False),
        _text("body"),
        _number("created"),
        PrimaryKeyConstraint("actor", "route", "key"),
        if_not_exists=True,
    )
    for table in ("nonces", "answers"):
        op.create_index(f"ix_{table}_created", table, ["created"], if_not_exists=True)


def _rounds() -> None:
    op.create_table(
        "contributions",
        *(_number(name) for name in ("task", "round")),
        *(_text(name) for name in ("device", "body", "device_signature")),
        _text("aggregator_signature", nullable=True),
        _number("received"),
        PrimaryKeyConstraint("task", "round", "device"),
        if_not_exists=True,
    )
    op.create_table(
        "measurements",
        *(_number(name) for name in ("task", "round")),
        *(_text(name) for name in ("device", "validator", "body", "signature")),
        PrimaryKeyConstraint("task", "round", "device", "validator"),
        if_not_exists=True,
    )


def upgrade() -> None:
    """Make what is missing."""
    _submissions()
    _uploads()
    _requests()
    _rounds()
