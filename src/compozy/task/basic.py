"""`type: basic`: a prompt to an agent, or, without one, a pass-through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import sqlalchemy as sa

from compozy.database.tasks import store_usage
from compozy.durable.context import current_run
from compozy.durable.step import step
from compozy.model.catalog import ModelCatalog
from compozy.task.kinds.basic import BasicTask
from compozy.task.scope import render_text
from compozy.task.tree import Outcome, Runner, RunTask, TaskRun

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.agent.run import AgentResult

_AGENTS = "compozy.agent.run"
_loading = threading.Lock()
_loaded = threading.Event()


async def run_basic(call: TaskRun, task: BasicTask, _: RunTask) -> Outcome:
    """Ask the agent, or pass the input on."""
    if task.prompt is None:
        # Without a prompt there is nobody to ask.
        return Outcome(output=call.shown.get("with", {}))
    _render_prompt(call, task, task.prompt)
    result = await _ask(call, task)
    return Outcome(output=result.output)


async def load_agents(catalog: ModelCatalog | None = None) -> None:
    """Load what asking a model needs, and the libraries of `catalog`; in a thread, so that the event loop goes on."""
    if not _loaded.is_set() or (catalog is not None and not catalog.is_loaded):
        await asyncio.to_thread(_load, catalog)


def _load(catalog: ModelCatalog | None) -> None:
    # One at a time: two threads that import modules of one circle get each other's half-made ones.
    with _loading:
        import_module(_AGENTS)
        _loaded.set()
        if catalog is not None and not catalog.is_loaded:
            catalog.load()


def _render_prompt(call: TaskRun, task: BasicTask, prompt: str) -> None:
    call.shown["prompt"] = render_text(prompt, (*call.place, "prompt"), call.scope)
    if task.agent is not None and task.agent.instructions is not None:
        place = (*call.place, "agent", "instructions")
        call.shown["instructions"] = render_text(task.agent.instructions, place, call.scope)


async def _ask(call: TaskRun, task: BasicTask) -> AgentResult:
    # At first use: a server is ready before the libraries of models are loaded.
    catalog = call.run.catalog
    await load_agents(catalog)
    from compozy.agent.checkpoint import request_step
    from compozy.agent.run import AgentRequest, run_agent

    # By the attempts before this one; a replay comes to the same number.
    asked = current_run().turns(request_step(call.path))
    request = AgentRequest(
        execution_id=call.run.execution_id,
        task_id=task.id,
        path=call.path,
        first_run_index=call.first_request + asked,
        first_task_index=asked,
        config=task.agent,
        prompt=call.shown["prompt"],
        instructions=call.shown.get("instructions"),
        output_schema=task.output,
    )
    return await run_agent(request, catalog, checkpoint=partial(_count, call), knowledge=call.run.knowledge)


async def _count(call: TaskRun, name: str, request: Callable[[], Awaitable[JsonValue]]) -> JsonValue:
    """Run a step of the agent; what a model request has cost is in the row of the task as soon as it is recorded."""
    from compozy.agent.checkpoint import request_step, usage_of

    if name != request_step(call.path):
        return await step(name, request)
    number = len(call.spent)

    def write(connection: sa.Connection, answer: JsonValue) -> None:
        # It is kept whatever becomes of the task: it was paid for.
        call.spent[number] = usage_of(answer)
        store_usage(connection, call.key, call.usage)

    answer = await step(name, request, write)
    call.spent[number] = usage_of(answer)
    return answer


RUNNER = Runner(run=run_basic)
