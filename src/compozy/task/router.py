"""`type: router`: which task follows, by a value."""

from __future__ import annotations

from compozy.task.config import RouterTask
from compozy.task.decide import choose_route
from compozy.task.next import ROUTE_TAKEN
from compozy.task.tree import Outcome, TaskRun


async def run_router(call: TaskRun, task: RouterTask) -> Outcome:
    """Choose the route; `next.py` follows it."""
    route = choose_route(task.condition, (*call.place, "condition"), call.scope, task.routes)
    return Outcome(output={"condition": task.condition, ROUTE_TAKEN: route, "router_type": "conditional"})
