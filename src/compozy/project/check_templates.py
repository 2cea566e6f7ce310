"""Checks of templates: their syntax, and that what they read can be there when they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from compozy.config.nearest import suggest
from compozy.config.nodes import MappingNode, NodePath, ScalarNode, node_at, to_value, walk_scalars
from compozy.errors import Fault, Place, TemplateSyntaxError
from compozy.project.outline import ProjectOutline, TaskOutline, WorkflowOutline
from compozy.schema import is_closed, listed_keys
from compozy.template import Reference, has_actions
from compozy.template import compile as compile_template

ROOTS = ("input", "tasks", "workflow", "project", "env")
TASK_FIELDS = ("output", "status", "input", "error", "id")
TEXT_FIELDS = ("text", "response", "sources")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scope:
    """What a template can read: the tasks of the list before `position` have run."""

    workflow: WorkflowOutline
    position: int
    input_schema: Any


def check_templates(project: ProjectOutline) -> Iterator[Fault]:
    """Yield what is wrong with the templates of every workflow."""
    for workflow in project.workflows:
        schema = _input_schema(workflow)
        for task in workflow.tasks:
            scope = _Scope(workflow=workflow, position=task.index, input_schema=schema)
            for key in (("prompt",), ("agent", "instructions"), ("with",)):
                yield from _check_below(scope, (*task.path, *key))
        scope = _Scope(workflow=workflow, position=_end(workflow), input_schema=schema)
        for key in ("output", "outputs"):
            yield from _check_below(scope, (key,))


def _input_schema(workflow: WorkflowOutline) -> Any:
    for path in (("input",), ("config", "input")):
        found = node_at(workflow.node, path)
        if isinstance(found, MappingNode):
            return to_value(found)
    return None


def _end(workflow: WorkflowOutline) -> int:
    return 1 + max((task.index for task in workflow.tasks), default=0)


def _check_below(scope: _Scope, path: NodePath) -> Iterator[Fault]:
    found = node_at(scope.workflow.node, path)
    for below, scalar in walk_scalars(found) if found is not None else ():
        if isinstance(scalar.value, str) and has_actions(scalar.value):
            yield from _check_text(scope, scalar, ".".join(map(str, (*path, *below))))


def _check_text(scope: _Scope, scalar: ScalarNode, name: str) -> Iterator[Fault]:
    try:
        template = compile_template(scalar.text, name=name, dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        place = error.place or scalar.place
        yield Fault(place=place, message=error.message, hint=error.hint, code=error.code)
        return
    for reference in template.references:
        message, hint = _check_reference(scope, reference.path)
        if message:
            yield Fault(place=_place(reference, scalar), message=message, hint=hint, code="reference")


def _place(reference: Reference, scalar: ScalarNode) -> Place:
    return reference.place or scalar.place


_Words = tuple[str, str]
_FINE: _Words = ("", "")


def _check_reference(scope: _Scope, path: tuple[str, ...]) -> _Words:
    """Return message and hint for what is wrong with the path that a template reads."""
    root, *rest = path
    if root not in ROOTS:
        known = ", ".join(f".{each}" for each in ROOTS)
        return f"a template cannot read .{root}", suggest(root, ROOTS) or f"it can read {known}"
    check = _CHECKS.get(root)
    return check(scope, rest) if check and rest else _FINE


def _check_input_path(scope: _Scope, rest: list[str]) -> _Words:
    keys = listed_keys(scope.input_schema)
    if keys is None or rest[0] in keys or not is_closed(scope.input_schema):
        return _FINE
    return f"the input has no {rest[0]!r}", suggest(rest[0], keys) or _list_of("its keys are", keys)


def _check_tasks_path(scope: _Scope, rest: list[str]) -> _Words:
    task_id, *fields = rest
    by_id = {task.id: task for task in reversed(scope.workflow.tasks) if task.id}
    task = by_id.get(task_id)
    if task is None:
        earlier = [task.id for task in scope.workflow.tasks if task.id and task.index < scope.position]
        return f"there is no task {task_id!r}", suggest(task_id, by_id) or _list_of("the tasks before are", earlier)
    if task.index == scope.position:
        return f"task {task_id!r} cannot read its own result", ""
    if task.index > scope.position:
        return f"task {task_id!r} runs later", "move it up in the list"
    if fields and fields[0] not in TASK_FIELDS:
        hint = suggest(fields[0], TASK_FIELDS) or f"its result is `.tasks.{task_id}.output`"
        return f"a task has no {fields[0]!r}", hint
    return _check_output_path(task, fields[1]) if len(fields) > 1 and fields[0] == "output" else _FINE


def _check_output_path(task: TaskOutline, key: str) -> _Words:
    keys = _output_keys(task)
    if keys is None or key in keys:
        return _FINE
    return f"the output of task {task.id!r} has no {key!r}", suggest(key, keys) or _list_of("it has", keys)


def _output_keys(task: TaskOutline) -> frozenset[str] | None:
    """Return the keys that the task's output has, None when they are not known before it runs."""
    if task.node.entry("output") is not None:
        return listed_keys(task.output_schema)
    if task.has_prompt:
        return frozenset(TEXT_FIELDS)
    with_ = node_at(task.node, ("with",))
    return frozenset(entry.key for entry in with_.entries) if isinstance(with_, MappingNode) else None


def _list_of(words: str, keys: Any) -> str:
    names = sorted(keys)
    return f"{words} {', '.join(names)}" if names else ""


_CHECKS: dict[str, Callable[[_Scope, list[str]], _Words]] = {
    "input": _check_input_path,
    "tasks": _check_tasks_path,
}
