"""A workflow as a conversation: which values of its input are the message and the key of the memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from compozy.database.trigger import MAX_LABEL_VALUE
from compozy.memory.config import MemoryUse
from compozy.task.kinds.basic import BasicTask
from compozy.workflow.config import WorkflowConfig

_READ = re.compile(r"\.(?:workflow\.)?input\.([A-Za-z_]\w*)")
# Names under which messages are often found, the most specific first.
_NAMES = ("message", "question", "prompt", "query", "text", "input")

LABEL = "chat"
"""Label of the runs of a conversation; the web page lists a conversation by it."""


@dataclass(frozen=True, kw_only=True)
class Chat:
    """The parts of a workflow that make it a conversation.

    Attributes:
        message: name of the value of the input that is the message; None if several could be.
        key: name of the value that the key of the memory is made of; None for none, or for several.
        task: ID of the task whose answer is shown while the model writes it.
    """

    message: str | None
    key: str | None
    task: str


def chat_of(workflow: WorkflowConfig) -> Chat | None:
    """Return how to talk to a workflow, None if none of its tasks asks a model with a memory."""
    talking = [(task, uses) for task in workflow.tasks if isinstance(task, BasicTask) and (uses := _memories(task))]
    if not talking:
        return None
    task = talking[-1][0]
    keys = _names_in(use.key or use.default_key_template or "" for _, uses in talking for use in uses)
    return Chat(message=_message(workflow, task, keys), key=keys[0] if len(keys) == 1 else None, task=task.id)


def chat_document(workflow: WorkflowConfig) -> dict[str, Any] | None:
    """Return `chat_of` as JSON."""
    found = chat_of(workflow)
    return None if found is None else {"message": found.message, "key": found.key, "task": found.task}


def chat_labels(values: Mapping[str, Any], key: str | None) -> dict[str, str]:
    """Return the label of a conversation: the value that names it, or all values of its input without the message."""
    name = str(values[key]) if key is not None and key in values else _name_of(values)
    return {LABEL: "".join(letter if letter.isprintable() else " " for letter in name)[:MAX_LABEL_VALUE]}


def _name_of(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items())) or "default"


def _memories(task: BasicTask) -> Sequence[MemoryUse]:
    if task.memory is not None:
        return task.memory
    return (task.agent.memory or ()) if task.agent is not None else ()


def _message(workflow: WorkflowConfig, task: BasicTask, keys: Sequence[str]) -> str | None:
    schema = workflow.input_schema or {}
    properties = cast("dict[str, Any]", schema.get("properties") or {})
    required = cast("list[str]", schema.get("required") or [])
    names = [name for name in properties or _names_in([task.prompt or ""]) if name not in keys]
    named = [name for name in _NAMES if name in names]
    needed = [name for name in names if name in required]
    return next((found[0] for found in (named[:1], names, needed) if len(found) == 1), None)


def _names_in(templates: Iterable[str]) -> list[str]:
    """Return the names of values of the input that templates read, each once."""
    return list(dict.fromkeys(name for text in templates for name in _READ.findall(text)))
