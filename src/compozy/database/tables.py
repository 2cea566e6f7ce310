"""The tables, once; the migrations create them, and a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from compozy.database.jsontext import JsonText
from compozy.database.plaintext import PlainText
from compozy.database.status import Status

metadata = sa.MetaData()


def is_one_of(column: sa.ColumnElement[Any], states: Iterable[Status]) -> sa.ColumnElement[bool]:
    """Return the condition that `column` is one of `states`, as constant text: SQLAlchemy then need not expand it."""
    return column.in_([sa.literal_column(f"'{state.value}'") for state in states])


def insert_if_new(table: sa.Table) -> sa.Insert:
    """Return an INSERT that does nothing when a row of the same key is there, or being written by somebody else."""
    # Both databases have this clause, word for word; SQLAlchemy keeps it with one of them.
    return postgresql.insert(table).on_conflict_do_nothing()


# Facts about the database itself: which project it belongs to, which Compozy made it.
facts = sa.Table(
    "compozy_facts",
    metadata,
    sa.Column("name", PlainText, primary_key=True),
    sa.Column("value", PlainText, nullable=False),
)

# Processes that execute runs. One whose lease ran out is dead, and its runs are free to be taken.
executors = sa.Table(
    "executors",
    metadata,
    sa.Column("executor_id", PlainText, primary_key=True),
    sa.Column("role", PlainText, nullable=False),
    sa.Column("host", PlainText, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
)

workflow_states = sa.Table(
    "workflow_states",
    metadata,
    sa.Column("workflow_exec_id", PlainText, primary_key=True),
    sa.Column("workflow_id", PlainText, nullable=False),
    sa.Column("status", PlainText, nullable=False),
    # The process that executes it; NULL waits for one.
    sa.Column("owner", PlainText),
    sa.Column("journal_format", sa.BigInteger, nullable=False),
    sa.Column("parent_exec_id", PlainText),
    sa.Column("input", JsonText),
    sa.Column("output", JsonText),
    sa.Column("error", JsonText),
    sa.Column("usage", JsonText),
    # The workflow and its providers as they were when the run was accepted.
    sa.Column("definition", JsonText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger),
    sa.Column("finished_ms", sa.BigInteger),
    sa.Column("deadline_ms", sa.BigInteger),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    # What its owner is asked to bring it to: PAUSED or CANCELED.
    sa.Column("requested", PlainText),
    # A run that was laid aside is taken up again at this time.
    sa.Column("wake_ms", sa.BigInteger),
    # The run that this one repeats, and the ends of its tasks that are kept: {task id: TaskEnd}.
    sa.Column("rerun_of", PlainText),
    sa.Column("kept", JsonText),
    # Of a run that was imported unfinished, where it came from: {"database", "exported_at", "move"}.
    sa.Column("origin", JsonText),
    # Of a MOVED run, by which move, and the state that it arrives in: {"move_id", "status", "moved_ms"}.
    sa.Column("moved", JsonText),
)

task_states = sa.Table(
    "task_states",
    metadata,
    sa.Column("task_exec_id", PlainText, primary_key=True),
    sa.Column("workflow_exec_id", PlainText, nullable=False),
    sa.Column("workflow_id", PlainText, nullable=False),
    sa.Column("task_id", PlainText, nullable=False),
    # Order in which the tasks of a run began, from 0.
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

# What was sent to a run. Each is taken by one task that waited for its name.
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
)

# Documents of knowledge bases, and how far each was taken in.
knowledge_documents = sa.Table(
    "knowledge_documents",
    metadata,
    sa.Column("knowledge_base_id", PlainText, primary_key=True),
    sa.Column("document", PlainText, primary_key=True),
    sa.Column("status", PlainText, nullable=False),
    # Of the bytes that the vector store holds all chunks of; "" while it does not.
    sa.Column("hash", PlainText, nullable=False),
    # Of what else its chunks depend on: embedder, how it was cut, metadata.
    sa.Column("recipe", PlainText, nullable=False),
    sa.Column("title", PlainText, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.BigInteger, nullable=False),
    sa.Column("error", JsonText),
    # The ingestion that looked at it last.
    sa.Column("workflow_exec_id", PlainText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)

VERSION_TABLE = "compozy_version"
OUR_TABLES = frozenset({VERSION_TABLE, *metadata.tables})
