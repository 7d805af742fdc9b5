"""What falls due is found by an index, because several gateways look for it in the same pool."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Submissions by deadline, unnamed uploads by age."""
    op.create_index("submissions_by_deadline", "submissions", ["state", "deadline"])
    op.create_index("uploads_by_age", "uploads", ["named", "received"])
