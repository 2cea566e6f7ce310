"""`type: router`: which task follows, by a value."""

from __future__ import annotations

from functools import partial

from compozy.schema.worker import compute
from compozy.task.decide import choose_route
from compozy.task.kinds.router import ROUTE_TAKEN, RouterTask
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall


async def run_router(call: TaskCall, task: RouterTask, _: RunTask) -> Outcome:
    """Choose the route; `next.py` follows it."""
    condition = (*call.yaml_path, "condition")
    route = await compute(partial(choose_route, task.condition, condition, call.context, task.routes))
    return Outcome(output={"condition": task.condition, ROUTE_TAKEN: route, "router_type": "conditional"})


RUNNER = Runner(run=run_router)
