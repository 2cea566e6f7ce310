"""Writes `reference/workflow`: every key of a workflow file, of each kind of task, and of agents."""

from __future__ import annotations

from pydantic import BaseModel

from compozy.agent.attachment.config import AttachmentConfig
from compozy.agent.budget import BudgetConfig
from compozy.agent.config import ActionConfig, AgentConfig, AgentResource, CompactionConfig
from compozy.config.settings import ToolPermissions
from compozy.knowledge.config import KnowledgeBinding
from compozy.memory.config import (
    MemoryFlushing,
    MemoryPersistence,
    MemoryPrivacy,
    MemoryRecall,
    MemoryUse,
    WorkingMemory,
)
from compozy.model.fallback import Fallback, FallbackModel
from compozy.model.params import ModelParams
from compozy.schedule.config import ScheduleConfig
from compozy.schema.resource import SchemaResource
from compozy.task.kinds.memory import ClearConfig, FlushConfig
from compozy.task.kinds.signal import SignalConfig
from compozy.task.options import RetryPolicy, RunOptions, TaskBase, Transition
from compozy.task.registry import DEFAULT_KIND, KINDS
from compozy.tool.config import ApprovalRule, HttpRequest, OpenApiSource, ToolConfig, ToolLimits, ToolResource
from compozy.tool.mcp.config import ClientCredentials, McpConfig, McpResource, McpTools
from compozy.trigger.kinds.webhook import WebhookConfig, WebhookDedupe, WebhookEvent, WebhookSignal, WebhookVerification
from compozy.trigger.notification import OnFailure
from compozy.trigger.registry import TRIGGER_KINDS, TriggerBase
from compozy.workflow.config import WorkflowConfig, WorkflowOptions
from compozy.workflow.limits import ConcurrencyConfig, RateConfig
from tests.generated.pages.markdown import front, prose
from tests.generated.pages.models import key_line, keys_of, models_in

_HEAD = """
Every key of a workflow file, `workflows/*.yaml`. For an introduction, see
[workflow files](/docs/workflows/overview).

- Texts of tasks are [templates](/docs/workflows/templates) where this page says so; conditions are
  [CEL](/docs/workflows/conditions) or templates.
- A time is text such as `500ms`, `30s` or `1h30m`, or a number of seconds.
- An ID starts with a letter or `_` and consists of at most 128 letters, digits, `_` and `-`.
- Unknown keys are errors.
"""

_TASK_HEAD = """
## Every task

`type` sets the task type; the default is `basic`. Tasks of every type have these keys:

"""

_TRIGGER_HEAD = """
## triggers

A list of ways to start runs of the workflow, besides commands and requests to the API. `type` sets the kind.
"""

PARTS: dict[str, type[BaseModel]] = {
    "config of a workflow": WorkflowOptions,
    "config of a task": RunOptions,
    "retry_policy": RetryPolicy,
    "on_success and on_error": Transition,
    "agent": AgentConfig,
    "agents": AgentResource,
    "actions of an agent": ActionConfig,
    "attachments": AttachmentConfig,
    "compaction": CompactionConfig,
    "memory": MemoryUse,
    "flushing of a memory": MemoryFlushing,
    "working_memory of a memory": WorkingMemory,
    "recall of a memory": MemoryRecall,
    "persistence of a memory": MemoryPersistence,
    "privacy_policy of a memory": MemoryPrivacy,
    "clear_config of a memory task": ClearConfig,
    "flush_config of a memory task": FlushConfig,
    "budget": BudgetConfig,
    "concurrency": ConcurrencyConfig,
    "rate": RateConfig,
    "schedule and schedules": ScheduleConfig,
    "schemas": SchemaResource,
    "params": ModelParams,
    "fallback": Fallback,
    "models of a fallback": FallbackModel,
    "knowledge": KnowledgeBinding,
    "signal of a signal task": SignalConfig,
    "tools": ToolConfig,
    "tools of a workflow": ToolResource,
    "http of a tool": HttpRequest,
    "approve of a tool": ApprovalRule,
    "openapi of a tool": OpenApiSource,
    "limits of a tool": ToolLimits,
    "permissions of a tool": ToolPermissions,
    "mcps": McpConfig,
    "mcps of a workflow": McpResource,
    "tools of a server": McpTools,
    "auth of a server": ClientCredentials,
    "on_failure": OnFailure,
    "webhook": WebhookConfig,
    "verify of a webhook": WebhookVerification,
    "dedupe of a webhook": WebhookDedupe,
    "events of a webhook": WebhookEvent,
    "signal of a webhook": WebhookSignal,
}
"""Heading -> the model of parts of tasks and workflows; a test compares them with all models."""

_PURPOSES = {
    "config of a workflow": "Options for all tasks of the workflow; options of a task take precedence.",
    "config of a task": "The same options for one task.",
    "retry_policy": "Number of attempts and the pauses between them.",
    "on_success and on_error": "The next task; see "
    "[order and transitions](/docs/workflows/tasks#order-and-transitions).",
    "agent": "The model that answers the prompt, and its settings. Guide: [model providers](/docs/agents/providers).",
    "agents": "A list of agents of this workflow, with the keys of `agents/*.yaml`. Guide: "
    "[shared agents](/docs/agents/shared).",
    "actions of an agent": "Prompts with their schemas; `action` of a task selects one.",
    "attachments": "Files and URLs to send with a prompt. Guide: [attachments](/docs/agents/attachments).",
    "compaction": "When old turns of a long conversation are summarized. Guide: "
    "[long conversations](/docs/agents/tools#long-conversations).",
    "memory": "Conversations of an agent or a task: IDs of memories, or maps with these keys, which replace "
    "those of the memory. Guide: [remember a conversation](/docs/guides/remember).",
    "clear_config of a memory task": "The confirmation of `clear`.",
    "flush_config of a memory task": "How a conversation is flushed.",
    "flushing of a memory": "How a memory makes room for new messages.",
    "working_memory of a memory": "A text about each conversation that the model keeps. Guide: "
    "[working memory](/docs/guides/remember#working-memory).",
    "recall of a memory": "Older turns that are similar to the prompt. Guide: [recall](/docs/guides/remember#recall).",
    "persistence of a memory": "How long a conversation is kept.",
    "privacy_policy of a memory": "Texts and messages that are not stored.",
    "budget": "Limits of spending of a workflow, a task or an agent. Guide: "
    "[limit what a run may spend](/docs/guides/limit-costs).",
    "on_failure": "The receiver of a webhook for each failed run. Guide: "
    "[get notified](/docs/guides/notify-on-failure).",
    "schemas": "A list of JSON Schemas of this workflow. Guide: [shared schemas](/docs/agents/shared#schemas).",
    "concurrency": "How many runs are open at the same time: see [limits](/docs/workflows/limits).",
    "rate": "How many runs begin within a period: see [limits](/docs/workflows/limits#rate).",
    "schedule and schedules": "Times at which the workflow runs; `schedules` is a list. Guide: "
    "[schedule a workflow](/docs/guides/schedule).",
    "params": "Parameters of the model. Guide: [parameters](/docs/agents/providers#parameters).",
    "fallback": "The models to ask when a model fails. Guide: [failover](/docs/agents/providers#failover).",
    "models of a fallback": "A model: the ID of a provider, `provider:model`, or a map with these keys.",
    "knowledge": "A list; each entry is a [knowledge base](/docs/knowledge-bases/overview) and its search settings.",
    "signal of a signal task": "The signal to send.",
    "tools": "Tools of an agent or a task: IDs, or maps with these keys. Guide: [tools](/docs/agents/tools).",
    "tools of a workflow": "A list of tools of this workflow, with the keys of `tools/*.yaml`.",
    "http of a tool": "The request that an HTTP tool sends.",
    "approve of a tool": "The calls that a person has to approve, and the time limit of the answer.",
    "openapi of a tool": "An OpenAPI file whose operations become tools. Guide: "
    "[OpenAPI tools](/docs/agents/openapi-tools).",
    "limits of a tool": "Limits of one call of a tool.",
    "permissions of a tool": "Permissions of a TypeScript tool. Guide: "
    "[permissions](/docs/agents/typescript-tools#permissions).",
    "mcps": "MCP servers of an agent or a task: IDs, or maps with these keys. Guide: [MCP servers](/docs/agents/mcp).",
    "mcps of a workflow": "A list of MCP servers for all agents of this workflow, with the keys of `mcps/*.yaml`.",
    "tools of a server": "The tools of a server to offer, with their effects and approvals.",
    "auth of a server": "Authentication at a server with a token.",
    "webhook": "A path of the server for requests of another service. Guide: "
    "[receive webhooks](/docs/guides/receive-webhooks).",
    "verify of a webhook": "How a webhook recognizes its sender.",
    "dedupe of a webhook": "How a webhook recognizes a delivery that it received before.",
    "events of a webhook": "The requests that start a run, and its input.",
    "signal of a webhook": "The signal to send, and the execution that waits for it.",
}


def write_workflow() -> str:
    """Return the page."""
    page = front("Workflow files", "Every key of a workflow file and of each task type, with type, default and limits.")
    page += _HEAD + "\n## Top of the file\n\n" + _lines(WorkflowConfig)
    page += _TASK_HEAD + _lines(TaskBase)
    for name, kind in KINDS.items():
        default = " This is the default type." if name == DEFAULT_KIND else ""
        page += f"\n## type: {name}\n\n{prose(kind.model.__doc__ or '')}{default} Guide: [{name}]({kind.page}).\n\n"
        page += _lines(kind.model, without=TaskBase)
    page += _TRIGGER_HEAD
    for name, kind in TRIGGER_KINDS.items():
        page += f"\n### trigger: {name}\n\n{prose(kind.model.__doc__ or '')} Guide: [{name} triggers]({kind.page}).\n\n"
        page += _lines(kind.model)
    for title, model in PARTS.items():
        page += f"\n## {title}\n\n{_PURPOSES[title]}\n\n{_lines(model)}"
    return page


def _lines(model: type[BaseModel], *, without: type[BaseModel] | None = None) -> str:
    """Return the keys of a model, except those that are unchanged from `without`."""
    inherited = dict(keys_of(without)) if without else {}
    return "".join(
        key_line(model, key, info, link=_link(info.annotation))
        for key, info in keys_of(model)
        if key != "type" and not (key in inherited and inherited[key].description == info.description)
    )


def _link(annotation: object) -> str:
    """Return where the value of a key is described: among the parts or the types of task."""
    models = models_in(annotation)
    title = next((title for title, model in PARTS.items() if model in models), None)
    if title is not None:
        return f"#{title.replace(' ', '-')}"
    if TriggerBase in models:
        return "#triggers"
    return "#every-task" if TaskBase in models else ""
