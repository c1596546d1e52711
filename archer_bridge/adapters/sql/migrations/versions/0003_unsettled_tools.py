"""Indexes of the tool rows that are looked for: unsettled ones every few seconds, one business key's at each try."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None

UNSETTLED = sa.text("status IN ('started', 'unknown')")


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_tool_calls_business_key", "tool_calls", ["business_key"])
    op.create_index(
        "ix_tool_calls_unsettled", "tool_calls", ["status"], sqlite_where=UNSETTLED, postgresql_where=UNSETTLED
    )
