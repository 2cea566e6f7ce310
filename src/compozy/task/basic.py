"""`type: basic`: a prompt to an agent, or, without one, a pass-through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from compozy.agent.budget import Amounts
from compozy.agent.config import AgentConfig
from compozy.agent.steps import path_of_request, request_step
from compozy.config.nodes import YamlPath
from compozy.database.costs import add_request
from compozy.database.tasks import store_usage
from compozy.durable.context import current_run
from compozy.durable.step import step
from compozy.errors import UsageError
from compozy.model.catalog import ModelCatalog
from compozy.nearest import suggest
from compozy.schema.worker import compute
from compozy.task.answer_text import open_text
from compozy.task.attachments import Written, attach, load_file
from compozy.task.fit import fit
from compozy.task.kinds.basic import BasicTask
from compozy.task.memories import WrittenMemories, open_memories
from compozy.task.template_context import render_text
from compozy.task.tools import call_tool, make_belt
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall, spender_of

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.agent.offered import OwnTool
    from compozy.agent.run import AgentResult
    from compozy.memory.session import MemorySession
    from compozy.task.budget import Ledger

_AGENTS = "compozy.agent.run"
_loading = threading.Lock()
_loaded = threading.Event()


async def run_basic(call: TaskCall, task: BasicTask, run_task: RunTask) -> Outcome:
    """Ask the agent, call the tool, or pass the input on."""
    if task.tool is not None:
        await load_agents()
        return await call_tool(call, task.tool, task.mcps or (), run_task)
    if task.prompt is None and task.action is None:
        # Without a prompt no model is asked.
        return Outcome(output=call.shown.get("with", {}))
    asked = await _choose_action(call, task)
    await compute(partial(_render_prompt, asked, task))
    memory = await compute(partial(open_memories, asked.call, _memories_of(task)))
    result = await _ask(call, asked, task, run_task, memory)
    return Outcome(output=result.output, write=memory.write if memory is not None else None)


def _memories_of(task: BasicTask) -> list[WrittenMemories]:
    agent = task.agent or AgentConfig()
    return [(("memory",), task.memory), (("agent", "memory"), agent.memory)]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The request to the agent: the prompt with its path from the task, the schema of the answer, the attachments."""

    call: TaskCall
    prompt: str
    path: YamlPath
    output: dict[str, Any] | None
    attachments: Sequence[Written]


async def _choose_action(call: TaskCall, task: BasicTask) -> _Asked:
    """Return the prompt of the task, or of the action that its template names.

    Raises:
        TemplateError: the template cannot be rendered.
        UsageError: the agent has no such action.
        SchemaMismatchError: the input of the task does not match the action.
    """
    agent = task.agent or AgentConfig()
    attached: list[Written] = [(("agent", "attachments"), agent.attachments), (("attachments",), task.attachments)]
    if task.prompt is not None or task.action is None:
        prompt = task.prompt or ""
        return _Asked(call=call, prompt=prompt, path=("prompt",), output=task.output, attachments=attached)
    name = await compute(partial(render_text, task.action, (*call.yaml_path, "action"), call.context))
    call.shown["action"] = name
    action = agent.action(name)
    if action is None:
        known = [other.id for other in agent.actions or ()]
        hint = suggest(name, known) or f"its actions are {', '.join(known) or 'none'}"
        raise UsageError(f"task {call.id!r}: agent {agent.id or ''!r} has no action {name!r}", hint=hint)
    if action.input is not None:
        given = await fit(action.input, call.shown.get("with", {}), f"the input of action {name!r} of task {call.id!r}")
        call.shown["with"] = given
        call = replace(call, context=call.context.with_input(given).with_roots(**{"with": given}))
    path = ("agent", "actions", (agent.actions or ()).index(action))
    attached.insert(1, ((*path, "attachments"), action.attachments))
    return _Asked(
        call=call,
        prompt=action.prompt,
        path=(*path, "prompt"),
        output=task.output or action.output or agent.output,
        attachments=attached,
    )


async def load_agents(catalog: ModelCatalog | None = None) -> None:
    """Load what asking a model needs, and the libraries of `catalog`; in a thread outside the event loop."""
    if not _loaded.is_set() or (catalog is not None and not catalog.is_loaded):
        await asyncio.to_thread(_load, catalog)


def _load(catalog: ModelCatalog | None) -> None:
    # One at a time: two threads that import modules of one circle get each other's half-made ones.
    with _loading:
        import_module(_AGENTS)
        _loaded.set()
        if catalog is not None and not catalog.is_loaded:
            catalog.load()


def _render_prompt(asked: _Asked, task: BasicTask) -> None:
    call = asked.call
    call.shown["prompt"] = render_text(asked.prompt, call.at(*asked.path), call.context)
    if task.agent is not None and task.agent.instructions is not None:
        yaml_path = call.at("agent", "instructions")
        call.shown["instructions"] = render_text(task.agent.instructions, yaml_path, call.context)


async def _ask(
    call: TaskCall, asked: _Asked, task: BasicTask, run_task: RunTask, memory: MemorySession | None
) -> AgentResult:
    # At first use: a server is ready before the libraries of models are loaded.
    catalog = call.run.catalog
    await load_agents(catalog)
    from compozy.agent.run import AgentRequest, run_agent
    from compozy.agent.settings import ToolRules

    rules = ToolRules.of(task, task.agent)
    attached = await attach(asked.call, asked.attachments)
    belt = await make_belt(call, rules, run_task, _own_tools(memory))
    # By the attempts before this one; a replay comes to the same number.
    made = current_run().turns(request_step(call.path))
    request = AgentRequest(
        execution_id=call.run.execution_id,
        task_id=task.id,
        path=call.path,
        first_run_index=call.first_request + made,
        first_task_index=made,
        config=task.agent,
        prompt=call.shown["prompt"],
        instructions=call.shown.get("instructions"),
        output_schema=asked.output,
        rules=rules,
        attached=attached,
        load=partial(load_file, call),
    )
    return await run_agent(
        request,
        catalog,
        checkpoint=partial(count_request, call),
        knowledge=call.run.knowledge,
        belt=belt,
        open_text=partial(open_text, call.run.database),
        memory=memory,
        **admission_of(call),
    )


def _own_tools(memory: MemorySession | None) -> list[OwnTool]:
    if memory is None:
        return []
    from compozy.agent.remember import working_tool

    tool = working_tool(memory)
    return [] if tool is None else [tool]


async def count_request(call: TaskCall, name: str, request: Callable[[], Awaitable[JsonValue]]) -> JsonValue:
    """Run a step of the agent; what a model request has cost is in the row of the task as soon as it is recorded."""
    from compozy.agent.checkpoint import usage_of

    if path_of_request(name) != call.path:
        return await step(name, request)
    number, ledger = len(call.spent), _ledger_of(call)

    def write(connection: sa.Connection, answer: JsonValue) -> None:
        # It is kept whatever becomes of the task: it was paid for.
        usage = call.spent[number] = usage_of(answer)
        store_usage(connection, call.key, call.usage)
        add_request(connection, spender_of(call), usage)
        if ledger is not None:
            ledger.note(connection, call.scopes, call.path, (call.path, str(number)), _amounts_of(usage))

    # An answer that a budget counts is stored before the next request is admitted.
    answer = await step(name, request, write, can_wait=ledger is None)
    call.spent[number] = usage_of(answer)
    return answer


def admission_of(call: TaskCall) -> dict[str, Any]:
    """Return the argument of `run_agent` that has the budgets admit each request; none without budgets."""
    ledger = _ledger_of(call)
    return {} if ledger is None else {"admit": partial(ledger.admit, call.scopes, call.path)}


def _ledger_of(call: TaskCall) -> Ledger | None:
    return call.run.ledger if call.scopes else None


def _amounts_of(usage: dict[str, Any]) -> Amounts:
    tokens = usage["input_tokens"] + usage["output_tokens"]
    return Amounts(cost_micros=usage["cost_micros"], tokens=tokens, requests=1)


RUNNER = Runner(run=run_basic)
