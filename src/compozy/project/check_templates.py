"""Checks of templates and expressions: their syntax, and that what they read can be there when they run.

What cannot be known before a run is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from compozy.config.nodes import MappingNode, ScalarNode, YamlPath, node_at, text_at, to_value, walk_scalars
from compozy.errors import Diagnostic, ExpressionSyntaxError, TemplateSyntaxError
from compozy.expression import check, check_condition
from compozy.expression import compile as compile_expression
from compozy.project.check_references import Frame, Reading, Words, check_reference
from compozy.project.flow import flows_of
from compozy.project.outline import ProjectOutline, TaskList, TaskOutline, WorkflowOutline
from compozy.task.registry import KINDS
from compozy.template import compile as compile_template
from compozy.template import has_actions

_RESULT = frozenset({"output", "children"})
_ERROR = frozenset({"error"})
_TRUTHS: frozenset[YamlPath] = frozenset({("condition",), ("filter",)})
_CEL_KEYS = frozenset({"condition", "filter"})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Text:
    """A key of a task whose texts are templates or expressions, and what can be read there besides."""

    path: YamlPath
    roots: frozenset[str] = frozenset()
    own: bool = False
    children: bool = False


def check_templates(project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with the templates and expressions of every workflow."""
    for workflow in project.workflows:
        binds_knowledge = project.binds_knowledge or workflow.node.entry("knowledge") is not None
        reading = Reading(workflow=workflow, input_schema=_input_schema(workflow), binds_knowledge=binds_knowledge)
        yield from _check_below(reading, ("env",))
        yield from _check_below(replace(reading, is_early=True), ("concurrency", "key"))
        yield from _check_list(reading, workflow.list)
        end = replace(reading, at_end=True)
        for key in ("output", "outputs"):
            yield from _check_below(end, (key,))
        yield from _check_below(replace(end, roots=_ERROR), ("config", "on_error", "with"))


def _input_schema(workflow: WorkflowOutline) -> Any:
    for path in (("input",), ("config", "input")):
        found = node_at(workflow.node, path)
        if isinstance(found, MappingNode):
            return to_value(found)
    return None


def _check_list(reading: Reading, tasks: TaskList) -> Iterator[Diagnostic]:
    members = {task.id: task for task in tasks.members() if task.id}
    for flow in flows_of(tasks, reading.workflow.node):
        for task in flow.tasks:
            frame = Frame(members=members, flow=flow, task=task)
            roots = reading.roots | (_ERROR if task.id in flow.after_failure else frozenset[str]())
            yield from _check_task(replace(reading, frames=(frame, *reading.frames), roots=roots), task)


def _check_task(reading: Reading, task: TaskOutline) -> Iterator[Diagnostic]:
    for text in _texts(task):
        children = task.below.members() if text.children and task.below is not None else ()
        inner = replace(
            reading,
            roots=reading.roots | text.roots,
            reads_own=text.own,
            children=frozenset(child.id for child in children),
        )
        yield from _check_below(inner, (*task.path, *text.path))
        if text.path in _TRUTHS and task.kind.condition != "routes":
            yield from _check_truth(task, text.path)
    if task.below is not None:
        yield from _check_list(replace(reading, roots=reading.roots | _roots_below(task)), task.below)


def _check_truth(task: TaskOutline, path: YamlPath) -> Iterator[Diagnostic]:
    """Refuse a condition that can never be true or false; syntax errors are reported elsewhere."""
    found = node_at(task.node, path)
    if not isinstance(found, ScalarNode) or not isinstance(found.value, str) or has_actions(found.value):
        return
    if check(found.text):
        return
    for problem in check_condition(found.text):
        message = f"this condition cannot be used: {problem.message}"
        yield Diagnostic(location=found.locate(problem.offset), message=message, hint=problem.hint, code="expression")


def _texts(task: TaskOutline) -> Iterator[_Text]:
    plain: list[tuple[str, ...]] = [("id",), ("condition",), ("with",), ("env",)]
    # A key in a task of another kind is a separate error; its template is checked all the same.
    for path in dict.fromkeys([*plain, *(path for kind in KINDS.values() for path in kind.texts)]):
        yield _Text(path=path, roots=_roots_at(task, path))
    yield _Text(path=("outputs",), roots=_RESULT | _roots_at(task, ("outputs",)), children=True)
    after = ("on_success", "with")
    yield _Text(path=after, roots=_roots_at(task, after), own=True)
    for path in (("on_error", "with"), ("config", "on_error", "with")):
        yield _Text(path=path, roots=_ERROR | _roots_at(task, path), own=True)


def _roots_at(task: TaskOutline, path: tuple[str, ...]) -> frozenset[str]:
    return _with_aliases(task, task.kind.roots.get(path, frozenset()))


def _roots_below(task: TaskOutline) -> frozenset[str]:
    return _with_aliases(task, task.kind.inside.roots if task.kind.inside is not None else frozenset())


def _with_aliases(task: TaskOutline, roots: frozenset[str]) -> frozenset[str]:
    """Return `roots` with the names that the task gives to them besides."""
    return roots | {text_at(task.node, key) for key, root in task.kind.aliases.items() if root in roots} - {""}


def _check_below(reading: Reading, path: YamlPath) -> Iterator[Diagnostic]:
    found = node_at(reading.workflow.node, path)
    for below, scalar in walk_scalars(found) if found is not None else ():
        if not isinstance(scalar.value, str):
            continue
        if has_actions(scalar.value):
            yield from _check_template(reading, scalar, ".".join(map(str, (*path, *below))))
        elif path[-1] in _CEL_KEYS and not below and scalar.text.strip():
            yield from _check_expression(reading, scalar)


def _check_template(reading: Reading, scalar: ScalarNode, name: str) -> Iterator[Diagnostic]:
    try:
        template = compile_template(scalar.text, name=name, dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        yield Diagnostic(
            location=error.location or scalar.place, message=error.message, hint=error.hint, code=error.code
        )
        return
    for reference in template.references:
        words = check_reference(reading, reference.path, is_optional=reference.optional)
        if words is not None:
            yield _fault(words, reference.location or scalar.place)


def _check_expression(reading: Reading, scalar: ScalarNode) -> Iterator[Diagnostic]:
    try:
        expression = compile_expression(scalar.text, locate=scalar.locate)
    except ExpressionSyntaxError as error:
        yield Diagnostic(
            location=error.location or scalar.place, message=error.message, hint=error.hint, code=error.code
        )
        return
    for reference in expression.references:
        words = check_reference(reading, reference.path, joined=reference.joined, is_cel=True)
        if words is not None and not reference.optional:
            yield _fault(words, scalar.locate(reference.offset))


def _fault(words: Words, place: Any) -> Diagnostic:
    return Diagnostic(location=place, message=words.message, hint=words.hint, code="reference")
