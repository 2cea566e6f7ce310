"""Admission of runs with limits: a run waits without an owner until its group has a place for it.

A run keeps its place from its admission to its end. Places are counted, not stored: whatever ends a run, and whoever
dies, no place is lost. The transaction that ends a run admits the next one of its group. If it cannot, because another
transaction admits runs of the group, the next look of any process does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.executors import read_clock_ms
from compozy.database.status import FINAL, Status
from compozy.database.tables import is_one_of, workflow_states

# Runs that one transaction admits to a group or one look returns, and groups that one look returns.
_AT_ONCE = 100
_GROUPS = 100
_ENDED = tuple(sorted(FINAL))

# In the words of partial indexes, whose conditions the planner compares. No index of the state can be used for it.
CAN_RUN = sa.not_(is_one_of(workflow_states.c.status, tuple(sorted({*FINAL, Status.PAUSED}))))
_group = workflow_states.c.admission_group
_IS_HELD = (workflow_states.c.held_ms.is_not(None), CAN_RUN)
_HAS_PLACE = (
    _group.is_not(None),
    workflow_states.c.held_ms.is_(None),
    sa.not_(is_one_of(workflow_states.c.status, _ENDED)),
)
ORDER = (workflow_states.c.priority.desc(), workflow_states.c.created_ms, workflow_states.c.workflow_exec_id)
_FIRST = (
    sa.select(
        workflow_states.c.workflow_exec_id,
        workflow_states.c.workflow_id,
        workflow_states.c.concurrency_limit,
        workflow_states.c.rate_limit,
        workflow_states.c.rate_period_ms,
    )
    .where(_group == sa.bindparam("_group"), *_IS_HELD)
    .order_by(*ORDER)
    .limit(1)
)
_NEXT = _FIRST.with_for_update(skip_locked=True)
_COUNT_PLACES = sa.select(sa.func.count()).where(_group == sa.bindparam("_group"), *_HAS_PLACE)


_First = sa.Row[str, str, int | None, int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The limits of a run.

    Args:
        group: runs of the same group share its places; the ID of the workflow, `/` and the key.
        concurrency: runs of the group that are open and have a place, at most.
        rate: runs of the workflow that are admitted within `rate_period_ms`, at most.
        rate_period_ms: the period of `rate`.
    """

    group: str
    concurrency: int | None = None
    rate: int | None = None
    rate_period_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The work of one look at the runs that wait for a place, at most 100 runs and 100 groups.

    Attributes:
        overdue: runs whose deadline passed while they waited.
        groups: groups whose first waiting run could have a place; its rate is not examined.
    """

    overdue: list[str]
    groups: list[str]


def held_columns(admission: Admission | None, now: int) -> dict[str, Any]:
    """Return the values of a new run, which waits for a place if it has limits."""
    return {
        "admission_group": None if admission is None else admission.group,
        "concurrency_limit": None if admission is None else admission.concurrency,
        "rate_limit": None if admission is None else admission.rate,
        "rate_period_ms": None if admission is None else admission.rate_period_ms,
        "held_ms": None if admission is None else now,
    }


def admit(connection: sa.Connection, group: str) -> list[str]:
    """Admit the next runs of a group while it has places, and return their IDs.

    Returns:
        None of them if another transaction is admitting runs of the group; this one waits for no lock.
    """
    admitted: list[str] = []
    if not _take_turn(connection, group):
        return admitted
    while len(admitted) < _AT_ONCE:
        # In new statements after the lock is held, which see what the last holder has committed.
        first = connection.execute(_NEXT, {"_group": group}).first()
        if first is None or not _has_place(connection, group, first) or not _is_within_rate(connection, first):
            break
        now = read_clock_ms(connection)
        this = workflow_states.c.workflow_exec_id == first.workflow_exec_id
        connection.execute(sa.update(workflow_states).where(this).values(held_ms=None, admitted_ms=now))
        admitted.append(first.workflow_exec_id)
    return admitted


def look_at_waiting(connection: sa.Connection) -> Waiting:
    """Return what has to be done with the runs that wait for a place."""
    found = connection.execute(_look(), {"_now": now_ms()}).all()
    return Waiting(
        overdue=[row.name for row in found if row.is_overdue],
        groups=[row.name for row in found if not row.is_overdue],
    )


def list_holders(connection: sa.Connection, group: str, *, limit: int) -> list[str]:
    """Return the open runs that have a place in a group, the oldest first."""
    query = sa.select(workflow_states.c.workflow_exec_id).where(_group == group, *_HAS_PLACE)
    oldest = query.order_by(workflow_states.c.created_ms, workflow_states.c.workflow_exec_id).limit(limit)
    return list(connection.execute(oldest).scalars())


@cache
def _look() -> sa.CompoundSelect[int, Any]:
    """Return one statement, because each process executes it every second."""
    overdue, admissible = _select_overdue().subquery(), _select_admissible().subquery()
    return sa.union_all(
        sa.select(sa.literal_column("1", sa.Integer).label("is_overdue"), overdue.c.name),
        sa.select(sa.literal_column("0", sa.Integer).label("is_overdue"), admissible.c.name),
    )


def _select_overdue() -> sa.Select[Any]:
    deadline = workflow_states.c.deadline_ms
    query = sa.select(workflow_states.c.workflow_exec_id.label("name"))
    query = query.where(*_IS_HELD, deadline.is_not(None), deadline <= sa.bindparam("_now"))
    return query.order_by(deadline).limit(_AT_ONCE)


def _select_admissible() -> sa.Select[Any]:
    groups = _waiting_groups()
    limit = (
        sa.select(workflow_states.c.concurrency_limit)
        .where(_group == groups.c.name, *_IS_HELD)
        .order_by(*ORDER)
        .limit(1)
        .correlate(groups)
        .scalar_subquery()
    )
    places = sa.select(sa.func.count()).where(_group == groups.c.name, *_HAS_PLACE).correlate(groups).scalar_subquery()
    free = sa.or_(limit.is_(None), places < limit)
    return sa.select(groups.c.name).where(groups.c.name.is_not(None), free).limit(_GROUPS)


def _waiting_groups() -> sa.CTE:
    """Return the groups in which runs wait, each found by one look into the index."""
    first = sa.select(sa.func.min(_group).label("name")).where(*_IS_HELD)
    groups = first.cte("groups", recursive=True)
    following = first.where(_group > groups.c.name).correlate(groups).scalar_subquery()
    return groups.union_all(sa.select(following).where(groups.c.name.is_not(None)))


def _has_place(connection: sa.Connection, group: str, first: _First) -> bool:
    if first.concurrency_limit is None:
        return True
    return connection.execute(_COUNT_PLACES, {"_group": group}).scalar_one() < first.concurrency_limit


def _is_within_rate(connection: sa.Connection, first: _First) -> bool:
    if first.rate_limit is None or first.rate_period_ms is None:
        return True
    # All groups of the workflow share its rate.
    if not _take_turn(connection, first.workflow_id):
        return False
    since = read_clock_ms(connection) - first.rate_period_ms
    newest = (
        sa.select(sa.literal(1))
        .where(workflow_states.c.workflow_id == first.workflow_id)
        .where(workflow_states.c.admitted_ms.is_not(None), workflow_states.c.admitted_ms > since)
        .limit(first.rate_limit)
        .subquery()
    )
    return connection.execute(sa.select(sa.func.count()).select_from(newest)).scalar_one() < first.rate_limit


def _take_turn(connection: sa.Connection, name: str) -> bool:
    """Return whether this transaction is the only one that admits runs of `name`, until it ends."""
    if connection.dialect.name != "postgresql":
        return True
    key = sa.func.hashtextextended(sa.func.current_schema() + "/" + name, 0)
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar_one())
