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
        execution_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        name TEXT COLLATE "C" NOT NULL,
        value TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (execution_id, name)
    )
    """,
    "CREATE INDEX ix_execution_labels_value ON execution_labels (name, value)",
    """
    CREATE TABLE schedules (
        schedule_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        workflow_id TEXT COLLATE "C" NOT NULL,
        spec TEXT COLLATE "C" NOT NULL,
        spec_hash TEXT COLLATE "C" NOT NULL,
        changes TEXT COLLATE "C",
        tick_ms BIGINT,
        next_ms BIGINT,
        buffered_ms BIGINT,
        open_runs TEXT COLLATE "C" NOT NULL,
        last_tick_ms BIGINT,
        last_execution_id TEXT COLLATE "C",
        fired BIGINT NOT NULL,
        skipped TEXT COLLATE "C" NOT NULL,
        last_skip TEXT COLLATE "C",
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE users (
        user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        email TEXT COLLATE "C" NOT NULL UNIQUE,
        role TEXT COLLATE "C" NOT NULL,
        password TEXT COLLATE "C",
        subject TEXT COLLATE "C" UNIQUE,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE api_keys (
        key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        user_id TEXT COLLATE "C" NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        name TEXT COLLATE "C" NOT NULL,
        role TEXT COLLATE "C" NOT NULL,
        workflows TEXT,
        prefix TEXT COLLATE "C" NOT NULL UNIQUE,
        hash TEXT COLLATE "C" NOT NULL UNIQUE,
        created_ms BIGINT NOT NULL,
        expires_ms BIGINT,
        revoked_ms BIGINT,
        last_used_ms BIGINT
    )
    """,
    "CREATE INDEX ix_api_keys_user_id ON api_keys (user_id)",
    """
    CREATE TABLE sessions (
        hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        user_id TEXT COLLATE "C" NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        created_ms BIGINT NOT NULL,
        expires_ms BIGINT NOT NULL
    )
    """,
    "CREATE INDEX ix_sessions_user_id ON sessions (user_id)",
    """
    CREATE TABLE audit_log (
        audit_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        created_ms BIGINT NOT NULL,
        actor TEXT COLLATE "C" NOT NULL,
        credential TEXT COLLATE "C" NOT NULL,
        action TEXT COLLATE "C" NOT NULL,
        target TEXT COLLATE "C",
        execution_id TEXT COLLATE "C",
        address TEXT COLLATE "C",
        status BIGINT NOT NULL
    )
    """,
    "CREATE INDEX ix_audit_log_execution_id ON audit_log (execution_id)",
    """
    CREATE TABLE memories (
        memory_id TEXT COLLATE "C" NOT NULL,
        memory_key TEXT COLLATE "C" NOT NULL,
        generation TEXT COLLATE "C" NOT NULL,
        revision BIGINT NOT NULL,
        last_seq BIGINT NOT NULL,
        summary TEXT,
        summary_tokens BIGINT NOT NULL,
        summary_seq BIGINT NOT NULL,
        working TEXT,
        expires_ms BIGINT,
        flushed_ms BIGINT,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        PRIMARY KEY (memory_id, memory_key)
    )
    """,
    "CREATE INDEX ix_memories_expires_ms ON memories (expires_ms) WHERE expires_ms IS NOT NULL",
    """
    CREATE TABLE memory_messages (
        memory_id TEXT COLLATE "C" NOT NULL,
        memory_key TEXT COLLATE "C" NOT NULL,
        seq BIGINT NOT NULL,
        role TEXT COLLATE "C" NOT NULL,
        content TEXT NOT NULL,
        tokens BIGINT NOT NULL,
        execution_id TEXT COLLATE "C",
        path TEXT COLLATE "C",
        n BIGINT,
        created_ms BIGINT NOT NULL,
        PRIMARY KEY (memory_id, memory_key, seq),
        UNIQUE (memory_id, memory_key, execution_id, path, n),
        FOREIGN KEY (memory_id, memory_key) REFERENCES memories (memory_id, memory_key) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE webhook_deliveries (
        delivery_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        slug TEXT COLLATE "C" NOT NULL,
        created_ms BIGINT NOT NULL,
        outcome TEXT COLLATE "C" NOT NULL,
        status BIGINT NOT NULL,
        event TEXT COLLATE "C",
        execution_id TEXT COLLATE "C",
        replay_of TEXT COLLATE "C",
        body_sha256 TEXT COLLATE "C" NOT NULL,
        body_size BIGINT NOT NULL,
        details TEXT COLLATE "C" NOT NULL,
        body TEXT COLLATE "C" NOT NULL
    )
    """,
    "CREATE INDEX ix_webhook_deliveries_slug ON webhook_deliveries (slug, delivery_id)",
    "CREATE INDEX ix_webhook_deliveries_created ON webhook_deliveries (slug, created_ms)",
    """
    CREATE TABLE model_costs (
        execution_id TEXT COLLATE "C" NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        workflow_id TEXT COLLATE "C" NOT NULL,
        agent TEXT COLLATE "C" NOT NULL,
        provider TEXT COLLATE "C" NOT NULL,
        model TEXT COLLATE "C" NOT NULL,
        day TEXT COLLATE "C" NOT NULL,
        requests BIGINT NOT NULL,
        input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        cache_read_tokens BIGINT NOT NULL,
        cache_write_tokens BIGINT NOT NULL,
        cost_micros BIGINT NOT NULL,
        unpriced_requests BIGINT NOT NULL,
        tool_calls BIGINT NOT NULL,
        PRIMARY KEY (execution_id, path, workflow_id, agent, provider, model, day)
    )
    """,
    "CREATE INDEX ix_model_costs_day ON model_costs (day)",
    """
    CREATE TABLE budget_raises (
        execution_id TEXT COLLATE "C" NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        scope TEXT COLLATE "C" NOT NULL,
        day TEXT COLLATE "C",
        approved BIGINT NOT NULL,
        cost_micros BIGINT NOT NULL,
        tokens BIGINT NOT NULL,
        requests BIGINT NOT NULL,
        tool_calls BIGINT NOT NULL,
        created_ms BIGINT NOT NULL,
        PRIMARY KEY (execution_id, path)
    )
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
    "CREATE INDEX ix_workflow_states_list ON workflow_states (created_ms, workflow_exec_id)",
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
    "queue": """TEXT COLLATE "C" NOT NULL DEFAULT 'default'""",
    "priority": "BIGINT NOT NULL DEFAULT 0",
    "admission_group": 'TEXT COLLATE "C"',
    "concurrency_limit": "BIGINT",
    "rate_limit": "BIGINT",
    "rate_period_ms": "BIGINT",
    "held_ms": "BIGINT",
    "admitted_ms": "BIGINT",
}


def upgrade() -> None:
    """Create the columns and tables."""
    for column in _COLUMNS:
        op.execute(f'ALTER TABLE workflow_states ADD COLUMN {column} TEXT COLLATE "C"')
    for column, kind in _ADMISSION.items():
        op.execute(f"ALTER TABLE workflow_states ADD COLUMN {column} {kind}")
    op.execute("ALTER TABLE executors ADD COLUMN queues TEXT")
    # The user or API key that sent a signal.
    op.execute('ALTER TABLE signals ADD COLUMN sender TEXT COLLATE "C"')
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
