"""Where devices handed over their encrypted updates."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint

from registry.database import ExactText

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One row per device and round."""
    op.create_table(
        "handovers",
        *(Column(name, BigInteger, nullable=False) for name in ("task", "round")),
        *(Column(name, ExactText, nullable=False) for name in ("device", "body", "signature")),
        PrimaryKeyConstraint("task", "round", "device"),
    )
