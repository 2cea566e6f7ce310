"""`budget:`, limits of a run, a task or an agent for models and tools; and estimates of requests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from compozy.config.settings import Section

_LIMITS = ("max_cost", "max_tokens", "max_requests", "max_tool_calls")


class BudgetConfig(Section):
    """Limits of what is spent. A limit of an inner budget can only be lower: all budgets around a request apply."""

    max_cost: float | None = Field(default=None, ge=0, le=1e9, description="Dollars for model requests.")
    max_tokens: int | None = Field(default=None, ge=0, description="Tokens of model requests, input and output.")
    max_requests: int | None = Field(default=None, ge=0, description="Answered model requests.")
    max_tool_calls: int | None = Field(default=None, ge=0, description="Calls of tools.")
    warn_at: float | None = Field(
        default=None, gt=0, le=1, description="Share of a limit at which a warning is logged. Default: 0.8."
    )
    on_exceeded: Literal["ask", "fail"] | None = Field(
        default=None,
        description="`ask` waits until a person raises the limit or denies it; `fail` fails the task. Default: `ask`.",
    )


class ProjectBudget(BudgetConfig):
    """A budget of the project, for each run or for all runs of a day."""

    per: Literal["run", "day"] = Field(
        default="run", description="`run`: each run may spend it. `day`: all runs of a day (UTC) together."
    )


def strictest(*budgets: BudgetConfig | None) -> BudgetConfig | None:
    """Return one budget with the lowest of each limit, None for none; other settings are those of the first."""
    given = [budget for budget in budgets if budget is not None]
    if not given:
        return None
    values: dict[str, object] = {}
    for name in BudgetConfig.model_fields:
        found = [value for budget in given if (value := getattr(budget, name)) is not None]
        if found:
            values[name] = min(found) if name in _LIMITS else found[0]
    return BudgetConfig.model_validate(values)


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Amounts that were spent, or may be. Costs are millionths of a dollar."""

    cost_micros: int = 0
    tokens: int = 0
    requests: int = 0
    tool_calls: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        """Return both together."""
        return Amounts(
            cost_micros=self.cost_micros + other.cost_micros,
            tokens=self.tokens + other.tokens,
            requests=self.requests + other.requests,
            tool_calls=self.tool_calls + other.tool_calls,
        )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The amounts that a request will spend if it is as long as expected.

    Attributes:
        has_price: whether the price of the model is known.
        model: how errors name the model, "" for calls of tools.
    """

    amounts: Amounts
    has_price: bool = True
    model: str = ""


Admit = Callable[[str, Callable[[], Estimate]], AbstractAsyncContextManager[None]]
"""Admits the step of this name before it starts, or raises a BudgetError; the block reserves what it is estimated to
spend."""


def admit_all(_: str, __: Callable[[], Estimate]) -> AbstractAsyncContextManager[None]:
    """Admit every request: without a budget."""
    return nullcontext()
