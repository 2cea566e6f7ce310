"""Rows of `signals`: signals sent to a run, kept until a task that waits for their name consumes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.events import SIGNAL, NewEvent, append_events
from compozy.database.executions import describe_end, lock_execution
from compozy.database.status import Status
from compozy.database.tables import insert_if_new, signals, task_states
from compozy.database.transitions import wake_run
from compozy.errors import ConflictError

_TAKEN = ("signal_id", "name", "payload", "sent_by", "sender", "created_ms")


@dataclass(frozen=True, kw_only=True)
class TakenSignal:
    """A signal that a task has consumed; `path` is that of the task."""

    path: str
    name: str
    payload: Any


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal to one run.

    `sent_by` is the run whose task sent it, None for a person or a program; `by` is the user or the API key, None if it
    is not known.
    """

    signal_id: str
    workflow_exec_id: str
    name: str
    payload: Any = None
    sent_by: str | None = None
    by: str | None = None


def send_signal(connection: sa.Connection, signal: Signal) -> bool:
    """Store a signal and wake its run.

    Returns:
        False if a signal with this ID was already sent; nothing is changed then.

    Raises:
        NotFoundError: the run does not exist.
        ConflictError: the run has ended.
    """
    run = lock_execution(connection, signal.workflow_exec_id)
    if run.status.is_final:
        raise ConflictError(
            f"execution {signal.workflow_exec_id!r} does not accept signals: {describe_end(run)}",
            details={"execution_id": signal.workflow_exec_id, "status": run.status.value},
        )
    values = {
        "signal_id": signal.signal_id,
        "workflow_exec_id": signal.workflow_exec_id,
        "name": signal.name,
        "payload": signal.payload,
        "sent_by": signal.sent_by,
        "sender": signal.by,
        "created_ms": now_ms(),
    }
    insert = insert_if_new(signals).returning(signals.c.signal_id)
    if connection.execute(insert, values).first() is None:
        return False
    wake_run(connection, signal.workflow_exec_id)
    append_events(connection, signal.workflow_exec_id, [_event("sent", values)])
    return True


def list_waiting(connection: sa.Connection, name: str) -> list[str]:
    """Return the runs in which a task is waiting for the signal `name`."""
    query = (
        sa.select(task_states.c.workflow_exec_id)
        .where(task_states.c.waits_for == name, task_states.c.status == Status.WAITING)
        .distinct()
        .order_by(task_states.c.workflow_exec_id)
    )
    return list(connection.execute(query).scalars())


def list_signalled(connection: sa.Connection, run_ids: Collection[str]) -> list[tuple[str, str]]:
    """Return the run and name of each unconsumed signal to one of the runs."""
    query = (
        sa.select(signals.c.workflow_exec_id, signals.c.name)
        .where(signals.c.workflow_exec_id.in_(run_ids), signals.c.taken_by.is_(None))
        .distinct()
    )
    return [(run_id, name) for run_id, name in connection.execute(query)]


def list_answerers(connection: sa.Connection, workflow_exec_id: str) -> dict[str, str]:
    """Return the users and API keys that sent the last signal which each task of a run took, by the ID of the task."""
    query = (
        sa.select(signals.c.taken_by, signals.c.sender)
        .where(signals.c.workflow_exec_id == workflow_exec_id)
        .where(signals.c.taken_by.is_not(None), signals.c.sender.is_not(None))
        .order_by(signals.c.taken_ms, signals.c.signal_id)
    )
    return {str(row.taken_by): str(row.sender) for row in connection.execute(query)}


def has_signal(connection: sa.Connection, workflow_exec_id: str, name: str) -> bool:
    """Return whether an unconsumed signal of this name exists."""
    return connection.execute(_oldest(workflow_exec_id, name)).first() is not None


def list_taken(connection: sa.Connection, workflow_exec_id: str) -> list[TakenSignal]:
    """Return the signals that tasks of a run have consumed, in order, without those that the run sent itself."""
    is_foreign = sa.or_(signals.c.sent_by.is_(None), signals.c.sent_by != workflow_exec_id)
    query = (
        sa.select(signals)
        .where(signals.c.workflow_exec_id == workflow_exec_id, signals.c.taken_by.is_not(None), is_foreign)
        .order_by(signals.c.taken_ms, signals.c.created_ms, signals.c.signal_id)
    )
    prefix = f"{workflow_exec_id}/"
    return [
        TakenSignal(path=row["taken_by"].removeprefix(prefix), name=row["name"], payload=row["payload"])
        for row in connection.execute(query).mappings()
    ]


def count_consumed_signals(connection: sa.Connection, taken_by: str) -> int:
    """Return how many signals a task has consumed."""
    query = sa.select(sa.func.count()).where(signals.c.taken_by == taken_by)
    return int(connection.execute(query).scalar_one())


def take_signal(connection: sa.Connection, workflow_exec_id: str, name: str, *, taken_by: str) -> dict[str, Any] | None:
    """Consume the oldest signal of this name for one task; None if there is none.

    Returns:
        `{"signal_id", "name", "payload", "sent_by", "sender", "created_ms"}`.
    """
    row = connection.execute(_oldest(workflow_exec_id, name)).mappings().first()
    if row is None:
        return None
    change = sa.update(signals).where(signals.c.signal_id == row["signal_id"])
    connection.execute(change.values(taken_by=taken_by, taken_ms=now_ms()))
    append_events(connection, workflow_exec_id, [_event("taken", dict(row), path=taken_by.partition("/")[2])])
    return {key: row[key] for key in _TAKEN}


def _event(state: str, row: Mapping[str, Any], path: str | None = None) -> NewEvent:
    about = {name: row[name] for name in ("name", "signal_id", "sent_by")}
    return NewEvent(kind=SIGNAL, path=path, data={"state": state, **about, "by": row["sender"]})


def _oldest(workflow_exec_id: str, name: str) -> sa.Select[Any]:
    return (
        sa.select(signals)
        .where(signals.c.workflow_exec_id == workflow_exec_id)
        .where(signals.c.name == name, signals.c.taken_by.is_(None))
        .order_by(signals.c.created_ms, signals.c.signal_id)
        .limit(1)
    )
