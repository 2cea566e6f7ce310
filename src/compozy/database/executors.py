"""Rows of `executors`: the processes that execute runs, and the leases that say which of them live."""

from __future__ import annotations

import os
import socket
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.status import OPEN
from compozy.database.tables import executors, workflow_states


def insert_executor(connection: sa.Connection, executor_id: str, *, role: str, lease_ms: int) -> None:
    """Store this process as one that executes runs, alive for the next `lease_ms`."""
    now = now_ms()
    values: dict[str, Any] = {
        "executor_id": executor_id,
        "role": role,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_ms": now,
        "lease_until_ms": now + lease_ms,
    }
    connection.execute(sa.insert(executors).values(values))


def renew_lease(connection: sa.Connection, executor_id: str, *, lease_ms: int) -> bool:
    """Stay alive for the next `lease_ms`; False when this process was already taken for dead."""
    changed = connection.execute(
        sa.update(executors).where(executors.c.executor_id == executor_id).values(lease_until_ms=now_ms() + lease_ms)
    )
    return changed.rowcount == 1


def list_executor_ids(connection: sa.Connection) -> list[str]:
    """Return the processes that are not known to be dead."""
    return list(connection.execute(sa.select(executors.c.executor_id)).scalars())


def delete_executor(connection: sa.Connection, executor_id: str) -> None:
    """Forget a process that ends in order."""
    connection.execute(sa.delete(executors).where(executors.c.executor_id == executor_id))


def bury_dead(connection: sa.Connection, *, except_id: str | None = None) -> int:
    """Forget processes whose lease ran out, and free their open runs for others to claim.

    Args:
        connection: within a transaction that holds the write lock.
        except_id: when given, every other process is dead whatever its lease says (its file lock was free).

    Returns:
        How many runs became free.
    """
    dead = executors.c.lease_until_ms < now_ms() if except_id is None else executors.c.executor_id != except_id
    connection.execute(sa.delete(executors).where(dead))
    freed = connection.execute(
        sa.update(workflow_states)
        .where(workflow_states.c.owner.is_not(None))
        # Also what belongs to nobody that is known: a process may die between its last claim and its farewell.
        .where(workflow_states.c.owner.not_in(sa.select(executors.c.executor_id)))
        .where(workflow_states.c.status.in_(OPEN))
        .values(owner=None, updated_ms=now_ms())
    )
    return freed.rowcount
