"""Writes `reference/workflow`: every key of a workflow file, of each kind of task, and of agents."""

from __future__ import annotations

from pydantic import BaseModel

from compozy.agent.config import ActionConfig, AgentConfig, AgentResource
from compozy.knowledge.config import KnowledgeBinding
from compozy.schema.resource import SchemaResource
from compozy.task.kinds.signal import SignalConfig
from compozy.task.options import RetryPolicy, RunOptions, TaskBase, Transition
from compozy.task.registry import DEFAULT_KIND, KINDS
from compozy.workflow.config import WorkflowConfig, WorkflowOptions
from tests.generated.pages.markdown import front, prose
from tests.generated.pages.models import key_line, keys_of, models_in

_HEAD = """
Every key of a workflow file, `workflows/*.yaml`. How the parts work together is told in
[workflow files](/docs/workflows/overview).

- Texts of tasks are [templates](/docs/workflows/templates) where this page says so; conditions are
  [CEL](/docs/workflows/conditions) or templates.
- A time is text such as `500ms`, `30s` or `1h30m`, or a number of seconds.
- An id begins with a letter or `_`, and has letters, digits, `_` and `-`, at most 128.
- A key that is not listed here is an error.
"""

_TASK_HEAD = """
## Every task

`type` names the kind of task, `basic` where it is left out. Whatever its kind, a task has:

"""

PARTS: dict[str, type[BaseModel]] = {
    "config of a workflow": WorkflowOptions,
    "config of a task": RunOptions,
    "retry_policy": RetryPolicy,
    "on_success and on_error": Transition,
    "agent": AgentConfig,
    "agents": AgentResource,
    "actions of an agent": ActionConfig,
    "schemas": SchemaResource,
    "knowledge": KnowledgeBinding,
    "signal of a signal task": SignalConfig,
}
"""Heading -> the model of what tasks and workflows hold; a test compares them with all models."""

_PURPOSES = {
    "config of a workflow": "Options of its tasks; what a task says itself counts before.",
    "config of a task": "The same options for one task.",
    "retry_policy": "How often a failed task is tried again, and after how long.",
    "on_success and on_error": "Which task follows; see [what follows what](/docs/workflows/tasks#what-follows-what).",
    "agent": "Which model answers the prompt, and how. Guide: [model providers](/docs/agents/providers).",
    "agents": "A list of agents of this workflow, with the keys of `agents/*.yaml`. Guide: "
    "[shared agents](/docs/agents/shared).",
    "actions of an agent": "Prompts with their schemas; `action` of a task names one.",
    "schemas": "A list of JSON Schemas of this workflow. Guide: [shared schemas](/docs/agents/shared#schemas).",
    "knowledge": "A list; each entry is a [knowledge base](/docs/knowledge-bases/overview), and how it is asked.",
    "signal of a signal task": "What is sent.",
}


def write_workflow() -> str:
    """Return the page."""
    page = front(
        "Workflow files", "Every key of a workflow file and of each kind of task, with type, default and limits."
    )
    page += _HEAD + "\n## Top of the file\n\n" + _lines(WorkflowConfig)
    page += _TASK_HEAD + _lines(TaskBase)
    for name, kind in KINDS.items():
        default = " A task without a `type` is of this kind." if name == DEFAULT_KIND else ""
        page += f"\n## type: {name}\n\n{prose(kind.model.__doc__ or '')}{default} Guide: [{name}]({kind.page}).\n\n"
        page += _lines(kind.model, without=TaskBase)
    for title, model in PARTS.items():
        page += f"\n## {title}\n\n{_PURPOSES[title]}\n\n{_lines(model)}"
    return page


def _lines(model: type[BaseModel], *, without: type[BaseModel] | None = None) -> str:
    """Return the keys of a model, those left out that it has from `without` unchanged."""
    inherited = dict(keys_of(without)) if without else {}
    return "".join(
        key_line(model, key, info, link=_link(info.annotation))
        for key, info in keys_of(model)
        if key != "type" and not (key in inherited and inherited[key].description == info.description)
    )


def _link(annotation: object) -> str:
    """Return where the value of a key is described: among the parts, or among the kinds of task."""
    models = models_in(annotation)
    title = next((title for title, model in PARTS.items() if model in models), None)
    if title is not None:
        return f"#{title.replace(' ', '-')}"
    return "#every-task" if TaskBase in models else ""
