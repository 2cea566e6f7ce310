"""Checks of the schedules of workflows: their names, and the input of their runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from compozy.config.nodes import MappingNode, ScalarNode, YamlPath, node_at, place_at, text_at, to_value, walk_scalars
from compozy.errors import Diagnostic, SourceLocation, TemplateSyntaxError
from compozy.nearest import suggest
from compozy.project.outline import ProjectOutline, WorkflowOutline, map_items
from compozy.schema import apply_defaults, check_schema, validate_value
from compozy.template import compile as compile_template
from compozy.template import has_actions

_FIELDS = {
    "trigger": frozenset({"type", "id", "scheduled_at"}),
    "project": frozenset({"id", "name"}),
    "workflow": frozenset({"id"}),
}
"""Fields that templates of the input can read: no run exists yet."""


def check_schedules(project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with the schedules of every workflow."""
    for workflow in project.workflows:
        yield from _check_names(workflow)
        one = node_at(workflow.node, ("schedule",))
        if isinstance(one, MappingNode):
            yield from _check_input(workflow, one)
        for _, schedule in map_items(workflow.node, "schedules"):
            yield from _check_input(workflow, schedule)


def _check_names(workflow: WorkflowOutline) -> Iterator[Diagnostic]:
    places: defaultdict[str, list[SourceLocation]] = defaultdict(list)
    if (name := text_at(workflow.node, "schedule", "id")) != "":
        places[name].append(place_at(workflow.node, ("schedule", "id")))
    for _, schedule in map_items(workflow.node, "schedules"):
        if schedule.entry("id") is None:
            message = "a schedule in `schedules` needs an id"
            yield Diagnostic(location=schedule.place, message=message, hint="add `id: daily`", code="schedule")
        elif (name := text_at(schedule, "id")) != "":
            places[name].append(place_at(schedule, ("id",)))
    for name, found in places.items():
        for place in found if len(found) > 1 else ():
            others = ", ".join(str(other) for other in found if other != place)
            message = f"duplicate schedule id {name!r}, also in {others}"
            yield Diagnostic(location=place, message=message, code="duplicate_id")


def _check_input(workflow: WorkflowOutline, schedule: MappingNode) -> Iterator[Diagnostic]:
    found = node_at(schedule, ("input",))
    if found is not None and not isinstance(found, MappingNode):
        return
    scalars = [] if found is None else [scalar for _, scalar in walk_scalars(found)]
    templates = [scalar for scalar in scalars if isinstance(scalar.value, str) and has_actions(scalar.value)]
    for scalar in templates:
        yield from _check_template(scalar)
    if not templates:
        yield from _check_value(workflow, schedule, found)


def _check_template(scalar: ScalarNode) -> Iterator[Diagnostic]:
    try:
        template = compile_template(scalar.text, name="input", dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        place = error.location or scalar.place
        yield Diagnostic(location=place, message=error.message, hint=error.hint, code=error.code)
        return
    for reference in template.references:
        root, *rest = reference.path
        place = reference.location or scalar.place
        if root not in _FIELDS:
            shown = ", ".join(f".{name}" for name in _FIELDS)
            message = f"the input of a schedule cannot read .{root}, because no run exists yet"
            yield Diagnostic(location=place, message=message, hint=f"it can read {shown}", code="reference")
        elif rest and rest[0] not in _FIELDS[root]:
            names = sorted(_FIELDS[root])
            hint = suggest(rest[0], names) or f"it has {', '.join(names)}"
            message = f".{root} has no {rest[0]!r} in the input of a schedule"
            yield Diagnostic(location=place, message=message, hint=hint, code="reference")


def _check_value(workflow: WorkflowOutline, schedule: MappingNode, found: MappingNode | None) -> Iterator[Diagnostic]:
    """Compare an input without templates with the schema of the workflow."""
    schema = _input_schema(workflow)
    if schema is None or check_schema(schema):
        return
    value = apply_defaults(schema, {} if found is None else to_value(found))
    path: YamlPath = ("input",) if found is not None else ()
    for name, message in validate_value(schema, value):
        where = f"input {name}" if name else "input"
        text = f"{where} of this schedule does not match the schema of the workflow: {message}"
        yield Diagnostic(location=place_at(schedule, path), message=text, code="schema")


def _input_schema(workflow: WorkflowOutline) -> dict[str, object] | None:
    for path in (("input",), ("config", "input")):
        found = node_at(workflow.node, path)
        if isinstance(found, MappingNode):
            return dict(to_value(found))
    return None
