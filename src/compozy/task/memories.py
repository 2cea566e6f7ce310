"""The memories of a task: their keys are rendered before a model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compozy.config.nodes import YamlPath
from compozy.errors import ConversationError
from compozy.task.template_context import render_key
from compozy.task.tree import TaskCall

if TYPE_CHECKING:
    from compozy.memory.config import MemoryUse
    from compozy.memory.session import MemorySession

WrittenMemories = tuple[YamlPath, "Sequence[MemoryUse] | None"]
"""A list of memories with its path from the task."""


def open_memories(call: TaskCall, written: Sequence[WrittenMemories]) -> MemorySession | None:
    """Return the conversations of a task, None if it remembers none. The first list that is written counts.

    Raises:
        TemplateError: the key of a conversation cannot be rendered.
        ConversationError: a key is empty, or names the same conversation twice.
    """
    path, uses = next(((path, uses) for path, uses in written if uses is not None), ((), None))
    if not uses:
        return None
    # At first use: a task without memory loads nothing of it.
    from compozy.memory.recollection import BoundMemory
    from compozy.memory.session import MemorySession, check_key

    bound: dict[tuple[str, str], BoundMemory] = {}
    for index, use in enumerate(uses):
        name = "key" if use.key is not None else "default_key_template"
        text = use.key or use.default_key_template or ""
        key = check_key(use.id, render_key(text, call.at(*path, index, name), call.context))
        each = BoundMemory(use=use, key=key)
        if each.name in bound:
            raise ConversationError(f"task {call.id!r}: memory {use.id!r} is listed twice with the key {key!r}")
        bound[each.name] = each
    call.shown["memory"] = [{"id": each.use.id, "key": each.key} for each in bound.values()]
    return MemorySession(list(bound.values()), call.run.database, call.run.execution_id, call.path)
