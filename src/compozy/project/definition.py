"""What a run keeps of the project it was started with, so that it goes on as it began when the files change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compozy.config.nodes import NodePath, ScalarNode, node_at, walk_scalars
from compozy.model.config import ProviderConfig
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.project.masks import mask_address
from compozy.template import has_actions
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.places import compress_places, path_key

_SECRET_KEYS = {"api_key", "responses"}
_TEMPLATES: tuple[tuple[str, ...], ...] = (("prompt",), ("agent", "instructions"), ("with",))


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
        "workflow": _with_default_provider(project, workflow.config),
        "providers": [_public_parts(provider) for provider in _reachable(project, workflow.config)],
        "source": {"file": workflow.node.place.file, "places": _template_places(workflow)},
    }


def _with_default_provider(project: LoadedProject, workflow: WorkflowConfig) -> dict[str, Any]:
    """Return the workflow as JSON; a run keeps the provider that was the first one when it began."""
    document: dict[str, Any] = workflow.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for task in document["tasks"]:
        agent: dict[str, Any] = task.get("agent") or {}
        if "prompt" in task and project.providers and not agent.get("llm"):
            task["agent"] = {**agent, "llm": project.providers[0].id}
    return document


def _public_parts(provider: ProviderConfig) -> dict[str, Any]:
    parts = provider.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_SECRET_KEYS)
    if provider.base_url:
        parts["base_url"] = mask_address(provider.base_url)
    return parts


def _reachable(project: LoadedProject, workflow: WorkflowConfig) -> list[ProviderConfig]:
    by_id = {provider.id: provider for provider in project.providers}
    default = project.providers[0].id if project.providers else None
    waiting = [default]
    found: dict[str, ProviderConfig] = {}
    while waiting:
        provider_id = waiting.pop(0)
        if provider_id in by_id and provider_id not in found:
            found[provider_id] = by_id[provider_id]
            waiting.append(by_id[provider_id].fallback)
    return list(found.values())


def _template_places(workflow: LoadedWorkflow) -> dict[str, Any]:
    places: dict[str, Any] = {}
    for path, scalar in _templates(workflow):
        if isinstance(scalar.value, str) and has_actions(scalar.value):
            places[path_key(path)] = compress_places(len(scalar.value), scalar.locate)
    return places


def _templates(workflow: LoadedWorkflow) -> Iterator[tuple[NodePath, ScalarNode]]:
    roots: list[NodePath] = [
        ("tasks", index, *key) for index in range(len(workflow.config.tasks)) for key in _TEMPLATES
    ]
    for root in roots:
        found = node_at(workflow.node, root)
        yield from walk_scalars(found, root) if found is not None else ()
    output = workflow.node.entry("output") or workflow.node.entry("outputs")
    yield from walk_scalars(output.value, ("output",)) if output is not None else ()
