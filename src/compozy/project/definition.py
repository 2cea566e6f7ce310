"""The definition that a run keeps of its project, so that it continues unchanged when the files change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compozy.agent.budget import strictest
from compozy.agent.config import AgentConfig
from compozy.config.nodes import ScalarNode, YamlPath, walk_scalars
from compozy.durable.format import NOTIFIES
from compozy.knowledge.config import KnowledgeBinding
from compozy.model.config import ProviderConfig
from compozy.model.fallback import Fallback
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.project.masks import mask_address
from compozy.schema.json_kinds import is_map
from compozy.task.options import TaskBase
from compozy.task.registry import kind_of, read_tasks
from compozy.task.walk import walk_tasks
from compozy.template import has_actions
from compozy.tool.config import ToolConfig
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.places import compress_places, path_key

_SECRET_KEYS = {"api_key", "responses"}
# A run does not depend on what may start others.
_STARTERS = {"triggers", "schedule", "schedules"}
# The receiver of notifications comes from the files when one is sent: an imported run sends nothing elsewhere.
_EXCLUDED = {*_STARTERS, NOTIFIES}
_CEL_KEYS = frozenset({"condition", "filter"})


def snapshot(project: LoadedProject, workflow_id: str) -> dict[str, Any]:
    """Return the workflow as JSON, as it is run.

    Returns:
        `workflow`, which `WorkflowConfig.model_validate` reads back; `providers`, those that it can reach, without keys
        and scripted answers; `source`, the file and where the characters of its templates stand, see
        `compozy.workflow.places`.

    Raises:
        NotFoundError: the project has no such workflow.
    """
    workflow = project.workflow(workflow_id)
    return {
        "workflow": _as_run(project, workflow.config),
        "providers": [_public_parts(provider) for provider in _reachable(project, workflow.config)],
        "source": {"file": workflow.node.place.file, **_template_places(workflow)},
        **({NOTIFIES: True} if workflow.config.on_failure or project.on_failure else {}),
    }


def _as_run(project: LoadedProject, workflow: WorkflowConfig) -> dict[str, Any]:
    """Return the workflow as JSON, with what the project says about its tasks.

    A run keeps the options of the project under its own, and the provider and the knowledge that were the defaults when
    it began.
    """
    document: dict[str, Any] = workflow.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_EXCLUDED)
    options = project.config.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    if options:
        document["config"] = _merged(options, document.get("config") or {})
    if budget := strictest(workflow.budget, *(each for each in project.budget if each.per == "run")):
        document["budget"] = budget.model_dump(mode="json", exclude_none=True)
    knowledge = document.pop("knowledge", None) or [_as_json(binding) for binding in project.knowledge.bindings]
    _Defaults(project, options, knowledge).fill_in(document, workflow.tasks)
    return document


@dataclass(frozen=True)
class _Defaults:
    """Writes down the provider and the knowledge of agents that name none themselves."""

    project: LoadedProject
    options: dict[str, Any]
    knowledge: list[dict[str, Any]]

    def fill_in(self, document: dict[str, Any], tasks: Sequence[TaskBase]) -> None:
        """Complete the agents of `tasks`, which are those of `document` as JSON, and those that their tools call."""
        for planned in walk_tasks(tasks):
            if kind_of(planned.task).asks_model(planned.task):
                task = _at(document, planned.yaml_path)
                if agent := self._completed(task.get("agent") or {}):
                    task["agent"] = agent
                self._fill_in_calls(task)
            if called := kind_of(planned.task).calls:
                self._fill_in_workflow(_at(document, planned.yaml_path)[called])

    def _fill_in_workflow(self, document: dict[str, Any]) -> None:
        """Complete a workflow that is called, as if it ran by itself."""
        if self.options:
            document["config"] = _merged(self.options, document.get("config") or {})
        own = document.pop("knowledge", None) or [_as_json(binding) for binding in self.project.knowledge.bindings]
        replace(self, knowledge=own).fill_in(document, read_tasks(document["tasks"]))

    def _completed(self, agent: dict[str, Any]) -> dict[str, Any]:
        agent = dict(agent)
        if self.knowledge and agent.get("knowledge") is None:
            agent["knowledge"] = self.knowledge
        providers = self.project.providers
        if providers and not agent.get("llm"):
            agent["llm"] = providers[0].id
        provider = next((each for each in providers if each.id == agent.get("llm")), None)
        if provider is not None and provider.fallback is not None and agent.get("fallback") is None:
            agent["fallback"] = provider.fallback.model_dump(mode="json", exclude_none=True)
        self._fill_in_calls(agent)
        return agent

    def _fill_in_calls(self, holder: dict[str, Any]) -> None:
        """Complete what the tools of an agent or a task call."""
        for tool in holder.get("tools") or ():
            if tool.get("agents"):
                tool["agents"] = [self._completed(agent) for agent in tool["agents"]]
            if tool.get("tasks"):
                self.fill_in(tool, read_tasks(tool["tasks"]))
            for workflow in tool.get("workflows") or ():
                self._fill_in_workflow(workflow)


def _merged(far: dict[str, Any], near: dict[str, Any]) -> dict[str, Any]:
    """Return two maps of options as one, setting by setting; `near` counts."""
    merged = {**far, **{key: value for key, value in near.items() if value is not None}}
    for key in far.keys() & near.keys():
        if is_map(far[key]) and is_map(near[key]):
            merged[key] = _merged(far[key], near[key])
    return merged


def _at(document: Any, path: YamlPath) -> Any:
    for part in path:
        document = document[part]
    return document


def _as_json(binding: KnowledgeBinding) -> dict[str, Any]:
    return binding.model_dump(mode="json", exclude_unset=True)


def _public_parts(provider: ProviderConfig) -> dict[str, Any]:
    parts = provider.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_SECRET_KEYS)
    if provider.base_url:
        parts["base_url"] = mask_address(provider.base_url)
    return parts


def _reachable(project: LoadedProject, workflow: WorkflowConfig) -> list[ProviderConfig]:
    by_id = {provider.id: provider for provider in project.providers}
    default = project.providers[0].id if project.providers else None
    waiting: list[str | None] = []
    for agent in _asked_agents(workflow.tasks):
        waiting.append(agent.llm or default)
        waiting += [*_fallback_providers(agent.fallback), *_summary_providers(agent)]
    found: dict[str, ProviderConfig] = {}
    while waiting:
        provider_id = waiting.pop(0)
        if provider_id in by_id and provider_id not in found:
            provider = found[provider_id] = by_id[provider_id]
            waiting += [provider.missing_key_fallback, *_fallback_providers(provider.fallback)]
    return list(found.values())


def _asked_agents(tasks: Sequence[TaskBase]) -> Iterator[AgentConfig]:
    """Yield the agents of tasks, and those that their tools call."""
    for planned in walk_tasks(tasks):
        yield from agents_of(planned.task)


def agents_of(task: TaskBase) -> Iterator[AgentConfig]:
    """Yield the agent of a task, and those that its tools and its workflow ask; not those of tasks inside it."""
    if kind_of(task).asks_model(task):
        agent: AgentConfig = getattr(task, "agent", None) or AgentConfig()
        yield agent
        yield from _called_agents([*(agent.tools or ()), *(getattr(task, "tools", None) or ())])
    if called := kind_of(task).calls:
        yield from _asked_agents(read_tasks(getattr(task, called)["tasks"]))


def _called_agents(tools: Sequence[ToolConfig]) -> Iterator[AgentConfig]:
    for tool in tools:
        yield from _asked_agents(read_tasks(tool.tasks))
        for workflow in tool.workflows:
            yield from _asked_agents(read_tasks(workflow["tasks"]))
        for agent in map(AgentConfig.model_validate, tool.agents):
            yield agent
            yield from _called_agents(agent.tools or ())


def _summary_providers(agent: AgentConfig) -> list[str | None]:
    named = [use.flushing.llm for use in agent.memory or ()]
    named += [agent.compaction.llm] if agent.compaction is not None else []
    return [llm for llm in named if llm is not None]


def _fallback_providers(fallback: Fallback | None) -> list[str | None]:
    return [model.llm for model in fallback.models] if fallback is not None else []


def _template_places(workflow: LoadedWorkflow) -> dict[str, Any]:
    """Return where the characters of templates stand, and the files of those that stand in a shared resource."""
    places: dict[str, Any] = {}
    files: dict[str, str] = {}
    for path, scalar in _texts(workflow):
        if isinstance(scalar.value, str) and (has_actions(scalar.value) or path[-1] in _CEL_KEYS):
            places[path_key(path)] = compress_places(len(scalar.value), scalar.locate)
            if scalar.place.file != workflow.node.place.file:
                files[path_key(path)] = scalar.place.file
    return {"places": places, **({"files": files} if files else {})}


def _texts(workflow: LoadedWorkflow) -> Iterator[tuple[YamlPath, ScalarNode]]:
    for root in ("tasks", "env", "config"):
        found = workflow.node.entry(root)
        yield from walk_scalars(found.value, (root,)) if found is not None else ()
    output = workflow.node.entry("output") or workflow.node.entry("outputs")
    yield from walk_scalars(output.value, ("output",)) if output is not None else ()
