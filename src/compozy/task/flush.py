"""`operation: flush` of a memory with summaries: a model request and the change that it leads to, each recorded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from compozy.agent.config import AgentConfig
from compozy.agent.steps import request_step
from compozy.database.memories import Message, find_memory, list_messages
from compozy.durable.context import current_run
from compozy.durable.step import step, transact
from compozy.memory import operations
from compozy.memory.operations import Summary
from compozy.memory.recollection import old_turns
from compozy.memory.session import summary_text
from compozy.model.params import to_settings
from compozy.task.basic import admission_of, count_request, load_agents

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.memory.config import MemoryUse
    from compozy.task.tree import TaskCall


async def flush_with_summary(call: TaskCall, use: MemoryUse, key: str) -> Any:
    """Replace the oldest turns by a summary, and return the result of the task.

    Raises:
        ModelError: the model failed. Nothing is removed then.
        BudgetError: a budget is spent, and not raised.
        ConversationError: the summary cannot be redacted.
    """
    at = {"memory_id": use.id, "key": key, "options": use}

    async def look() -> JsonValue:
        return await call.run.database.read_async(partial(_look, use, key))

    found = cast("dict[str, Any]", await step(f"{call.base}.memory.look", look))
    old: list[Message] = []
    if found["last"]:
        numbers = {name: found[name] for name in ("generation", "first", "last")}
        old = await call.run.database.read_async(partial(list_messages, memory_id=use.id, key=key, **numbers))
    text = await _ask(call, use, found["summary"], old) if old else ""
    if not text:
        return await transact(f"{call.base}.memory", partial(operations.flush, **at))
    summary = Summary(generation=found["generation"], last=found["last"], earlier=found["summary"], text=text)
    return await transact(f"{call.base}.memory", partial(operations.flush_with, **at, summary=summary))


def _look(use: MemoryUse, key: str, connection: sa.Connection) -> JsonValue:
    """Return which messages are to be summarized, by their numbers; `last` is 0 for none."""
    memory = find_memory(connection, use.id, key)
    old = old_turns(connection, memory, use)
    first, last = (old[0].seq, old[-1].seq) if old else (1, 0)
    return {"generation": memory.generation, "first": first, "last": last, "summary": memory.summary}


async def _ask(call: TaskCall, use: MemoryUse, earlier: str | None, old: list[Message]) -> str:
    """Return the summary as it is stored; its cost is that of the task."""
    catalog = call.run.catalog
    await load_agents(catalog)
    from compozy.agent.remember import summarize
    from compozy.agent.run import AgentRequest, plain_model

    # By the attempts before this one; a replay comes to the same number.
    made = current_run().turns(request_step(call.path))
    request = AgentRequest(
        execution_id=call.run.execution_id,
        task_id=call.id,
        path=call.path,
        first_run_index=call.first_request + made,
        first_task_index=made,
        config=AgentConfig(llm=use.flushing.llm, model=use.flushing.model),
        prompt="",
    )
    model = plain_model(request, catalog, checkpoint=partial(count_request, call), **admission_of(call))
    return summary_text(await summarize(model, to_settings(None), earlier, old, use.flushing), use)
