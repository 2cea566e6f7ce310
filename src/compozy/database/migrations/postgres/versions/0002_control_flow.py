"""Control flow: signals, requests to runs, suspended runs, rows of tasks by their path.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What a step down would delete, for the question that is asked before it.
deletes = ("signals",)
deletes_journal = False

_UP = (
    "ALTER TABLE workflow_states ADD COLUMN requested TEXT CHECK (requested IN ('PAUSED','CANCELED'))",
    "ALTER TABLE workflow_states ADD COLUMN wake_ms BIGINT",
    'ALTER TABLE workflow_states ADD COLUMN rerun_of TEXT COLLATE "C"',
    "ALTER TABLE workflow_states ADD COLUMN kept TEXT CHECK (kept IS NULL OR kept::json IS NOT NULL)",
    "CREATE INDEX ix_workflow_states_requested ON workflow_states (owner) WHERE requested IS NOT NULL",
    'ALTER TABLE task_states ADD COLUMN waits_for TEXT COLLATE "C"',
    "CREATE INDEX ix_task_states_waits_for ON task_states (waits_for) WHERE waits_for IS NOT NULL",
    # Until now a task had its place in the list as its key; nested tasks have none.
    "UPDATE task_states SET task_exec_id = workflow_exec_id || '/' || task_id",
    """
    CREATE TABLE signals (
        signal_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        workflow_exec_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        name TEXT COLLATE "C" NOT NULL,
        payload TEXT CHECK (payload IS NULL OR payload::json IS NOT NULL),
        sent_by TEXT COLLATE "C",
        created_ms BIGINT NOT NULL,
        taken_by TEXT COLLATE "C",
        taken_ms BIGINT
    )
    """,
    "CREATE INDEX ix_signals_run ON signals (workflow_exec_id, name, created_ms)",
    "CREATE INDEX ix_signals_open ON signals (workflow_exec_id) WHERE taken_by IS NULL",
)
_DOWN = (
    "DROP TABLE signals",
    "UPDATE task_states SET parent_state_id = NULL",
    "UPDATE task_states SET task_exec_id = workflow_exec_id || '/' || position",
    "DROP INDEX ix_task_states_waits_for",
    "ALTER TABLE task_states DROP COLUMN waits_for",
    "DROP INDEX ix_workflow_states_requested",
    "ALTER TABLE workflow_states DROP COLUMN kept",
    "ALTER TABLE workflow_states DROP COLUMN rerun_of",
    "ALTER TABLE workflow_states DROP COLUMN wake_ms",
    "ALTER TABLE workflow_states DROP COLUMN requested",
)


def upgrade() -> None:
    """Add what control flow stores."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Delete it."""
    for statement in _DOWN:
        op.execute(statement)
