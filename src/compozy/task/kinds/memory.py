"""`type: memory`: an operation on a conversation that agents remember."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.config.settings import Section
from compozy.memory.config import MemoryUse
from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase

Operation = Literal["read", "append", "write", "clear", "delete", "flush", "stats", "health"]


class ClearConfig(Section):
    """`clear_config:`, the confirmation of `clear`."""

    confirm: bool = Field(default=False, description="Must be true.")


class FlushConfig(Section):
    """`flush_config:`, how a conversation is flushed."""

    dry_run: bool = Field(default=False, description="Only report whether turns would be removed.")


class MemoryTask(TaskBase):
    """Reads or changes a conversation of a memory, without a model."""

    type: Literal["memory"] = Field(description="Kind of task.")
    operation: Operation = Field(
        description="`read`, `append`, `write` (replace all), `clear`, `delete`, `flush`, `stats` or `health`."
    )
    memory_ref: str = Field(min_length=1, description="ID of the memory.")
    key_template: str | None = Field(
        default=None,
        min_length=1,
        description="Key of the conversation; a template. Default: `default_key_template` of the memory.",
    )
    payload: Any = Field(
        default=None, description="Messages of `append` and `write`: a text, `{role, content}`, or a list; templates."
    )
    clear_config: ClearConfig = Field(default=ClearConfig(), description="Confirmation of `clear`.")
    flush_config: FlushConfig = Field(default=FlushConfig(), description="Options of `flush`.")
    memory: MemoryUse | None = Field(default=None, description="The memory; `memory_ref` fills it in.")


def _label(task: MemoryTask) -> str:
    return f"{task.operation} {task.memory_ref}"


KIND = TaskKind(
    name="memory",
    model=MemoryTask,
    runner="compozy.task.memory",
    page="/docs/guides/remember",
    texts=(("key_template",), ("payload",)),
    shape=('[("', '")]'),
    label=_label,
    dry_texts=(("key_template",),),
    dry_values=("payload",),
)
