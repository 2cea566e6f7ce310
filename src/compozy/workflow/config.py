"""A workflow file, as it is written."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from compozy.agent.budget import BudgetConfig
from compozy.agent.config import AgentResource
from compozy.config.reference import SchemaOrId
from compozy.config.settings import DEFAULT_QUEUE, QueueName, Section
from compozy.knowledge.config import KnowledgeBinding
from compozy.schedule.config import MAX_SCHEDULES, ScheduleConfig
from compozy.schema.resource import SchemaResource
from compozy.task.options import RunOptions
from compozy.task.registry import Task
from compozy.tool.config import ToolResource
from compozy.tool.mcp.config import McpResource
from compozy.trigger.notification import OnFailure
from compozy.trigger.registry import Trigger
from compozy.workflow.limits import ConcurrencyConfig, RateConfig

WORKFLOW_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"


class WorkflowOptions(RunOptions):
    """`config:` of a workflow."""

    input: SchemaOrId | None = Field(default=None, description="JSON Schema of the input; same as `input` above.")


class WorkflowConfig(Section):
    """One workflow: tasks that run in the order of the list, and the templates of its output."""

    resource: Literal["workflow"] = Field(
        default="workflow", description="Kind of file, for files that `autoload` finds."
    )
    id: str = Field(pattern=WORKFLOW_ID_PATTERN, description="Name of the workflow, unique in the project.")
    name: str | None = Field(default=None, description="Title, for people.")
    description: str | None = Field(default=None, description="For people.")
    version: str | None = Field(default=None, description="Version of the workflow, any text.")
    input: SchemaOrId | None = Field(default=None, description="JSON Schema of the input; its defaults are filled in.")
    queue: QueueName = Field(
        default=DEFAULT_QUEUE, description="Queue of its runs, which only processes that serve it execute."
    )
    priority: int = Field(
        default=0, ge=-1000, le=1000, description="Runs with a higher priority are started first, within their queue."
    )
    concurrency: ConcurrencyConfig | None = Field(
        default=None, description="How many runs are open at the same time; the others wait."
    )
    rate: RateConfig | None = Field(default=None, description="How many runs begin within a period; the others wait.")
    budget: BudgetConfig | None = Field(default=None, description="Limits of what a run may spend.")
    on_failure: OnFailure | None = Field(
        default=None, description="Webhook that is sent when a run fails. Default: that of the project."
    )
    config: WorkflowOptions | None = Field(default=None, description="Options in the words of earlier editions.")
    env: dict[str, str] | None = Field(default=None, description="Values that templates read as `.env`; templates.")
    knowledge: tuple[KnowledgeBinding, ...] | None = Field(
        default=None, description="Knowledge bases of its agents. Default: those of the project."
    )
    agents: tuple[AgentResource, ...] | None = Field(
        default=None, description="Agents of this workflow; they hide shared ones of the same ID."
    )
    schemas: tuple[SchemaResource, ...] | None = Field(
        default=None, description="JSON Schemas of this workflow; they hide shared ones of the same ID."
    )
    tools: tuple[ToolResource, ...] | None = Field(
        default=None, description="Tools of this workflow; they hide shared ones of the same ID."
    )
    mcps: tuple[McpResource, ...] | None = Field(
        default=None,
        description="MCP servers of this workflow, for all its agents; they hide shared ones of the same ID.",
    )
    triggers: tuple[Trigger, ...] | None = Field(
        default=None, description="Ways to start runs, besides commands and requests to the API."
    )
    schedule: ScheduleConfig | None = Field(default=None, description="Times at which the workflow runs.")
    schedules: tuple[ScheduleConfig, ...] | None = Field(
        default=None, max_length=MAX_SCHEDULES, description="Several schedules, each with an `id`."
    )
    tasks: tuple[Task, ...] = Field(min_length=1, description="Tasks to run, in this order or along their transitions.")
    output: dict[str, Any] | None = Field(
        default=None,
        validation_alias=AliasChoices("output", "outputs"),
        description="Result of the run: a map of templates. `outputs` is a synonym.",
    )

    @property
    def input_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the input, under whichever of its two names it is written."""
        return self.input if self.input is not None else (self.config.input if self.config else None)
