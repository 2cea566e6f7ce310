"""Checks of the triggers of workflows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from compozy.config.nodes import MappingNode, node_at, place_at, text_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.project.check_trigger_texts import check_trigger_texts
from compozy.project.outline import ProjectOutline, WorkflowOutline, id_place, map_items
from compozy.trigger.registry import TRIGGER_KINDS, TriggerKind


def check_triggers(project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with triggers: names that are taken or reserved, their texts and JSON Schemas."""
    taken: defaultdict[tuple[str, str], list[SourceLocation]] = defaultdict(list)
    for workflow in project.workflows:
        for _, trigger in map_items(workflow.node, "triggers"):
            kind = TRIGGER_KINDS.get(text_at(trigger, "type"))
            if kind is None:
                continue
            yield from check_trigger_texts(kind, trigger)
            name, place = _name_of(kind, trigger, workflow)
            if name in kind.reserved:
                message = f"a {kind.noun} cannot have the name {name!r}, which is that of a {kind.noun} for runs"
                yield Diagnostic(location=place, message=message, hint=_hint(kind), code="trigger")
            if name:
                taken[kind.name, name].append(place)
    for (kind_name, name), places in taken.items():
        yield from _duplicates(TRIGGER_KINDS[kind_name], name, places)


def _duplicates(kind: TriggerKind, name: str, places: Sequence[SourceLocation]) -> Iterator[Diagnostic]:
    for place in places if len(places) > 1 else ():
        others = ", ".join(str(other) for other in places if other != place)
        message = f"duplicate {kind.noun} {name!r}, also in {others}"
        yield Diagnostic(location=place, message=message, hint=_hint(kind), code="duplicate_id")


def _name_of(kind: TriggerKind, trigger: MappingNode, workflow: WorkflowOutline) -> tuple[str, SourceLocation]:
    """Return the name of a trigger that has to be unique, "" for none, and its place."""
    if not kind.unique:
        return "", trigger.place
    if node_at(trigger, kind.unique) is not None:
        return text_at(trigger, *kind.unique), place_at(trigger, kind.unique)
    has_default = kind.is_named_by_workflow and workflow.id
    return (workflow.id, place_at(trigger, ("type",))) if has_default else ("", id_place(workflow.node))


def _hint(kind: TriggerKind) -> str:
    return f"write another `{'.'.join(str(part) for part in kind.unique)}`"
