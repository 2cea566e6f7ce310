"""Checks of the conditions, templates and JSON Schemas of triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, YamlPath, child, node_at, walk_scalars
from compozy.errors import Diagnostic, ExpressionSyntaxError, SourceLocation, TemplateSyntaxError
from compozy.expression import check_condition
from compozy.expression import compile as compile_expression
from compozy.nearest import suggest
from compozy.project.check_workflows import check_schema_at
from compozy.template import compile as compile_template
from compozy.template import has_actions
from compozy.trigger.registry import TriggerKind


def check_trigger_texts(kind: TriggerKind, trigger: MappingNode) -> Iterator[Diagnostic]:
    """Yield what is wrong with the texts and schemas of a trigger."""
    for path in _paths_of(trigger, kind.schemas):
        yield from check_schema_at(trigger, path)
    for path in _paths_of(trigger, kind.conditions):
        found = node_at(trigger, path)
        if isinstance(found, ScalarNode) and isinstance(found.value, str) and found.text.strip():
            yield from _check_condition(kind, found)
    for path in _paths_of(trigger, kind.templates):
        found = node_at(trigger, path)
        for below, scalar in walk_scalars(found) if found is not None else ():
            yield from _check_template(kind, scalar, ".".join(map(str, (*path, *below))))


def _paths_of(trigger: MappingNode, patterns: Iterable[YamlPath]) -> Iterator[YamlPath]:
    return (path for pattern in patterns for path in _paths(trigger, pattern))


def _paths(node: Node | None, pattern: YamlPath, before: YamlPath = ()) -> Iterator[YamlPath]:
    """Yield the paths that a pattern matches; `*` stands for each item of a list."""
    if not pattern:
        yield before
        return
    step, *rest = pattern
    if step == "*":
        items = node.items if isinstance(node, SequenceNode) else ()
        for index, item in enumerate(items):
            yield from _paths(item, tuple(rest), (*before, index))
    elif node is not None:
        yield from _paths(child(node, step), tuple(rest), (*before, step))


def _check_condition(kind: TriggerKind, scalar: ScalarNode) -> Iterator[Diagnostic]:
    try:
        expression = compile_expression(scalar.text, locate=scalar.locate)
    except ExpressionSyntaxError as error:
        yield Diagnostic(
            location=error.location or scalar.place, message=error.message, hint=error.hint, code=error.code
        )
        return
    for reference in expression.references:
        if reference.path[0] not in kind.roots:
            yield _unknown_root(kind, reference.path[0], scalar.locate(reference.offset), "an expression", "")
    for problem in check_condition(scalar.text):
        message = f"this condition cannot be used: {problem.message}"
        yield Diagnostic(location=scalar.locate(problem.offset), message=message, hint=problem.hint, code="expression")


def _check_template(kind: TriggerKind, scalar: ScalarNode, name: str) -> Iterator[Diagnostic]:
    if not isinstance(scalar.value, str) or not has_actions(scalar.value):
        return
    try:
        template = compile_template(scalar.text, name=name, dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        yield Diagnostic(
            location=error.location or scalar.place, message=error.message, hint=error.hint, code=error.code
        )
        return
    for reference in template.references:
        if reference.path[0] not in kind.roots:
            yield _unknown_root(kind, reference.path[0], reference.location or scalar.place, "a template", ".")


def _unknown_root(kind: TriggerKind, root: str, place: SourceLocation, what: str, dot: str) -> Diagnostic:
    known = ", ".join(f"{dot}{name}" for name in kind.roots)
    return Diagnostic(
        location=place,
        message=f"{what} of a {kind.noun} cannot read {dot}{root}",
        hint=suggest(root, kind.roots) or f"it can read {known}",
        code="reference",
    )
