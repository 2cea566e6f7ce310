"""One task, from its templates to its result."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from compozy.database.status import Status
from compozy.database.tasks import TaskEnd
from compozy.durable.step import step
from compozy.errors import CompozyError, DatabaseError, InternalError
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.model.catalog import ModelCatalog
from compozy.task.config import TaskConfig
from compozy.task.scope import Scope, render_text, render_value

if TYPE_CHECKING:
    from compozy.agent.run import AgentRequest, AgentResult

_log = structlog.get_logger(__name__)
_AGENTS = "compozy.agent.run"
_loading = threading.Lock()
_loaded = threading.Event()


@dataclass(frozen=True, kw_only=True)
class TaskCall:
    """A task that is about to run.

    Args:
        index: its place in the list of the workflow.
        first_request: how many model requests the run made before it; a scripted model counts on.
        knowledge: the knowledge bases that its agent may name.
    """

    task: TaskConfig
    index: int
    execution_id: str
    first_request: int
    knowledge: KnowledgeCatalog | None = None


async def execute_task(call: TaskCall, scope: Scope, catalog: ModelCatalog) -> TaskEnd:
    """Run a task and return how it ended; what is wrong with it is in the result.

    Raises:
        DatabaseError: nothing was recorded, and the run cannot go on here.
    """
    task_input: dict[str, Any] = {}
    try:
        task_input = _render_input(call, scope)
        if call.task.prompt is None:
            # Without a prompt there is nobody to ask: the task passes its input on.
            return TaskEnd(status=Status.SUCCESS, attempts=1, input=task_input, output=task_input.get("with", {}))
        result = await _ask(call, task_input, catalog)
        return TaskEnd(
            status=Status.SUCCESS, attempts=1, input=task_input, output=result.output, usage=[_usage(result)]
        )
    except DatabaseError:
        raise
    except CompozyError as error:
        return _failed(task_input, error)
    except Exception as error:  # noqa: BLE001 - the worker's edge: a defect fails the run, not the process
        _log.exception("a task broke", task_id=call.task.id, execution_id=call.execution_id)
        return _failed(task_input, InternalError(f"{type(error).__name__}: {error}"))


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


async def _ask(call: TaskCall, task_input: dict[str, Any], catalog: ModelCatalog) -> AgentResult:
    # At first use: a server is ready before the libraries of models are loaded.
    await load_agents(catalog)
    from compozy.agent.run import run_agent

    return await run_agent(_request(call, task_input), catalog, checkpoint=step, knowledge=call.knowledge)


def _render_input(call: TaskCall, scope: Scope) -> dict[str, Any]:
    task, path = call.task, ("tasks", call.index)
    rendered: dict[str, Any] = {}
    if task.with_ is not None:
        rendered["with"] = render_value(task.with_, (*path, "with"), scope)
    if task.prompt is not None:
        rendered["prompt"] = render_text(task.prompt, (*path, "prompt"), scope, rendered.get("with"))
    if task.agent is not None and task.agent.instructions is not None:
        place = (*path, "agent", "instructions")
        rendered["instructions"] = render_text(task.agent.instructions, place, scope, rendered.get("with"))
    return rendered


def _request(call: TaskCall, task_input: dict[str, Any]) -> AgentRequest:
    from compozy.agent.run import AgentRequest

    return AgentRequest(
        execution_id=call.execution_id,
        task_id=call.task.id,
        first_run_index=call.first_request,
        config=call.task.agent,
        prompt=task_input["prompt"],
        instructions=task_input.get("instructions"),
        output_schema=call.task.output,
    )


def _usage(result: AgentResult) -> dict[str, Any]:
    usage: dict[str, Any] = dict(result.usage)
    if result.fell_back_from is not None:
        usage["fell_back_from"] = result.fell_back_from
        usage["reason"] = result.reason
    return usage


def _failed(task_input: dict[str, Any], error: CompozyError) -> TaskEnd:
    stored = error.to_json()
    # What was paid for before it failed counts too; it has a column of its own.
    usage = stored["details"].pop("usage", None)
    return TaskEnd(
        status=Status.FAILED, attempts=1, input=task_input, error=stored, usage=None if usage is None else [usage]
    )
