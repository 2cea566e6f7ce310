"""Checks of ids and references of workflows, and of the JSON Schemas in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from compozy.config.nodes import MappingNode, YamlPath, key_place_at, node_at, place_at, text_at, to_value
from compozy.errors import Diagnostic, SourceLocation
from compozy.project.check_models import check_models
from compozy.project.check_tasks import check_tasks
from compozy.project.check_tools import check_task_tools
from compozy.project.outline import ProjectOutline, ProviderOutline, TaskOutline, WorkflowOutline, id_place
from compozy.schema import check_schema
from compozy.schema.words import TYPES

# Pointers from the root of the workflow file, as the 2025 edition read them.
_OF_WORKFLOWS = tuple(
    f"$ref '#/{key}/" for key in ("triggers", "schemas", "tasks", "agents", "tools", "config", "input")
)
_OUTSIDE = "a `$ref` with `#` stays inside its schema; write the other schema under `schemas` and name its ID"


def check_workflows(project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with ids, transitions, providers and schemas of the workflows."""
    yield from _check_workflow_ids(project.workflows)
    for workflow in project.workflows:
        yield from check_tasks(workflow, project.max_nesting_depth)
        yield from _check_input(workflow)
        for task in workflow.list.walk():
            yield from _check_agent(task)
            yield from _check_provider(task, project.providers) if project.knows_providers else ()
            yield from _check_schemas(workflow, task)
            yield from check_task_tools(task, project.root) if task.kind.takes_prompt else ()


def _check_workflow_ids(workflows: tuple[WorkflowOutline, ...]) -> Iterator[Diagnostic]:
    places: defaultdict[str, list[SourceLocation]] = defaultdict(list)
    for workflow in workflows:
        if workflow.id:
            places[workflow.id].append(id_place(workflow.node))
    for workflow_id, found in places.items():
        for place in found if len(found) > 1 else ():
            others = ", ".join(str(other) for other in found if other != place)
            message = f"duplicate workflow id {workflow_id!r}, also in {others}"
            yield Diagnostic(location=place, message=message, code="duplicate_id")


def _check_input(workflow: WorkflowOutline) -> Iterator[Diagnostic]:
    paths: list[YamlPath] = [("input",), ("config", "input")]
    written = [path for path in paths if isinstance(node_at(workflow.node, path), MappingNode)]
    if len(written) > 1:
        place = key_place_at(workflow.node, ("config", "input"))
        message = "'config.input' and 'input' mean the same"
        yield Diagnostic(location=place, message=message, hint="write one of them", code="duplicate_key")
    for path in written:
        yield from check_schema_at(workflow.node, path)
        yield from _check_is_map(workflow.node, path, "the input is a map")


def _check_schemas(workflow: WorkflowOutline, task: TaskOutline) -> Iterator[Diagnostic]:
    for key in ("input", "output", *task.kind.schemas):
        yield from check_schema_at(workflow.node, (*task.path, key))
    yield from _check_is_map(workflow.node, (*task.path, "input"), "the input of a task is its `with`, a map")


def _check_is_map(node: MappingNode, path: YamlPath, words: str) -> Iterator[Diagnostic]:
    kind = text_at(node, *path, "type")
    if kind in TYPES and kind != "object":
        place = place_at(node, (*path, "type"))
        yield Diagnostic(location=place, message=f"{words}: expected type object, got {kind}", code="schema")


def _check_agent(task: TaskOutline) -> Iterator[Diagnostic]:
    if not task.kind.takes_prompt:
        return
    if node_at(task.node, ("agent",)) is None:
        if task.node.entry("action") is not None:
            message = f"task {task.id!r} has an action, but no agent"
            place = key_place_at(task.node, ("action",))
            yield Diagnostic(location=place, message=message, hint="add an `agent`, whose action it is", code="task")
    elif not task.has_prompt:
        message = f"task {task.id!r} has an agent, but no prompt"
        place = key_place_at(task.node, ("agent",))
        yield Diagnostic(
            location=place, message=message, hint="add a `prompt`, or an `action` of the agent", code="task"
        )


def _check_provider(task: TaskOutline, providers: tuple[ProviderOutline, ...]) -> Iterator[Diagnostic]:
    yield from check_models(task.node, ("agent",), providers)
    if task.has_prompt and not any(provider.id for provider in providers) and not text_at(task.node, "agent", "llm"):
        key = "prompt" if task.node.entry("prompt") is not None else "action"
        message = f"task {task.id!r} has a prompt, but the project has no model provider"
        place = key_place_at(task.node, (key,))
        yield Diagnostic(location=place, message=message, hint="add one under `llm.providers`", code="reference")


def check_schema_at(node: MappingNode, path: YamlPath) -> Iterator[Diagnostic]:
    """Yield what is wrong with the JSON Schema at `path`, if a map is there."""
    found = node_at(node, path)
    if not isinstance(found, MappingNode):
        return
    for problem in check_schema(to_value(found)):
        message = f"{path[-1]} schema: {problem.message}"
        place = (key_place_at if problem.at_key else place_at)(found, problem.path)
        hint = _OUTSIDE if problem.message.startswith(_OF_WORKFLOWS) else ""
        yield Diagnostic(location=place, message=message, hint=hint, code="schema")
