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
        execution_id TEXT NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        seq INTEGER NOT NULL CHECK (seq > 0),
        kind TEXT NOT NULL,
        path TEXT,
        data TEXT NOT NULL CHECK (json_valid(data)),
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (execution_id, seq)
    ) STRICT, WITHOUT ROWID
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLE)


def downgrade() -> None:
    """Delete the table."""
    op.execute("DROP TABLE execution_events")
