"""The log of each run: execution_events.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The states of runs and tasks stay; only how they came about is deleted.
deletes = ("execution_events",)

_TABLE = """
    CREATE TABLE execution_events (
        execution_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        seq BIGINT NOT NULL CHECK (seq > 0),
        kind TEXT COLLATE "C" NOT NULL,
        path TEXT COLLATE "C",
        data TEXT NOT NULL CHECK (data::json IS NOT NULL),
        created_ms BIGINT NOT NULL,
        PRIMARY KEY (execution_id, seq)
    )
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLE)


def downgrade() -> None:
    """Delete the table."""
    op.execute("DROP TABLE execution_events")
