"""Rows of `executors`: the processes that execute runs, and the leases that say which of them live.

Leases are written and judged by one clock. On PostgreSQL it is the server's: processes on several machines share it,
and none is taken for dead, or alive, because its own clock is wrong. On SQLite all processes are on the file's machine.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import OPEN
from compozy.database.tables import executors, workflow_states

# An open run of nobody that is known: its process may have died between its last claim and its farewell.
_IS_ORPHAN = (
    workflow_states.c.owner.is_not(None),
    workflow_states.c.owner.not_in(sa.select(executors.c.executor_id)),
    workflow_states.c.status.in_(OPEN),
)


def insert_executor(connection: sa.Connection, executor_id: str, *, role: str, lease_ms: int) -> None:
    """Store this process as one that executes runs, alive for the next `lease_ms`."""
    now = now_ms()
    values: dict[str, Any] = {
        "executor_id": executor_id,
        "role": role,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_ms": now,
        "lease_until_ms": _clock_ms(connection) + lease_ms,
    }
    connection.execute(sa.insert(executors).values(values))


def renew_lease(connection: sa.Connection, executor_id: str, *, lease_ms: int) -> bool:
    """Stay alive for the next `lease_ms`; False when this process was already taken for dead."""
    changed = connection.execute(
        sa.update(executors)
        .where(executors.c.executor_id == executor_id)
        .values(lease_until_ms=_clock_ms(connection) + lease_ms)
    )
    return changed.rowcount == 1


def list_executor_ids(connection: sa.Connection) -> list[str]:
    """Return the processes that are not known to be dead."""
    query = sa.select(executors.c.executor_id).order_by(executors.c.executor_id)
    return list(connection.execute(query).scalars())


def list_living(connection: sa.Connection) -> list[str]:
    """Return the processes whose lease runs, each as `role on host, pid 1`."""
    living = (
        sa.select(executors.c.role, executors.c.host, executors.c.pid)
        .where(executors.c.lease_until_ms >= _clock_ms(connection))
        .order_by(executors.c.host, executors.c.pid)
    )
    return [f"{role} on {host}, pid {pid}" for role, host, pid in connection.execute(living)]


def has_expired_executors(connection: sa.Connection) -> bool:
    """Return whether a lease has expired, or an open run belongs to a process that is gone."""
    expired = sa.exists().where(executors.c.lease_until_ms < _clock_ms(connection))
    orphaned = sa.exists().where(*_IS_ORPHAN)
    return bool(connection.execute(sa.select(sa.or_(expired, orphaned))).scalar())


def delete_executor(connection: sa.Connection, executor_id: str) -> None:
    """Forget a process that ends in order."""
    connection.execute(sa.delete(executors).where(executors.c.executor_id == executor_id))


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """How many processes were forgotten, and how many of their runs are free."""

    executors: int
    runs: int


def reap_expired_executors(connection: sa.Connection, *, except_id: str | None = None) -> Reaped:
    """Forget processes whose lease expired, and free their open runs for others to claim.

    Rows that another transaction has locked are left to the next call: a process that stopped within a transaction
    delays the runs that it locked, and no others.

    Args:
        connection: within a transaction.
        except_id: when given, every other process is gone whatever its lease says (its file lock was free).
    """
    clock_ms = _clock_ms(connection)
    is_expired = executors.c.lease_until_ms < clock_ms if except_id is None else executors.c.executor_id != except_id
    expired = sa.select(executors.c.executor_id).where(is_expired).with_for_update(skip_locked=True).cte("expired")
    # Deleted first: a process that renews its lease concurrently either survives or notices that it was reaped.
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
    # Counted by rows: Python's SQLite driver does not count the changes of a statement that begins with WITH.
    return Reaped(executors=len(deleted), runs=len(freed))


def _clock_ms(connection: sa.Connection) -> sa.ColumnElement[int]:
    if connection.dialect.name == "postgresql":
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
    return sa.literal(now_ms(), sa.BigInteger)
