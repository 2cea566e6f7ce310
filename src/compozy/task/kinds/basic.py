"""`type: basic`: a prompt to an agent, or, without one, a pass-through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compozy.agent.attachment.config import AttachmentConfig
from compozy.agent.config import AgentConfig, Converses
from compozy.config.reference import OrId
from compozy.model.fallback import Fallback
from compozy.model.params import ModelParams
from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase
from compozy.tool.config import ToolConfig
from compozy.tool.mcp.config import ToolAndServerUse


class BasicTask(TaskBase, Converses, ToolAndServerUse):
    """One step: a prompt to an agent, a call of a tool, or, with neither, a pass-through of `with`."""

    type: Literal["basic"] = Field(default="basic", description="Kind of task.")
    prompt: str | None = Field(default=None, min_length=1, description="Prompt for the model; a template.")
    agent: Annotated[AgentConfig, OrId("a shared agent")] | None = Field(
        default=None, description="Agent that answers the prompt."
    )
    action: str | None = Field(
        default=None, min_length=1, description="ID of an action of the agent, in place of a `prompt`; a template."
    )
    tool: Annotated[ToolConfig, OrId("a shared tool")] | None = Field(
        default=None, description="Tool that is called with the input of the task, without a model."
    )

    attachments: tuple[AttachmentConfig, ...] | None = Field(
        default=None, description="Files and URLs that are sent with the prompt, after those of the agent."
    )
    params: ModelParams | None = Field(
        default=None, description="Parameters of the model for this task, before those of the agent."
    )
    fallback: Fallback | None = Field(
        default=None, description="Models to ask when the model fails. Default: those of the agent."
    )

    @property
    def dynamic_action(self) -> str | None:
        """The template that chooses the action when the task runs; None where its prompt is known before."""
        return self.action if self.prompt is None else None


def _label(task: BasicTask) -> str:
    if task.tool is not None:
        return f"tool {task.tool.id}"
    return "" if task.prompt is not None or task.action is not None else "pass"


def _is_pure(task: BasicTask) -> bool:
    return task.prompt is None and task.action is None and task.tool is None


KIND = TaskKind(
    name="basic",
    model=BasicTask,
    runner="compozy.task.basic",
    page="/docs/workflows/tasks",
    takes_prompt=True,
    is_pure=_is_pure,
    texts=(
        ("prompt",),
        ("action",),
        ("attachments",),
        ("agent", "instructions"),
        ("agent", "actions"),
        ("agent", "attachments"),
        ("memory",),
        ("agent", "memory"),
    ),
    label=_label,
    dry_texts=(("prompt",), ("action",), ("agent", "instructions")),
)
