"""A server: who or what started each run, its labels, trace and queue; who sent a signal; the costs of runs.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

deletes = (
    "memory_messages",
    "memories",
    "execution_labels",
    "model_costs",
    "budget_raises",
    "schedules",
    "audit_log",
    "sessions",
    "api_keys",
    "users",
    "webhook_deliveries",
)

# The trigger of the run: the type and ID of a trigger, and the person or API key; the trace of the request.
# NULL for runs from before this revision.
_COLUMNS = ("trigger_type", "trigger_id", "started_by", "traceparent")
_TABLES = (
    """
    CREATE TABLE execution_labels (
        execution_id TEXT NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (execution_id, name)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX ix_execution_labels_value ON execution_labels (name, value)",
    """
    CREATE TABLE schedules (
        schedule_id TEXT NOT NULL PRIMARY KEY,
        workflow_id TEXT NOT NULL,
        spec TEXT NOT NULL,
        spec_hash TEXT NOT NULL,
        changes TEXT,
        tick_ms INTEGER,
        next_ms INTEGER,
        buffered_ms INTEGER,
        open_runs TEXT NOT NULL,
        last_tick_ms INTEGER,
        last_execution_id TEXT,
        fired INTEGER NOT NULL,
        skipped TEXT NOT NULL,
        last_skip TEXT,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE users (
        user_id TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        password TEXT,
        subject TEXT UNIQUE,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE api_keys (
        key_id TEXT NOT NULL PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        workflows TEXT,
        prefix TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        revoked_ms INTEGER,
        last_used_ms INTEGER
    ) STRICT
    """,
    "CREATE INDEX ix_api_keys_user_id ON api_keys (user_id)",
    """
    CREATE TABLE sessions (
        hash TEXT NOT NULL PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX ix_sessions_user_id ON sessions (user_id)",
    """
    CREATE TABLE audit_log (
        audit_id TEXT NOT NULL PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        credential TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT,
        execution_id TEXT,
        address TEXT,
        status INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX ix_audit_log_execution_id ON audit_log (execution_id)",
    """
    CREATE TABLE memories (
        memory_id TEXT NOT NULL,
        memory_key TEXT NOT NULL,
        generation TEXT NOT NULL,
        revision INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        summary TEXT,
        summary_tokens INTEGER NOT NULL,
        summary_seq INTEGER NOT NULL,
        working TEXT,
        expires_ms INTEGER,
        flushed_ms INTEGER,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (memory_id, memory_key)
    ) STRICT
    """,
    "CREATE INDEX ix_memories_expires_ms ON memories (expires_ms) WHERE expires_ms IS NOT NULL",
    """
    CREATE TABLE memory_messages (
        memory_id TEXT NOT NULL,
        memory_key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        execution_id TEXT,
        path TEXT,
        n INTEGER,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (memory_id, memory_key, seq),
        UNIQUE (memory_id, memory_key, execution_id, path, n),
        FOREIGN KEY (memory_id, memory_key) REFERENCES memories (memory_id, memory_key) ON DELETE CASCADE
    ) STRICT
    """,
    """
    CREATE TABLE webhook_deliveries (
        delivery_id TEXT NOT NULL PRIMARY KEY,
        slug TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER NOT NULL,
        event TEXT,
        execution_id TEXT,
        replay_of TEXT,
        body_sha256 TEXT NOT NULL,
        body_size INTEGER NOT NULL,
        details TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX ix_webhook_deliveries_slug ON webhook_deliveries (slug, delivery_id)",
    "CREATE INDEX ix_webhook_deliveries_created ON webhook_deliveries (slug, created_ms)",
    """
    CREATE TABLE model_costs (
        execution_id TEXT NOT NULL,
        path TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        day TEXT NOT NULL,
        requests INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        cost_micros INTEGER NOT NULL,
        unpriced_requests INTEGER NOT NULL,
        tool_calls INTEGER NOT NULL,
        PRIMARY KEY (execution_id, path, workflow_id, agent, provider, model, day)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX ix_model_costs_day ON model_costs (day)",
    """
    CREATE TABLE budget_raises (
        execution_id TEXT NOT NULL,
        path TEXT NOT NULL,
        scope TEXT NOT NULL,
        day TEXT,
        approved INTEGER NOT NULL,
        cost_micros INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        tool_calls INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (execution_id, path)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX ix_budget_raises_day ON budget_raises (day) WHERE day IS NOT NULL",
)
_DROPS = (
    "DROP TABLE memory_messages",
    "DROP TABLE memories",
    "DROP TABLE budget_raises",
    "DROP TABLE model_costs",
    "DROP TABLE schedules",
    "DROP TABLE execution_labels",
    "DROP TABLE webhook_deliveries",
    "DROP TABLE audit_log",
    "DROP TABLE sessions",
    "DROP TABLE api_keys",
    "DROP TABLE users",
)
# Lists read their pages from this index alone: a row has its times behind its input, output and definition, and SQLite
# would read all of them.
_LIST_COLUMNS = (
    "created_ms, workflow_exec_id, status, workflow_id, journal_format, started_ms, finished_ms, requested, rerun_of, "
    "origin, trigger_type, trigger_id, started_by, held_ms"
)
# Runs without an owner, of which processes claim: those that can be executed, and those that are suspended.
_CAN_RUN = "(status NOT IN ('CANCELED', 'FAILED', 'MOVED', 'PAUSED', 'SUCCESS', 'TIMED_OUT'))"
_FREE = f"owner IS NULL AND {_CAN_RUN}"
_IS_UNCLAIMED = f"{_FREE} AND wake_ms IS NULL AND held_ms IS NULL"
_WAS_HELD = "admitted_ms IS NOT NULL"
_HELD = f"held_ms IS NOT NULL AND {_CAN_RUN}"
_HAS_DEADLINE = f"{_HELD} AND deadline_ms IS NOT NULL"
_HAS_PLACE = (
    "admission_group IS NOT NULL AND held_ms IS NULL "
    "AND (status NOT IN ('CANCELED', 'FAILED', 'MOVED', 'SUCCESS', 'TIMED_OUT'))"
)
_CLAIM_ORDER = "priority DESC, created_ms, workflow_exec_id"
_INDEXES = (
    f"CREATE INDEX ix_workflow_states_list ON workflow_states ({_LIST_COLUMNS})",
    "DROP INDEX ix_workflow_states_created",
    "CREATE INDEX ix_workflow_states_trigger ON workflow_states (trigger_id, created_ms) WHERE trigger_id IS NOT NULL",
    f"CREATE INDEX ix_workflow_states_claim ON workflow_states (queue, {_CLAIM_ORDER}) WHERE {_IS_UNCLAIMED}",
    f"CREATE INDEX ix_workflow_states_wake ON workflow_states (wake_ms) WHERE {_FREE} AND wake_ms IS NOT NULL",
    # Runs that wait for a place in their group, those that have one, and the starts that a rate counts.
    f"CREATE INDEX ix_workflow_states_held ON workflow_states (admission_group, {_CLAIM_ORDER}) WHERE {_HELD}",
    f"CREATE INDEX ix_workflow_states_overdue ON workflow_states (deadline_ms) WHERE {_HAS_DEADLINE}",
    f"CREATE INDEX ix_workflow_states_places ON workflow_states (admission_group) WHERE {_HAS_PLACE}",
    f"CREATE INDEX ix_workflow_states_admitted ON workflow_states (workflow_id, admitted_ms) WHERE {_WAS_HELD}",
)
_OLD_INDEXES = (
    "DROP INDEX ix_workflow_states_admitted",
    "DROP INDEX ix_workflow_states_places",
    "DROP INDEX ix_workflow_states_overdue",
    "DROP INDEX ix_workflow_states_held",
    "DROP INDEX ix_workflow_states_wake",
    "DROP INDEX ix_workflow_states_claim",
    "DROP INDEX ix_workflow_states_trigger",
    "CREATE INDEX ix_workflow_states_created ON workflow_states (created_ms)",
    "DROP INDEX ix_workflow_states_list",
)

# Which process executes a run, and when.
_ADMISSION = {
    "queue": "TEXT NOT NULL DEFAULT 'default'",
    "priority": "INTEGER NOT NULL DEFAULT 0",
    "admission_group": "TEXT",
    "concurrency_limit": "INTEGER",
    "rate_limit": "INTEGER",
    "rate_period_ms": "INTEGER",
    "held_ms": "INTEGER",
    "admitted_ms": "INTEGER",
}


def upgrade() -> None:
    """Create the columns and tables."""
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE workflow_states ADD COLUMN {column} TEXT")
    for column, kind in _ADMISSION.items():
        op.execute(f"ALTER TABLE workflow_states ADD COLUMN {column} {kind}")
    op.execute("ALTER TABLE executors ADD COLUMN queues TEXT")
    # The user or API key that sent a signal.
    op.execute("ALTER TABLE signals ADD COLUMN sender TEXT")
    for statement in (*_TABLES, *_INDEXES):
        op.execute(statement)


def downgrade() -> None:
    """Delete them."""
    for statement in (*_OLD_INDEXES, *_DROPS):
        op.execute(statement)
    for column in (*_COLUMNS, *_ADMISSION):
        op.execute(f"ALTER TABLE workflow_states DROP COLUMN {column}")
    op.execute("ALTER TABLE executors DROP COLUMN queues")
    op.execute("ALTER TABLE signals DROP COLUMN sender")
