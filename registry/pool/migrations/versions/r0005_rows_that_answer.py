"""Rows that nothing else answers for bear the gateway's mark, and a contribution its promise.

Rows of before have neither; fsck takes that from rows which are older than every marked one.
"""

from alembic import op
from sqlalchemy import Column

from registry.database import ExactText

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """New columns, empty in every row there is."""
    for table in ("uploads", "nonces", "answers"):
        op.add_column(table, Column("seal", ExactText))
    op.add_column("contributions", Column("promise", ExactText))
