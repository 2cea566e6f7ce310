"""Budgets when answers are longer than their estimates."""

from __future__ import annotations

import asyncio

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo
from pydantic_ai.usage import RequestUsage

from compozy.database.costs import CostFilter
from compozy.database.database import Database
from compozy.model.price import PriceConfig
from compozy.workflow.costs import cost_sums
from compozy.workflow.operate import approve
from tests.harness.runs import Answers, check_run, flowing

PRICE = PriceConfig(input=3.5, output=11)
BRANCHES = ", ".join(f"{{id: t{number}, agent: {{max_tokens: 1}}, prompt: p{number}}}" for number in range(10))


def ten(max_cost: float) -> str:
    """Return a workflow of ten concurrent requests."""
    return f"budget: {{max_cost: {max_cost:.6f}}}\ntasks: [{{id: all, type: parallel, tasks: [{BRANCHES}]}}]"


class Long(Answers):
    """Answers with 100 tokens, whatever the request allows, when all its requests of a moment have come.

    Args:
        together: how many requests wait for each other.
    """

    def __init__(self, together: int) -> None:
        super().__init__()
        self.price = PRICE
        self._together = together
        self._came = asyncio.Event()

    async def _reply(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        response = await super()._reply(messages, info)
        if len(self.answered) >= self._together:
            self._came.set()
        await self._came.wait()
        response.usage = RequestUsage(input_tokens=2, output_tokens=100)
        return response


async def test_answers_that_are_longer_than_estimated_exceed_a_limit_once(database: Database) -> None:
    """Only requests in flight spend more than their estimates; then nothing more is sent."""
    estimated, spent = await _estimate_of_one(database), 7 + 1100
    together = 3
    limit = together * estimated
    model = Long(together)
    async with flowing(database, answers=model) as flows:
        run_id = await flows.start(ten(limit / 1_000_000))
        await flows.until(run_id, lambda ran: ran.status == "WAITING")
        await approve(database, run_id, {"approve": False})
        flows.runtime.wake()
        ran = await flows.ended(run_id)
    check_run(ran)
    assert len(model.answered) == together
    with database.read() as connection:
        cost = round(cost_sums(connection, "day", CostFilter())["total"]["cost"] * 1_000_000)
    # The documented bound: what the requests in flight spent beyond their estimates.
    assert cost == together * spent == limit + together * (spent - estimated)


async def _estimate_of_one(database: Database) -> int:
    """Return what a request is estimated to cost, in millionths of a dollar, as the question names it."""
    model = Long(1)
    async with flowing(database, answers=model) as flows:
        run_id = await flows.start(ten(0))
        ran = await flows.until(run_id, lambda ran: ran.status == "WAITING")
        await approve(database, run_id, {"approve": False})
        flows.runtime.wake()
        await flows.ended(run_id)
    return round(ran.tasks["budget:1"].output["budget"]["estimate"] * 1_000_000)
