"""Moves between databases: the state MOVED, where a run came from, and how it left.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

deletes = ()
deletes_journal = False

_BEFORE = "'PENDING','RUNNING','WAITING','PAUSED','SUCCESS','FAILED','TIMED_OUT','CANCELED'"
_OPEN = "'PENDING','RUNNING','WAITING','PAUSED'"
_COLUMNS = """
    workflow_exec_id, workflow_id, status, owner, journal_format, parent_exec_id, input, output, error, usage,
    definition, created_ms, started_ms, finished_ms, deadline_ms, updated_ms, requested, wake_ms, rerun_of, kept
"""
_TABLE = """
    CREATE TABLE workflow_states_new (
        workflow_exec_id TEXT NOT NULL PRIMARY KEY,
        workflow_id TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ({states})),
        owner TEXT,
        journal_format INTEGER NOT NULL,
        parent_exec_id TEXT REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        input TEXT CHECK (input IS NULL OR json_valid(input)),
        output TEXT CHECK (output IS NULL OR json_valid(output)),
        error TEXT CHECK (error IS NULL OR json_valid(error)),
        usage TEXT CHECK (usage IS NULL OR (json_valid(usage) AND json_type(usage) = 'array')),
        definition TEXT NOT NULL CHECK (json_valid(definition)),
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        finished_ms INTEGER,
        deadline_ms INTEGER,
        updated_ms INTEGER NOT NULL,
        requested TEXT CHECK (requested IN ('PAUSED','CANCELED')),
        wake_ms INTEGER,
        rerun_of TEXT,
        kept TEXT CHECK (kept IS NULL OR json_valid(kept)){more}
    ) STRICT
"""
_ADDED = """,
        origin TEXT CHECK (origin IS NULL OR json_valid(origin)),
        moved TEXT CHECK (moved IS NULL OR json_valid(moved))"""
_INDEXES = (
    "CREATE INDEX ix_workflow_states_created ON workflow_states (created_ms)",
    "CREATE INDEX ix_workflow_states_workflow ON workflow_states (workflow_id, created_ms)",
    "CREATE INDEX ix_workflow_states_status ON workflow_states (status, created_ms)",
    f"CREATE INDEX ix_workflow_states_open ON workflow_states (owner, created_ms) WHERE status IN ({_OPEN})",
    "CREATE INDEX ix_workflow_states_parent ON workflow_states (parent_exec_id) WHERE parent_exec_id IS NOT NULL",
    "CREATE INDEX ix_workflow_states_requested ON workflow_states (owner) WHERE requested IS NOT NULL",
)


def upgrade() -> None:
    """Add what moves store."""
    _rebuild(_TABLE.format(states=f"{_BEFORE},'MOVED'", more=_ADDED))


def downgrade() -> None:
    """Delete it."""
    # What goes on elsewhere must not go on here.
    op.execute("UPDATE workflow_states SET status = 'CANCELED' WHERE status = 'MOVED'")
    _rebuild(_TABLE.format(states=_BEFORE, more=""))


def _rebuild(table: str) -> None:
    """Rebuild the table: SQLite cannot change a CHECK (sqlite.org/lang_altertable.html, section 7).

    Foreign keys are not enforced while migrations run, so that dropping the old table leaves the rows that refer to it.
    """
    op.execute(table)
    op.execute(f"INSERT INTO workflow_states_new ({_COLUMNS}) SELECT {_COLUMNS} FROM workflow_states")  # noqa: S608
    op.execute("DROP TABLE workflow_states")
    op.execute("ALTER TABLE workflow_states_new RENAME TO workflow_states")
    for statement in _INDEXES:
        op.execute(statement)
