"""`type: memory`: an operation on a conversation, as one recorded transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.durable.step import step, transact
from compozy.errors import UsageError
from compozy.memory import operations
from compozy.memory.config import MemoryUse
from compozy.memory.session import check_key
from compozy.schema.worker import compute
from compozy.task.flush import flush_with_summary
from compozy.task.kinds.memory import MemoryTask
from compozy.task.template_context import render_key, render_value
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall

Change = Callable[[sa.Connection], Any]
_READS = frozenset({"read", "stats", "health"})
_ADDS: dict[str, Callable[..., Any]] = {"append": operations.append, "write": operations.write}
_REPORTS: dict[str, Callable[..., Any]] = {"stats": operations.stats, "health": operations.health}


async def run_memory(call: TaskCall, task: MemoryTask, _: RunTask) -> Outcome:
    """Run the operation; a change is committed together with its recorded result, so that a crash cannot repeat it."""
    use = task.memory or MemoryUse(id=task.memory_ref)
    name = "key_template" if task.key_template is not None else "memory"
    path = ("key_template",) if name == "key_template" else ("memory", "default_key_template")
    text = task.key_template or use.default_key_template or ""
    key = check_key(use.id, await compute(partial(render_key, text, call.at(*path), call.context)))
    call.shown.update({"operation": task.operation, "memory": use.id, "key": key})
    if task.operation == "flush" and use.flushing.type == "hybrid_summary" and not task.flush_config.dry_run:
        return Outcome(output=await flush_with_summary(call, use, key))
    change = await compute(partial(_operation, call, task, use, key))
    if task.operation not in _READS:
        return Outcome(output=await transact(f"{call.base}.memory", change))

    async def read() -> Any:
        return await call.run.database.read_async(change)

    return Outcome(output=await step(f"{call.base}.memory", read))


def _operation(call: TaskCall, task: MemoryTask, use: MemoryUse, key: str) -> Change:
    """Return what the task does within a transaction.

    Raises:
        UsageError: the payload or the confirmation is missing.
        ConversationError: a message cannot be redacted.
    """
    at = {"memory_id": use.id, "key": key}
    if task.operation in _ADDS:
        return partial(_ADDS[task.operation], **at, messages=_messages(call, task, use), options=use)
    if task.operation == "clear" and not task.clear_config.confirm:
        raise UsageError(f"task {call.id!r}: `clear` must be confirmed", hint="add `clear_config: {confirm: true}`")
    if task.operation == "read":
        return partial(operations.read, **at, limits=use.limits(None))
    if task.operation == "flush":
        return partial(operations.flush, **at, options=use, dry_run=task.flush_config.dry_run)
    if task.operation in _REPORTS:
        return partial(_REPORTS[task.operation], **at, options=use)
    return partial(operations.clear if task.operation == "clear" else operations.delete, **at)


def _messages(call: TaskCall, task: MemoryTask, use: MemoryUse) -> list[Any]:
    if task.payload is None:
        raise UsageError(f"task {call.id!r}: `{task.operation}` needs a `payload`")
    payload = render_value(task.payload, call.at("payload"), call.context)
    # Redacted, too: the input of a task is stored.
    messages = operations.messages_from(payload, use)
    call.shown["payload"] = [{"role": each.role, "content": each.content} for each in messages]
    return operations.with_source(messages, call.run.execution_id, call.base)


RUNNER = Runner(run=run_memory)
