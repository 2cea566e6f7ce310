"""A server: who or what started each run, its labels and its trace.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

deletes = ("execution_labels",)

# What started the run: the type and ID of a trigger, and the person or API key; the trace of the request.
# NULL for runs from before this revision.
_COLUMNS = ("trigger_type", "trigger_id", "started_by", "traceparent")
_TABLES = (
    """
    CREATE TABLE execution_labels (
        execution_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        name TEXT COLLATE "C" NOT NULL,
        value TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (execution_id, name)
    )
    """,
    "CREATE INDEX ix_execution_labels_value ON execution_labels (name, value)",
)
_DROPS = ("DROP TABLE execution_labels",)


def upgrade() -> None:
    """Create the columns and tables."""
    for column in _COLUMNS:
        op.execute(f'ALTER TABLE workflow_states ADD COLUMN {column} TEXT COLLATE "C"')
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Delete them."""
    for statement in _DROPS:
        op.execute(statement)
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE workflow_states DROP COLUMN {column}")
