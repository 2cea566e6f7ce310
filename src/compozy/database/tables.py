"""The definition of all tables; migrations create them, and a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from compozy.config.settings import DEFAULT_QUEUE
from compozy.database.jsontext import JsonText
from compozy.database.plaintext import PlainText
from compozy.database.status import Status

metadata = sa.MetaData()


def is_one_of(column: sa.ColumnElement[Any], states: Iterable[Status]) -> sa.ColumnElement[bool]:
    """Return the condition that `column` is one of `states`, as constant text that SQLAlchemy does not expand."""
    return column.in_([sa.literal_column(f"'{state.value}'") for state in states])


def insert_if_new(table: sa.TableClause) -> sa.Insert:
    """Return an INSERT that does nothing if a row with the same key exists or is being written concurrently."""
    # Both databases have this clause, word for word, but SQLAlchemy offers it for one of them only.
    return postgresql.insert(table).on_conflict_do_nothing()


# Facts about the database itself: the project that it belongs to, and its ID.
facts = sa.Table(
    "compozy_facts",
    metadata,
    sa.Column("name", PlainText, primary_key=True),
    sa.Column("value", PlainText, nullable=False),
)

# Processes that execute runs. A process whose lease has expired is dead, and its runs are free to claim.
executors = sa.Table(
    "executors",
    metadata,
    sa.Column("executor_id", PlainText, primary_key=True),
    sa.Column("role", PlainText, nullable=False),
    sa.Column("host", PlainText, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    # The queues whose runs it executes, as a list; NULL for all.
    sa.Column("queues", JsonText),
)

workflow_states = sa.Table(
    "workflow_states",
    metadata,
    sa.Column("workflow_exec_id", PlainText, primary_key=True),
    sa.Column("workflow_id", PlainText, nullable=False),
    sa.Column("status", PlainText, nullable=False),
    # The process that executes the run; NULL while it waits for one.
    sa.Column("owner", PlainText),
    sa.Column("journal_format", sa.BigInteger, nullable=False),
    sa.Column("parent_exec_id", PlainText),
    sa.Column("input", JsonText),
    sa.Column("output", JsonText),
    sa.Column("error", JsonText),
    sa.Column("usage", JsonText),
    # The workflow and its providers when the run was accepted.
    sa.Column("definition", JsonText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger),
    sa.Column("finished_ms", sa.BigInteger),
    sa.Column("deadline_ms", sa.BigInteger),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    # The state that the owner is asked to bring the run to: PAUSED or CANCELED.
    sa.Column("requested", PlainText),
    # When a suspended run resumes.
    sa.Column("wake_ms", sa.BigInteger),
    # The run that this one repeats, and the ends of its tasks that are kept: {task id: TaskEnd}.
    sa.Column("rerun_of", PlainText),
    sa.Column("kept", JsonText),
    # Origin of a run that was imported unfinished: {"database", "exported_at", "move"}.
    sa.Column("origin", JsonText),
    # The move of a MOVED run, and the state in which it arrives: {"move_id", "status", "moved_ms"}.
    sa.Column("moved", JsonText),
    # The trigger that started the run, and the person or API key; NULL for runs from before revision 0007.
    sa.Column("trigger_type", PlainText),
    sa.Column("trigger_id", PlainText),
    sa.Column("started_by", PlainText),
    # The W3C trace context of the request that started the run.
    sa.Column("traceparent", PlainText),
    # Only processes that serve this queue execute the run.
    sa.Column("queue", PlainText, nullable=False, default=DEFAULT_QUEUE),
    # Runs with a higher priority are claimed first.
    sa.Column("priority", sa.BigInteger, nullable=False, default=0),
    # The group whose places the run shares, its limits, when it began to wait for a place, NULL if it does not, and
    # when it got one.
    sa.Column("admission_group", PlainText),
    sa.Column("concurrency_limit", sa.BigInteger),
    sa.Column("rate_limit", sa.BigInteger),
    sa.Column("rate_period_ms", sa.BigInteger),
    sa.Column("held_ms", sa.BigInteger),
    sa.Column("admitted_ms", sa.BigInteger),
)

task_states = sa.Table(
    "task_states",
    metadata,
    sa.Column("task_exec_id", PlainText, primary_key=True),
    sa.Column("workflow_exec_id", PlainText, nullable=False),
    sa.Column("workflow_id", PlainText, nullable=False),
    sa.Column("task_id", PlainText, nullable=False),
    # Order in which the tasks of a run started, from 0.
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("execution_type", PlainText, nullable=False),
    sa.Column("status", PlainText, nullable=False),
    sa.Column("parent_state_id", PlainText),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("input", JsonText),
    sa.Column("output", JsonText),
    sa.Column("error", JsonText),
    sa.Column("usage", JsonText),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger),
    sa.Column("finished_ms", sa.BigInteger),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    # The signal that a WAITING task waits for.
    sa.Column("waits_for", PlainText),
)

# Signals sent to a run. Each is consumed by one task that waits for its name.
signals = sa.Table(
    "signals",
    metadata,
    sa.Column("signal_id", PlainText, primary_key=True),
    sa.Column("workflow_exec_id", PlainText, nullable=False),
    sa.Column("name", PlainText, nullable=False),
    sa.Column("payload", JsonText),
    # The run whose task sent it, NULL for a person or a program.
    sa.Column("sent_by", PlainText),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("taken_by", PlainText),
    sa.Column("taken_ms", sa.BigInteger),
    # The user or the API key, NULL if it is not known.
    sa.Column("sender", PlainText),
)

# The log of each run: what changed, and when. `path` is that of a task, NULL for the whole run.
execution_events = sa.Table(
    "execution_events",
    metadata,
    sa.Column("execution_id", PlainText, primary_key=True),
    # From 1 in each run, without a gap.
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", PlainText, nullable=False),
    sa.Column("path", PlainText),
    # A few hundred characters: it names what changed, and does not repeat inputs and outputs.
    sa.Column("data", JsonText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

# Labels of runs, by which lists are filtered.
execution_labels = sa.Table(
    "execution_labels",
    metadata,
    sa.Column("execution_id", PlainText, primary_key=True),
    sa.Column("name", PlainText, primary_key=True),
    sa.Column("value", PlainText, nullable=False),
)

# Schedules of workflows: where each stands. `spec` is what the file says, `changes` what was changed since.
schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("schedule_id", PlainText, primary_key=True),
    sa.Column("workflow_id", PlainText, nullable=False),
    sa.Column("spec", JsonText, nullable=False),
    sa.Column("spec_hash", PlainText, nullable=False),
    sa.Column("changes", JsonText),
    # The next tick, and when its run starts; NULL while the schedule is paused or has ended.
    sa.Column("tick_ms", sa.BigInteger),
    sa.Column("next_ms", sa.BigInteger),
    # A tick whose run starts when the open ones have ended.
    sa.Column("buffered_ms", sa.BigInteger),
    # Its runs that had not ended when it was last due: a list of IDs.
    sa.Column("open_runs", JsonText, nullable=False),
    sa.Column("last_tick_ms", sa.BigInteger),
    sa.Column("last_execution_id", PlainText),
    sa.Column("fired", sa.BigInteger, nullable=False),
    # How many ticks started no run: {reason: number}; and the last of them: {"tick_ms", "reason", "message"}.
    sa.Column("skipped", JsonText, nullable=False),
    sa.Column("last_skip", JsonText),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

# Content that runs send to models, in Base64. A run has each content once.
attachments = sa.Table(
    "attachments",
    metadata,
    sa.Column("workflow_exec_id", PlainText, primary_key=True),
    sa.Column("sha256", PlainText, primary_key=True),
    sa.Column("content", PlainText, nullable=False),
)

# Model requests and what they cost, summed by task, model and day (UTC). Rows of deleted runs are summed by workflow,
# with "" as run and path. Costs are millionths of a dollar.
model_costs = sa.Table(
    "model_costs",
    metadata,
    sa.Column("execution_id", PlainText, primary_key=True),
    sa.Column("path", PlainText, primary_key=True),
    sa.Column("workflow_id", PlainText, primary_key=True),
    # "" if the agent has no ID.
    sa.Column("agent", PlainText, primary_key=True),
    sa.Column("provider", PlainText, primary_key=True),
    sa.Column("model", PlainText, primary_key=True),
    sa.Column("day", PlainText, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_micros", sa.BigInteger, nullable=False),
    # Requests whose price is not known; `cost_micros` does not contain them.
    sa.Column("unpriced_requests", sa.BigInteger, nullable=False),
    # Calls of tools by the task, which are limited in the same way; they have "" as provider and model.
    sa.Column("tool_calls", sa.BigInteger, nullable=False),
)

# Raised limits of budgets: for the rest of a run, or of a day.
budget_raises = sa.Table(
    "budget_raises",
    metadata,
    sa.Column("execution_id", PlainText, primary_key=True),
    # Path of the question that was answered.
    sa.Column("path", PlainText, primary_key=True),
    # Path of the task whose budget it is, "" for the whole run.
    sa.Column("scope", PlainText, nullable=False),
    # The day whose budget it is, NULL for a budget of a run.
    sa.Column("day", PlainText),
    sa.Column("approved", sa.BigInteger, nullable=False),
    sa.Column("cost_micros", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("tool_calls", sa.BigInteger, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

# Documents of knowledge bases, and their ingestion state.
knowledge_documents = sa.Table(
    "knowledge_documents",
    metadata,
    sa.Column("knowledge_base_id", PlainText, primary_key=True),
    sa.Column("document", PlainText, primary_key=True),
    sa.Column("status", PlainText, nullable=False),
    # Hash of the bytes whose chunks are all in the vector store, else "".
    sa.Column("hash", PlainText, nullable=False),
    # Hash of everything else that its chunks depend on: embedder, chunking, metadata.
    sa.Column("recipe", PlainText, nullable=False),
    sa.Column("title", PlainText, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.BigInteger, nullable=False),
    sa.Column("error", JsonText),
    # The last ingestion that checked it.
    sa.Column("workflow_exec_id", PlainText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

# Conversations of agents: one row for each memory and key. `revision` counts changes, and a writer locks the row.
memories = sa.Table(
    "memories",
    metadata,
    sa.Column("memory_id", PlainText, primary_key=True),
    sa.Column("memory_key", PlainText, primary_key=True),
    # A conversation that was deleted and stored again has another one, since its messages are numbered from 1 again.
    sa.Column("generation", PlainText, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    # Number of the last message, from 1; numbers are not used again.
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    # Summary of the first messages, its tokens, and the number of the last message that it replaces.
    sa.Column("summary", JsonText),
    sa.Column("summary_tokens", sa.BigInteger, nullable=False),
    sa.Column("summary_seq", sa.BigInteger, nullable=False),
    # The text that the model keeps with `cp__update_memory`.
    sa.Column("working", JsonText),
    # When its content is forgotten; NULL for never.
    sa.Column("expires_ms", sa.BigInteger),
    sa.Column("flushed_ms", sa.BigInteger),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

# Messages of conversations. A message of a run is stored once: `n` counts those of one task.
memory_messages = sa.Table(
    "memory_messages",
    metadata,
    sa.Column("memory_id", PlainText, primary_key=True),
    sa.Column("memory_key", PlainText, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("role", PlainText, nullable=False),
    sa.Column("content", JsonText, nullable=False),
    # An estimate that is rather too high.
    sa.Column("tokens", sa.BigInteger, nullable=False),
    # The run and the path of the task that stored it, NULL for a person or a program.
    sa.Column("execution_id", PlainText),
    sa.Column("path", PlainText),
    sa.Column("n", sa.BigInteger),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

# People and programs that may use a server. `password` is a scrypt hash; `subject` names the account at an OIDC
# provider.
users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", PlainText, primary_key=True),
    # In lower case.
    sa.Column("email", PlainText, nullable=False),
    sa.Column("role", PlainText, nullable=False),
    sa.Column("password", PlainText),
    sa.Column("subject", PlainText),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

# API keys: only a hash is stored. `workflows` is a list of workflow IDs, NULL for all.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", PlainText, primary_key=True),
    sa.Column("user_id", PlainText, nullable=False),
    sa.Column("name", PlainText, nullable=False),
    sa.Column("role", PlainText, nullable=False),
    sa.Column("workflows", JsonText),
    # The first characters of the key, by which people recognize it.
    sa.Column("prefix", PlainText, nullable=False),
    sa.Column("hash", PlainText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
    sa.Column("last_used_ms", sa.BigInteger),
)

# Sessions of people who signed in; only a hash of the token is stored.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("hash", PlainText, primary_key=True),
    sa.Column("user_id", PlainText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
)

# The audit log: who did what, on which run, from which address, with which HTTP status.
audit_log = sa.Table(
    "audit_log",
    metadata,
    # Sorts by time.
    sa.Column("audit_id", PlainText, primary_key=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", PlainText, nullable=False),
    # `key <prefix>`, `session`, `server.api_key`, `local`.
    sa.Column("credential", PlainText, nullable=False),
    sa.Column("action", PlainText, nullable=False),
    sa.Column("target", PlainText),
    sa.Column("execution_id", PlainText),
    sa.Column("address", PlainText),
    sa.Column("status", sa.BigInteger, nullable=False),
)

# Verified requests to webhooks, for as long as the webhook keeps them.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    # Sorts by time.
    sa.Column("delivery_id", PlainText, primary_key=True),
    sa.Column("slug", PlainText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("outcome", PlainText, nullable=False),
    sa.Column("status", sa.BigInteger, nullable=False),
    sa.Column("event", PlainText),
    # The run that it started, or that got a signal; it may be deleted before the delivery.
    sa.Column("execution_id", PlainText),
    sa.Column("replay_of", PlainText),
    sa.Column("body_sha256", PlainText, nullable=False),
    sa.Column("body_size", sa.BigInteger, nullable=False),
    # {"reason", "headers", "query"}.
    sa.Column("details", JsonText, nullable=False),
    # In Base64.
    sa.Column("body", PlainText, nullable=False),
)

VERSION_TABLE = "compozy_version"
OUR_TABLES = frozenset({VERSION_TABLE, *metadata.tables})
