"""Rows of `executors`: the processes that execute runs, and their leases.

Leases are written and compared by one clock. On PostgreSQL it is the server's, which processes on several machines
share, so that a wrong local clock cannot expire or prolong a lease. On SQLite all processes run on the file's machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import OPEN
from compozy.database.tables import executors, workflow_states

# An open run whose owner is unknown: its process may have died between its last claim and its removal.
_IS_ORPHAN = (
    workflow_states.c.owner.is_not(None),
    workflow_states.c.owner.not_in(sa.select(executors.c.executor_id)),
    workflow_states.c.status.in_(OPEN),
)


def insert_executor(
    connection: sa.Connection, executor_id: str, *, role: str, lease_ms: int, queues: Sequence[str] = ()
) -> None:
    """Register this process as an executor of runs in `queues`, or in all, with a lease of `lease_ms`."""
    now = now_ms()
    values: dict[str, Any] = {
        "executor_id": executor_id,
        "role": role,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_ms": now,
        "lease_until_ms": _clock_ms(connection) + lease_ms,
        "queues": list(queues) or None,
    }
    connection.execute(sa.insert(executors).values(values))


def renew_lease(connection: sa.Connection, executor_id: str, *, lease_ms: int) -> bool:
    """Extend the lease by `lease_ms` from now; False if it had expired and this process was removed."""
    changed = connection.execute(
        sa.update(executors)
        .where(executors.c.executor_id == executor_id)
        .values(lease_until_ms=_clock_ms(connection) + lease_ms)
    )
    return changed.rowcount == 1


def list_executor_ids(connection: sa.Connection) -> list[str]:
    """Return the registered processes."""
    query = sa.select(executors.c.executor_id).order_by(executors.c.executor_id)
    return list(connection.execute(query).scalars())


def list_live_executors(connection: sa.Connection) -> list[str]:
    """Return the processes with a valid lease, each as `role on host, pid 1`."""
    living = (
        sa.select(executors.c.role, executors.c.host, executors.c.pid)
        .where(executors.c.lease_until_ms >= _clock_ms(connection))
        .order_by(executors.c.host, executors.c.pid)
    )
    return [f"{role} on {host}, pid {pid}" for role, host, pid in connection.execute(living)]


@dataclass(frozen=True, kw_only=True)
class ExecutorRow:
    """A process with a valid lease, its queues (None for all), and the number of open runs that it owns."""

    executor_id: str
    role: str
    host: str
    pid: int
    started_ms: int
    queues: list[str] | None
    runs: int


def list_executors(connection: sa.Connection) -> list[ExecutorRow]:
    """Return the processes with a valid lease, the oldest first."""
    owned = (
        sa.select(sa.func.count())
        .where(workflow_states.c.owner == executors.c.executor_id, workflow_states.c.status.in_(OPEN))
        .scalar_subquery()
    )
    columns = [executors.c[name] for name in ("executor_id", "role", "host", "pid", "started_ms", "queues")]
    query = (
        sa.select(*columns, owned.label("runs"))
        .where(executors.c.lease_until_ms >= _clock_ms(connection))
        .order_by(executors.c.started_ms, executors.c.executor_id)
    )
    return [ExecutorRow(**row) for row in connection.execute(query).mappings()]


def has_expired_executors(connection: sa.Connection) -> bool:
    """Return whether a lease has expired, or an open run belongs to an unknown process."""
    expired = sa.exists().where(executors.c.lease_until_ms < _clock_ms(connection))
    orphaned = sa.exists().where(*_IS_ORPHAN)
    return bool(connection.execute(sa.select(sa.or_(expired, orphaned))).scalar())


def delete_executor(connection: sa.Connection, executor_id: str) -> None:
    """Remove a process that shuts down gracefully."""
    connection.execute(sa.delete(executors).where(executors.c.executor_id == executor_id))


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """The number of removed processes, and of their released runs."""

    executors: int
    runs: int


def reap_expired_executors(connection: sa.Connection, *, except_id: str | None = None) -> Reaped:
    """Remove processes whose lease expired, and release their open runs for others to claim.

    Rows locked by another transaction are left to the next call: a process that stopped within a transaction delays
    only the runs that it locked.

    Args:
        connection: a connection in a transaction.
        except_id: if set, every other process is removed whatever its lease says (its file lock was free).
    """
    clock_ms = _clock_ms(connection)
    is_expired = executors.c.lease_until_ms < clock_ms if except_id is None else executors.c.executor_id != except_id
    expired = sa.select(executors.c.executor_id).where(is_expired).with_for_update(skip_locked=True).cte("expired")
    # Delete first: a process renewing its lease concurrently either survives or notices that it was reaped.
    deleted = connection.execute(
        sa.delete(executors)
        .where(executors.c.executor_id.in_(sa.select(expired.c.executor_id)))
        .returning(executors.c.executor_id)
    ).all()
    run_id = workflow_states.c.workflow_exec_id
    orphans = sa.select(run_id).where(*_IS_ORPHAN).with_for_update(of=workflow_states, skip_locked=True).cte("orphans")
    freed = connection.execute(
        sa.update(workflow_states)
        .where(run_id.in_(sa.select(orphans.c.workflow_exec_id)))
        .values(owner=None, updated_ms=now_ms())
        .returning(run_id)
    ).all()
    # Count the returned rows: Python's SQLite driver does not count the changes of a statement that starts with WITH.
    return Reaped(executors=len(deleted), runs=len(freed))


def read_clock_ms(connection: sa.Connection) -> int:
    """Return the time of the clock that leases use, in milliseconds since 1970 UTC."""
    return int(connection.execute(sa.select(_clock_ms(connection))).scalar_one())


def _clock_ms(connection: sa.Connection) -> sa.ColumnElement[int]:
    if connection.dialect.name == "postgresql":
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
    return sa.literal(now_ms(), sa.BigInteger)
