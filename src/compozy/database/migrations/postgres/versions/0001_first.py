"""The first tables: facts, executors, workflow_states, task_states.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What a step down would delete, for the question that is asked before it.
deletes = ("workflow_states", "task_states")
# The journal is of no use without the tables beside it, so it goes with them.
deletes_journal = True

# Text columns that are compared or sorted are of the collation "C": the same order as on SQLite, whatever the locale of
# the server. The checks cast to `json`, not `jsonb`, which would refuse `\u0000`.
_STATUSES = "'PENDING','RUNNING','WAITING','PAUSED','SUCCESS','FAILED','TIMED_OUT','CANCELED'"
_OPEN = "'PENDING','RUNNING','WAITING','PAUSED'"

_STATEMENTS = (
    """
    CREATE TABLE compozy_facts (
        name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE executors (
        executor_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        role TEXT NOT NULL,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        started_ms BIGINT NOT NULL,
        lease_until_ms BIGINT NOT NULL
    )
    """,
    f"""
    CREATE TABLE workflow_states (
        workflow_exec_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        workflow_id TEXT COLLATE "C" NOT NULL,
        status TEXT NOT NULL CHECK (status IN ({_STATUSES})),
        owner TEXT COLLATE "C",
        journal_format BIGINT NOT NULL,
        parent_exec_id TEXT COLLATE "C" REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        input TEXT CHECK (input IS NULL OR input::json IS NOT NULL),
        output TEXT CHECK (output IS NULL OR output::json IS NOT NULL),
        error TEXT CHECK (error IS NULL OR error::json IS NOT NULL),
        usage TEXT CHECK (usage IS NULL OR json_typeof(usage::json) = 'array'),
        definition TEXT NOT NULL CHECK (definition::json IS NOT NULL),
        created_ms BIGINT NOT NULL,
        started_ms BIGINT,
        finished_ms BIGINT,
        deadline_ms BIGINT,
        updated_ms BIGINT NOT NULL
    )
    """,
    "CREATE INDEX ix_workflow_states_created ON workflow_states (created_ms)",
    "CREATE INDEX ix_workflow_states_workflow ON workflow_states (workflow_id, created_ms)",
    "CREATE INDEX ix_workflow_states_status ON workflow_states (status, created_ms)",
    # Only the few open rows are looked for by owner, over and over.
    f"CREATE INDEX ix_workflow_states_open ON workflow_states (owner, created_ms) WHERE status IN ({_OPEN})",
    "CREATE INDEX ix_workflow_states_parent ON workflow_states (parent_exec_id) WHERE parent_exec_id IS NOT NULL",
    f"""
    CREATE TABLE task_states (
        task_exec_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        workflow_exec_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        workflow_id TEXT COLLATE "C" NOT NULL,
        task_id TEXT COLLATE "C" NOT NULL,
        position BIGINT NOT NULL,
        execution_type TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ({_STATUSES})),
        parent_state_id TEXT COLLATE "C" REFERENCES task_states (task_exec_id) ON DELETE CASCADE,
        attempts BIGINT NOT NULL,
        input TEXT CHECK (input IS NULL OR input::json IS NOT NULL),
        output TEXT CHECK (output IS NULL OR output::json IS NOT NULL),
        error TEXT CHECK (error IS NULL OR error::json IS NOT NULL),
        usage TEXT CHECK (usage IS NULL OR json_typeof(usage::json) = 'array'),
        created_ms BIGINT NOT NULL,
        started_ms BIGINT,
        finished_ms BIGINT,
        updated_ms BIGINT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX ux_task_states_position ON task_states (workflow_exec_id, position)",
    "CREATE INDEX ix_task_states_parent ON task_states (parent_state_id) WHERE parent_state_id IS NOT NULL",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Delete the tables, and every run with them."""
    for table in ("task_states", "workflow_states", "executors", "compozy_facts"):
        op.execute(f"DROP TABLE {table}")
