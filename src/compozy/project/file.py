"""compozy.yaml, as it is written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from compozy.agent.budget import ProjectBudget
from compozy.agent.config import AgentResource
from compozy.config.duration import TimeLimitS
from compozy.config.one_or_more import OneOrMore
from compozy.config.retention import RetentionSettings
from compozy.config.settings import (
    AutoloadSettings,
    DatabaseSettings,
    LimitSettings,
    MonitoringSettings,
    RateLimitSettings,
    RuntimeSettings,
    Section,
    ServerSettings,
)
from compozy.knowledge.config import KnowledgeSettings
from compozy.memory.config import MemoryResource
from compozy.model.config import ProviderConfig
from compozy.schema.resource import SchemaResource
from compozy.task.options import RetryPolicy
from compozy.tool.config import ToolResource
from compozy.tool.mcp.config import McpResource
from compozy.trigger.notification import OnFailure

NAME_PATTERN = r"^[^\x00-\x1f\x7f]{1,128}$"


# Validated by its kind, as those in `tasks/*.yaml` are.
SharedTask = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "required": ["id"]})]


class Author(Section):
    """`author:`, the author of the project."""

    name: str | None = Field(default=None, description="Name of the author.")
    email: str | None = Field(default=None, description="Where to write to.")
    organization: str | None = Field(default=None, description="Their organization.")
    url: str | None = Field(default=None, description="Where to read more.")


class LlmSettings(Section):
    """`llm:`, the models that agents use."""

    providers: tuple[ProviderConfig, ...] = Field(default=(), description="Model providers; the first is the default.")


class ProjectOptions(Section):
    """`config:`, default options of tasks; options of a workflow or a task take precedence."""

    retry_policy: RetryPolicy | None = Field(default=None, description="How failed tasks are tried again.")
    timeout: TimeLimitS | None = Field(default=None, description="Time for a task with all its attempts.")


class WorkflowSource(Section):
    """`workflows:`, workflow files outside the folder `workflows/`."""

    source: str = Field(min_length=1, description="The file, from the project's folder.")


class ProjectFile(Section):
    """A Compozy project. Workflows are read from `workflows/*.yaml` next to this file."""

    version: str | None = Field(default=None, description="Version of the project, any text.")
    name: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Name of the project. Default: the name of the folder."
    )
    description: str | None = Field(default=None, description="Purpose of the project.")
    author: Author | None = Field(default=None, description="Author of the project.")
    database: DatabaseSettings = Field(default=DatabaseSettings(), description="Where every step is stored.")
    llm: LlmSettings = Field(default=LlmSettings(), description="The models that agents use.")
    knowledge: KnowledgeSettings = Field(default=KnowledgeSettings(), description="Documents that agents draw on.")
    server: ServerSettings = Field(default=ServerSettings(), description="The address of `compozy start`.")
    ratelimit: RateLimitSettings = Field(default=RateLimitSettings(), description="Limits of requests to the server.")
    runtime: RuntimeSettings = Field(default=RuntimeSettings(), description="How runs are executed.")
    monitoring: MonitoringSettings = Field(default=MonitoringSettings(), description="Metrics for Prometheus.")
    retention: RetentionSettings = Field(
        default=RetentionSettings(), description="Ages at which servers delete runs that ended."
    )
    limits: LimitSettings = Field(default=LimitSettings(), description="Bounds of what workflows may do.")
    config: ProjectOptions = Field(default=ProjectOptions(), description="Options of tasks; the nearest one counts.")
    budget: Annotated[tuple[ProjectBudget, ...], OneOrMore()] = Field(
        default=(), description="Limits of what each run, or all runs of a day, spend; a list for both."
    )
    on_failure: OnFailure | None = Field(default=None, description="Webhook that is sent when a run fails.")
    autoload: AutoloadSettings = Field(default=AutoloadSettings(), description="Further workflow files.")
    workflows: tuple[WorkflowSource, ...] = Field(default=(), description="Workflow files that are named one by one.")
    agents: tuple[AgentResource, ...] = Field(default=(), description="Shared agents; others are in `agents/*.yaml`.")
    schemas: tuple[SchemaResource, ...] = Field(
        default=(), description="Shared JSON Schemas; others are in `schemas/*.yaml`."
    )
    tools: tuple[ToolResource, ...] = Field(default=(), description="Shared tools; others are in `tools/*.yaml`.")
    mcps: tuple[McpResource, ...] = Field(default=(), description="Shared MCP servers; others are in `mcps/*.yaml`.")
    memories: tuple[MemoryResource, ...] = Field(
        default=(), description="Conversations that agents remember; others are in `memory/*.yaml`."
    )
    tasks: tuple[SharedTask, ...] = Field(default=(), description="Shared tasks; others are in `tasks/*.yaml`.")
