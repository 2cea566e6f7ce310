"""Spent amounts of runs and days, questions about exceeded budgets, and raised limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.costs import day_of
from compozy.database.events import BUDGET, NewEvent, append_events
from compozy.database.signals import take_signal
from compozy.database.status import Status
from compozy.database.tables import budget_raises as raises
from compozy.database.tables import insert_if_new, task_states
from compozy.database.tables import model_costs as costs
from compozy.database.tasks import NewTask, TaskEnd, finish_task, insert_task, wait_in_task

LIMITS = ("cost_micros", "tokens", "requests", "tool_calls")
_SUMS = {
    "cost_micros": costs.c.cost_micros,
    "tokens": costs.c.input_tokens + costs.c.output_tokens,
    "requests": costs.c.requests,
    "tool_calls": costs.c.tool_calls,
}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """An answered question. `day` is the day whose budget it raises, None for a budget of the run."""

    path: str
    scope: str
    day: str | None
    approved: bool
    raised: Mapping[str, int]


def today() -> str:
    """Return the day in UTC."""
    return day_of(now_ms())


def spent_by_path(connection: sa.Connection, execution_id: str) -> dict[str, dict[str, int]]:
    """Return what each task of a run has spent."""
    query = _sums(costs.c.path).where(costs.c.execution_id == execution_id).group_by(costs.c.path)
    return {row["path"]: _amounts(row) for row in connection.execute(query).mappings()}


def spent_on(connection: sa.Connection, day: str) -> dict[str, int]:
    """Return what all runs have spent on a day."""
    return _amounts(connection.execute(_sums().where(costs.c.day == day)).mappings().one())


def list_decisions(connection: sa.Connection, execution_id: str) -> list[Decision]:
    """Return the answered questions of a run."""
    rows = connection.execute(sa.select(raises).where(raises.c.execution_id == execution_id)).mappings()
    return [
        Decision(
            path=row["path"],
            scope=row["scope"],
            day=row["day"],
            approved=bool(row["approved"]),
            raised=_amounts(row),
        )
        for row in rows
    ]


def raised_on(connection: sa.Connection, day: str) -> dict[str, int]:
    """Return by how much the budget of a day was raised, by the answers to all runs."""
    sums = [sa.func.coalesce(sa.func.sum(raises.c[name]), 0).label(name) for name in LIMITS]
    return _amounts(connection.execute(sa.select(*sums).where(raises.c.day == day)).mappings().one())


@dataclass(frozen=True, kw_only=True)
class BudgetQuestion:
    """The question whether a budget is raised: a task of the run that waits with a form.

    Attributes:
        path: of this task.
        scope: path of the task whose budget it is, "" for the run.
        day: the day whose budget it is.
        shown: what the task shows while it waits.
    """

    execution_id: str
    workflow_id: str
    path: str
    scope: str
    day: str | None
    shown: Mapping[str, Any]

    @property
    def signal(self) -> str:
        """The name of the signal with the answer."""
        return self.path

    @property
    def row(self) -> NewTask:
        """The task."""
        return NewTask(
            workflow_exec_id=self.execution_id,
            workflow_id=self.workflow_id,
            path=self.path,
            execution_type="wait",
            parent=self.scope or None,
        )

    def is_stored(self, connection: sa.Connection) -> bool:
        """Return whether the question was asked."""
        query = sa.select(task_states.c.task_exec_id).where(task_states.c.task_exec_id == self.row.task_exec_id)
        return connection.execute(query).first() is not None

    def ask(self, connection: sa.Connection) -> None:
        """Store the question; a stored one is not changed."""
        insert_task(connection, self.row, Status.RUNNING)
        wait_in_task(connection, self.row.task_exec_id, waits_for=self.signal, output=dict(self.shown))

    def take_answer(self, connection: sa.Connection) -> dict[str, Any] | None:
        """Store the decision of the answer that has arrived and return it as JSON; None if none has arrived."""
        found = take_signal(connection, self.execution_id, self.signal, taken_by=self.row.task_exec_id)
        return None if found is None else self._decide(connection, found["payload"] or {}, by=found["sender"])

    def expire(self, connection: sa.Connection) -> dict[str, Any]:
        """Close the question, because the day of its budget is over."""
        return self._decide(connection, {"approve": True, "reason": "the day is over"})

    def _decide(self, connection: sa.Connection, answer: Mapping[str, Any], *, by: str | None = None) -> dict[str, Any]:
        approved = bool(answer.get("approve"))
        raised: dict[str, int] = dict.fromkeys(LIMITS, 0)
        if approved:
            raised = {name: int(answer.get(f"add_{name}", 0)) for name in LIMITS[1:]}
            raised["cost_micros"] = round(float(answer.get("add_cost", 0)) * 1_000_000)
        about = {"execution_id": self.execution_id, "path": self.path, "scope": self.scope, "day": self.day}
        values: dict[str, Any] = {**about, **raised, "approved": int(approved), "created_ms": now_ms()}
        connection.execute(insert_if_new(raises), values)
        output = {"payload": dict(answer), "by": by}
        end = TaskEnd(status=Status.SUCCESS, attempts=1, output=output)
        finish_task(connection, self.row.task_exec_id, end)
        state = "raised" if approved else "denied"
        event = NewEvent(
            kind=BUDGET, path=self.scope or None, data={"state": state, "day": self.day, "by": by, **dict(answer)}
        )
        append_events(connection, self.execution_id, [event])
        return {"status": end.status.value, "attempts": 1, "output": output}


def log_warning(connection: sa.Connection, execution_id: str, scope: str, data: Mapping[str, Any]) -> None:
    """Log that most of a budget is spent."""
    event = NewEvent(kind=BUDGET, path=scope or None, data={"state": "warning", **data})
    append_events(connection, execution_id, [event])


def _sums(*columns: sa.Column[Any]) -> sa.Select[Any]:
    sums = [
        sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger).label(name) for name, column in _SUMS.items()
    ]
    return sa.select(*columns, *sums)


def _amounts(row: Mapping[Any, Any]) -> dict[str, int]:
    return {name: int(row[name]) for name in LIMITS}
