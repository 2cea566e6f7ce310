"""`type: basic`: a prompt to an agent, or, without one, a pass-through."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compozy.agent.config import AgentConfig
from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase


class BasicTask(TaskBase):
    """One step: a prompt to an agent, or, with neither, a pass-through of `with`."""

    type: Literal["basic"] = Field(default="basic", description="Kind of task.")
    prompt: str | None = Field(default=None, min_length=1, description="What the model is asked; a template.")
    agent: AgentConfig | None = Field(default=None, description="Who answers the prompt.")


def _label(task: BasicTask) -> str:
    return "" if task.prompt is not None else "pass"


KIND = TaskKind(
    name="basic",
    model=BasicTask,
    runner="compozy.task.basic",
    page="/docs/workflows/tasks",
    takes_prompt=True,
    texts=(("prompt",), ("agent", "instructions")),
    label=_label,
    dry_texts=(("prompt",), ("agent", "instructions")),
)
