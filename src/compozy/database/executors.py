"""Rows of `executors`: the processes that execute runs, and the leases that say which of them live.

Leases are written and judged by one clock. On PostgreSQL it is the server's: processes on several machines share it,
and none is taken for dead, or alive, because its own clock is wrong. On SQLite all processes are on the file's machine.
"""

from __future__ import annotations

import os
import socket
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


def has_dead(connection: sa.Connection) -> bool:
    """Return whether `bury_dead` has something to do: the lease of a process ran out, or a run belongs to nobody."""
    dead = sa.exists().where(executors.c.lease_until_ms < _clock_ms(connection))
    orphaned = sa.exists().where(*_IS_ORPHAN)
    return bool(connection.execute(sa.select(sa.or_(dead, orphaned))).scalar())


def delete_executor(connection: sa.Connection, executor_id: str) -> None:
    """Forget a process that ends in order."""
    connection.execute(sa.delete(executors).where(executors.c.executor_id == executor_id))


def bury_dead(connection: sa.Connection, *, except_id: str | None = None) -> int:
    """Forget processes whose lease ran out, and free their open runs for others to claim.

    Args:
        connection: within a transaction.
        except_id: when given, every other process is dead whatever its lease says (its file lock was free).

    Returns:
        How many runs became free.
    """
    clock_ms = _clock_ms(connection)
    dead = executors.c.lease_until_ms < clock_ms if except_id is None else executors.c.executor_id != except_id
    # Deleted first: one that renews its lease at the same time is either seen to live, or learns that it is dead.
    connection.execute(sa.delete(executors).where(dead))
    freed = connection.execute(sa.update(workflow_states).where(*_IS_ORPHAN).values(owner=None, updated_ms=now_ms()))
    return freed.rowcount


def _clock_ms(connection: sa.Connection) -> sa.ColumnElement[int]:
    if connection.dialect.name == "postgresql":
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
    return sa.literal(now_ms(), sa.BigInteger)
