"""Budgets of a run: each request is admitted by all budgets around it, or a person is asked to raise one.

The spent amounts are in the database, in the transactions that record answers. A step that is recorded already is not
checked again, so that a resumed run neither asks nor fails where the first process did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.agent.budget import Amounts, BudgetConfig, Estimate
from compozy.clock import now_ms
from compozy.database.budgets import (
    BudgetQuestion,
    Decision,
    list_decisions,
    log_warning,
    raised_on,
    spent_by_path,
    spent_on,
    today,
)
from compozy.database.database import Database
from compozy.database.signals import has_signal
from compozy.durable.context import current_run
from compozy.durable.step import begin_step, transact
from compozy.errors import BudgetError
from compozy.task.report import Report, Silence

_DAY_MS = 86_400_000
_POLL_S = 0.05
_WARN_AT = 0.8
_MILLION = 1_000_000
# The name of a limit in files, of its amount, and of what raises it.
_NAMES = (
    ("max_cost", "cost_micros", "add_cost"),
    ("max_tokens", "tokens", "add_tokens"),
    ("max_requests", "requests", "add_requests"),
    ("max_tool_calls", "tool_calls", "add_tool_calls"),
)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One budget. `path` is that of its task, "" for the run; `per_day` for that of all runs of a day."""

    limits: BudgetConfig
    path: str = ""
    per_day: bool = False

    def covers(self, path: str) -> bool:
        """Return whether the task at `path` spends this budget."""
        return self.path in {"", path} or path.startswith((f"{self.path}/", f"{self.path}@"))

    @property
    def words(self) -> str:
        """How messages call it."""
        if self.per_day:
            return "the day"
        return f"task {self.path!r}" if self.path else "the run"


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A limit that does not allow a request. Costs are millionths of a dollar."""

    scope: Scope
    limit: str
    allowed: int
    spent: int
    wanted: int
    raises: str

    def describe(self) -> dict[str, Any]:
        """Return it as JSON, with costs in dollars."""
        numbers = {"allowed": self.allowed, "spent": self.spent, "estimate": self.wanted}
        if self.limit == "max_cost":
            numbers = {name: value / _MILLION for name, value in numbers.items()}
        return {"budget": self.scope.words, "limit": self.limit, **numbers}

    def __str__(self) -> str:
        """Return the start of a message."""
        allowed, spent, wanted = (self._text(number) for number in (self.allowed, self.spent, self.wanted))
        return (
            f"the budget of {self.scope.words} is spent: `{self.limit}` is {allowed}, {spent} is spent, "
            f"and the next request is estimated at {wanted}"
        )

    def _text(self, number: int) -> str:
        return f"${number / _MILLION:.6f}" if self.limit == "max_cost" else str(number)


@dataclass(kw_only=True, eq=False)
class Ledger:
    """The budgets of one run in this process.

    Args:
        in_flight: amounts of requests that are being answered, by all runs of this process: budgets of a day share it.
        report: gets questions.
    """

    database: Database
    execution_id: str
    workflow_id: str
    in_flight: dict[object, tuple[str, str, Amounts]]
    report: Report = field(default_factory=Silence)
    _spent: dict[str, Amounts] = field(default_factory=dict[str, Amounts])
    _new: dict[tuple[str, str], tuple[str, Amounts]] = field(default_factory=dict[tuple[str, str], tuple[str, Amounts]])
    _decisions: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    _is_loaded: bool = False
    _reported: set[str] = field(default_factory=set[str])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _day: tuple[str, Amounts, Amounts] = ("", Amounts(), Amounts())

    @asynccontextmanager
    async def admit(
        self, scopes: Sequence[Scope], path: str, name: str, estimate: Callable[[], Estimate]
    ) -> AsyncGenerator[None, None]:
        """Reserve what the step `name` of the task at `path` will spend, for as long as the block lasts.

        Raises:
            BudgetError: a budget does not allow it, and is not raised.
        """
        run = current_run()
        if any(run.is_recorded(recorded) for recorded in (name, begin_step(name))):
            yield
            return
        found = estimate()
        _check_price(scopes, found)
        key = object()
        await self._reserve(key, scopes, path, found.amounts)
        try:
            yield
        finally:
            self.in_flight.pop(key, None)

    def note(
        self, connection: sa.Connection, scopes: Sequence[Scope], path: str, key: tuple[str, str], spent: Amounts
    ) -> None:
        """Count what a step has spent, in the transaction that records it; log budgets of which most is spent."""
        before = [self._spent_in(scope, without=key) for scope in scopes]
        self._new[key] = (path, spent)
        for scope, amounts in zip(scopes, before, strict=True):
            for limit, amount, _ in _NAMES:
                allowed = self._allowed(scope, limit, amount)
                line = None if allowed is None else allowed * (scope.limits.warn_at or _WARN_AT)
                value, more = getattr(amounts, amount), getattr(spent, amount)
                if line is not None and value < line <= value + more:
                    data = {"budget": scope.words, "limit": limit, "allowed": allowed, "spent": value + more}
                    log_warning(connection, self.execution_id, scope.path, data)

    async def _reserve(self, key: object, scopes: Sequence[Scope], path: str, wanted: Amounts) -> None:
        while True:
            # A request that is recorded after the amounts of the day were read must not be missing from both.
            in_flight = dict(self.in_flight)
            await self._load(any(scope.per_day for scope in scopes))
            in_flight.update(self.in_flight)
            excess = self._find_excess(scopes, wanted, in_flight)
            if excess is None:
                self.in_flight[key] = (self.execution_id, path, wanted)
                return
            certain = self._find_excess(scopes, wanted, {})
            if certain is None:
                # Requests in flight may cost less than estimated.
                await asyncio.sleep(_POLL_S)
                current_run().check()
                continue
            if certain.scope.limits.on_exceeded == "fail" or self._is_denied(certain.scope):
                raise BudgetError(str(certain), hint=_hint(certain), details=certain.describe())
            await self._ask(certain)

    async def _load(self, with_day: bool) -> None:
        async with self._turn:
            if not self._is_loaded:
                spent, decisions = await self.database.read_async(self._read)
                self._spent = {path: Amounts(**amounts) for path, amounts in spent.items()}
                self._decisions = {decision.path: decision for decision in decisions}
                self._is_loaded = True
            if with_day:
                self._day = await self.database.read_async(_read_day)

    def _read(self, connection: sa.Connection) -> tuple[dict[str, dict[str, int]], list[Decision]]:
        return spent_by_path(connection, self.execution_id), list_decisions(connection, self.execution_id)

    def _find_excess(
        self, scopes: Sequence[Scope], wanted: Amounts, in_flight: Mapping[object, tuple[str, str, Amounts]]
    ) -> Excess | None:
        for scope in scopes:
            spent = self._spent_in(scope)
            reserved = self._reserved_in(scope, in_flight)
            for limit, amount, raises in _NAMES:
                allowed, more = self._allowed(scope, limit, amount), getattr(wanted, amount)
                used = getattr(spent, amount)
                if allowed is not None and more and used + getattr(reserved, amount) + more > allowed:
                    return Excess(scope=scope, limit=limit, allowed=allowed, spent=used, wanted=more, raises=raises)
        return None

    def _allowed(self, scope: Scope, limit: str, amount: str) -> int | None:
        value = getattr(scope.limits, limit)
        if value is None:
            return None
        base = round(value * _MILLION) if limit == "max_cost" else int(value)
        if scope.per_day:
            return base + getattr(self._day[2], amount)
        return base + sum(found.raised[amount] for found in self._decisions_of(scope))

    def _spent_in(self, scope: Scope, without: tuple[str, str] | None = None) -> Amounts:
        if scope.per_day:
            return self._day[1]
        total = Amounts()
        for path, amounts in self._spent.items():
            total = total + amounts if scope.covers(path) else total
        for key, (path, amounts) in list(self._new.items()):
            total = total + amounts if key != without and scope.covers(path) else total
        return total

    def _reserved_in(self, scope: Scope, in_flight: Mapping[object, tuple[str, str, Amounts]]) -> Amounts:
        total = Amounts()
        for run_id, path, amounts in in_flight.values():
            if scope.per_day or (run_id == self.execution_id and scope.covers(path)):
                total = total + amounts
        return total

    def _decisions_of(self, scope: Scope) -> list[Decision]:
        day = today() if scope.per_day else None
        return [each for each in self._decisions.values() if each.scope == scope.path and each.day == day]

    def _is_denied(self, scope: Scope) -> bool:
        return any(not decision.approved for decision in self._decisions_of(scope))

    async def _ask(self, excess: Excess) -> None:
        """Wait until the budget was raised or denied; concurrent tasks wait for the same answer."""
        scope, day = excess.scope, today() if excess.scope.per_day else None
        same = [
            found for found in self._decisions.values() if found.scope == scope.path and bool(found.day) == bool(day)
        ]
        name = "budget-day" if scope.per_day else "budget"
        path = "/".join(part for part in (scope.path, f"{name}:{len(same) + 1}") if part)
        question = BudgetQuestion(
            execution_id=self.execution_id,
            workflow_id=self.workflow_id,
            path=path,
            scope=scope.path,
            day=day,
            shown=_shown(excess, path),
        )
        async with self._turn:
            # Recorded once: the others find it.
            if not await self.database.read_async(partial(_is_asked, question=question)):
                await transact(f"{path}.ask", question.ask)
            if path not in self._reported:
                self._reported.add(path)
                self.report.budget_spent(self.execution_id, path, f"{excess}.", excess.raises)
        await self._wait_for_answer(question)

    async def _wait_for_answer(self, question: BudgetQuestion) -> None:
        run = current_run()
        until_ms = None if question.day is None else _end_of(now_ms())
        arrived = partial(has_signal, workflow_exec_id=self.execution_id, name=question.signal)
        while True:
            async with self._turn:
                decisions = await self.database.read_async(partial(list_decisions, execution_id=self.execution_id))
                self._decisions = {decision.path: decision for decision in decisions}
                if question.path in self._decisions:
                    return
                if question.day is not None and question.day != today():
                    await transact(f"{question.path}.end", question.expire)
                    continue
                if await self.database.read_async(arrived):
                    await transact(f"{question.path}.end", question.take_answer)
                    continue
            await run.wait(signal=question.signal, until_ms=until_ms)


def _read_day(connection: sa.Connection) -> tuple[str, Amounts, Amounts]:
    day = today()
    return day, Amounts(**spent_on(connection, day)), Amounts(**raised_on(connection, day))


def _is_asked(connection: sa.Connection, question: BudgetQuestion) -> bool:
    return question.is_stored(connection)


def _end_of(time_ms: int) -> int:
    return (time_ms // _DAY_MS + 1) * _DAY_MS


def _check_price(scopes: Sequence[Scope], found: Estimate) -> None:
    if found.has_price or all(scope.limits.max_cost is None for scope in scopes):
        return
    raise BudgetError(
        f"the price of {found.model} is not known, and `max_cost` limits it",
        hint="give its provider a `price`, or limit `max_tokens` instead",
        details={"model": found.model, "limit": "max_cost"},
    )


def _hint(excess: Excess) -> str:
    where = "`budget` in compozy.yaml" if excess.scope.per_day else "the `budget` in the file of the workflow"
    return f"raise `{excess.limit}` of {where}, and rerun the execution"


def _shown(excess: Excess, path: str) -> dict[str, Any]:
    """Return what the task of a question shows: the form of the answer, and the state of the budget."""
    whole = {"type": "integer", "minimum": 1}
    form = {
        "type": "object",
        "title": "Raise the budget?",
        "description": f"{excess}.",
        "properties": {
            "approve": {"type": "boolean", "description": "Whether the budget is raised; otherwise the task fails."},
            "add_cost": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9, "description": "Dollars to add."},
            "add_tokens": {**whole, "description": "Tokens to add."},
            "add_requests": {**whole, "description": "Model requests to add."},
            "add_tool_calls": {**whole, "description": "Calls of tools to add."},
            "reason": {"type": "string"},
        },
        "required": ["approve"],
        "additionalProperties": False,
        "if": {"properties": {"approve": {"const": True}}},
        "then": {"required": [excess.raises]},
    }
    about = {"wait_status": "waiting", "signal_name": path, "has_processor": False}
    return {**about, "form": form, "declined": 0, "budget": excess.describe()}
