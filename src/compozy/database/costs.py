"""Rows of `model_costs`: model requests and what they cost, by task, model and day.

A row is written in the transaction that records an answer, whose run is locked, so that no two transactions change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from compozy.clock import now_ms
from compozy.database.tables import model_costs as costs

COUNTS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_micros",
    "unpriced_requests",
    "tool_calls",
)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "day": ("day",),
    "workflow": ("workflow_id",),
    "agent": ("agent",),
    "model": ("provider", "model"),
    "execution": ("execution_id",),
}
"""Names by which costs are summed, and their columns."""
_SUMS = tuple(sa.cast(sa.func.coalesce(sa.func.sum(costs.c[name]), 0), sa.BigInteger).label(name) for name in COUNTS)
_INSERT = postgresql.insert(costs).values({column.name: sa.bindparam(column.name) for column in costs.columns})
_ADD = _INSERT.on_conflict_do_update(
    index_elements=[column.name for column in costs.primary_key],
    set_={name: costs.c[name] + _INSERT.excluded[name] for name in COUNTS},
)


@dataclass(frozen=True, kw_only=True)
class Spender:
    """The task that sends a request. `agent` is "" if its agent has no ID."""

    execution_id: str
    path: str
    workflow_id: str
    agent: str = ""


def day_of(time_ms: int) -> str:
    """Return the day of a time in UTC, `2026-01-31`."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def add_request(connection: sa.Connection, spender: Spender, usage: Mapping[str, Any]) -> None:
    """Add a model request; `usage` is that of `compozy.agent.checkpoint.usage_of`."""
    counts = {name: usage.get(name, 0) for name in COUNTS}
    _add(connection, spender, {"provider": usage["provider"], "model": usage["model"], **counts})


def add_tool_call(connection: sa.Connection, spender: Spender) -> None:
    """Add a call of a tool."""
    _add(connection, spender, {"provider": "", "model": "", **dict.fromkeys(COUNTS, 0), "tool_calls": 1})


def _add(connection: sa.Connection, spender: Spender, values: Mapping[str, Any]) -> None:
    about = {"execution_id": spender.execution_id, "path": spender.path, "workflow_id": spender.workflow_id}
    connection.execute(_ADD, {**about, "agent": spender.agent, "day": day_of(now_ms()), **values})


@dataclass(frozen=True, kw_only=True)
class CostFilter:
    """The requests to sum; all conditions must hold.

    Args:
        workflow_ids: only requests of these workflows, None for all.
        since: only requests of this day or later, `2026-01-31`.
        until: only requests of this day or earlier.
    """

    workflow_ids: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the filters as conditions on `model_costs`."""
        found: list[sa.ColumnElement[bool]] = [costs.c.provider != ""]
        if self.workflow_ids is not None:
            found.append(costs.c.workflow_id.in_(self.workflow_ids))
        if self.since is not None:
            found.append(costs.c.day >= self.since)
        if self.until is not None:
            found.append(costs.c.day <= self.until)
        return found


def sum_costs(connection: sa.Connection, group: str, wanted: CostFilter, *, limit: int) -> list[dict[str, Any]]:
    """Return sums by a name of `GROUPS`: the latest days first, otherwise the highest costs.

    Returns:
        The columns of the group and `COUNTS`.
    """
    columns = [costs.c[name] for name in GROUPS[group]]
    total = sa.func.sum(costs.c.cost_micros).desc()
    order = [costs.c.day.desc()] if group == "day" else [total, *columns]
    query = sa.select(*columns, *_SUMS).where(*wanted.conditions()).group_by(*columns).order_by(*order).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def total_costs(connection: sa.Connection, wanted: CostFilter) -> dict[str, int]:
    """Return the sums of all requests."""
    return dict(connection.execute(sa.select(*_SUMS).where(*wanted.conditions())).mappings().one())


def costs_of_runs(connection: sa.Connection, execution_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the sums of each of these runs that has sent a request."""
    query = (
        sa.select(costs.c.execution_id, *_SUMS)
        .where(costs.c.execution_id.in_(execution_ids), costs.c.provider != "")
        .group_by(costs.c.execution_id)
    )
    return {row["execution_id"]: dict(row) for row in connection.execute(query).mappings()}


def keep_costs(connection: sa.Connection, execution_ids: Sequence[str]) -> None:
    """Add the costs of runs that are about to be deleted to the sums that remain."""
    kept = (costs.c.workflow_id, costs.c.agent, costs.c.provider, costs.c.model, costs.c.day)
    # Sorted, because another process may do the same: each row that both change is locked in the same order.
    query = sa.select(*kept, *_SUMS).where(costs.c.execution_id.in_(execution_ids)).group_by(*kept).order_by(*kept)
    for row in connection.execute(query).mappings().all():
        connection.execute(_ADD, {**row, "execution_id": "", "path": ""})
