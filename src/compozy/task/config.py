"""`tasks:` of a workflow, as they are written in a workflow file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compozy.agent.config import AgentConfig
from compozy.config.settings import Section

TASK_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"


class TaskConfig(Section):
    """One step of a workflow: a prompt to an agent, or, with neither, a pass-through of `with`."""

    id: str = Field(pattern=TASK_ID_PATTERN, description="Name of the task, unique in its workflow.")
    type: Literal["basic"] = Field(default="basic", description="Kind of task.")
    description: str | None = Field(default=None, description="For people.")
    prompt: str | None = Field(default=None, min_length=1, description="What the model is asked; a template.")
    agent: AgentConfig | None = Field(default=None, description="Who answers the prompt.")
    with_: dict[str, Any] | None = Field(default=None, alias="with", description="Input of the task; templates.")
    output: dict[str, Any] | None = Field(default=None, description="JSON Schema that the model answers in.")
