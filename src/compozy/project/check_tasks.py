"""Checks of tasks in their lists: ids, nesting, and what follows what."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.nodes import node_at, place_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.project.flow import Flow, Link, flows_of
from compozy.project.outline import TaskList, TaskOutline, WorkflowOutline, id_place
from compozy.template import has_actions

_LONGEST_CIRCLE = 8


def check_tasks(workflow: WorkflowOutline, max_nesting_depth: int) -> Iterator[Diagnostic]:
    """Yield what is wrong with the ids of tasks, how deep they are nested, and what follows them."""
    yield from _check_list(workflow, workflow.list, max_nesting_depth, depth=1)


def _check_list(workflow: WorkflowOutline, tasks: TaskList, deepest: int, *, depth: int) -> Iterator[Diagnostic]:
    if depth > deepest:
        place = id_place(tasks.tasks[0].node) if tasks.tasks else workflow.node.place
        message = f"tasks are nested deeper than {deepest}"
        hint = "raise `limits.max_nesting_depth`, or move a part of it into a separate list"
        yield Diagnostic(location=place, message=message, hint=hint, code="nesting")
        return
    yield from _check_ids(tasks)
    yield from _check_routers(tasks)
    for flow in flows_of(tasks, workflow.node):
        yield from _check_flow(workflow, tasks, flow)
    for task in tasks.members():
        if task.below is not None:
            yield from _check_list(workflow, task.below, deepest, depth=depth + 1)


def _check_ids(tasks: TaskList) -> Iterator[Diagnostic]:
    first: dict[str, SourceLocation] = {}
    for task in tasks.members():
        place = id_place(task.node)
        if task.id and task.id in first:
            message = f"duplicate task id {task.id!r}, first in line {first[task.id].line}"
            yield Diagnostic(location=place, message=message, code="duplicate_id")
        elif has_actions(task.id) and not (tasks.is_per_item and task is tasks.tasks[0]):
            hint = "only the `task` of a collection can have one, such as `item-{{ .index }}`"
            yield Diagnostic(
                location=place, message="the id of this task cannot be a template", hint=hint, code="value"
            )
        first.setdefault(task.id, place)


def _check_routers(tasks: TaskList) -> Iterator[Diagnostic]:
    """Refuse routers where nothing follows a task."""
    for task in tasks.tasks if tasks.kind is not None and not tasks.is_sequence else ():
        if task.kind.routes and tasks.kind is not None:
            message = f"{task.kind.name} {task.id!r} leads nowhere: nothing follows the tasks of a {tasks.kind.name}"
            place = place_at(task.node, ("type",))
            yield Diagnostic(location=place, message=message, hint="put it into a `composite`", code="transition")


def _check_flow(workflow: WorkflowOutline, tasks: TaskList, flow: Flow) -> Iterator[Diagnostic]:
    told: set[tuple[str | int, ...]] = set()
    for link in flow.unknown():
        # An error of the workflow's own settings is reported once, not for each task.
        if link.path not in told:
            told.add(link.path)
            yield _unknown_target(workflow, tasks, flow, link)
    if flow.unknown() or not flow.has_ids:
        return
    for link, ids in flow.circles():
        yield _circle(workflow, flow, link, ids)
    yield from _strays(flow)


def _strays(flow: Flow) -> Iterator[Diagnostic]:
    """Report the first unreachable task; the others, mostly for the same reason, in its message."""
    first, *others = flow.stray() or [None]
    if first is None:
        return
    more = f", nor to {', '.join(repr(task.id) for task in others if task is not None)}" if others else ""
    message = f"nothing leads to task {first.id!r}{more}"
    yield Diagnostic(location=id_place(first.node), message=message, hint=_way_to(flow, first), code="transition")


def _unknown_target(workflow: WorkflowOutline, tasks: TaskList, flow: Flow, link: Link) -> Diagnostic:
    place = place_at(workflow.node, link.path)
    siblings = {task.id for task in tasks.members()}
    elsewhere = {task.id for task in workflow.list.walk()}
    if link.target in siblings:
        message = f"task {link.target!r} cannot follow task {link.source.id!r}: they run at the same time"
        hint = "put the two into a `composite`"
        return Diagnostic(location=place, message=message, hint=hint, code="transition")
    message = f"unknown task {link.target!r}" + (" in this list" if link.target in elsewhere else "")
    others = [task_id for task_id in flow.by_id if task_id and task_id != link.source.id]
    known = f"the tasks are {', '.join(others)}" if others else "leave it out, and nothing follows"
    known = "a transition leads only to tasks of the same list" if link.target in elsewhere else known
    hint = known if link.target in elsewhere else suggest(link.target, others) or known
    return Diagnostic(location=place, message=message, hint=hint, code="transition")


def _circle(workflow: WorkflowOutline, flow: Flow, link: Link, ids: list[str]) -> Diagnostic:
    way = ids if len(ids) <= _LONGEST_CIRCLE else [*ids[: _LONGEST_CIRCLE - 2], "...", ids[-1]]
    message = f"the tasks go in a circle: {' → '.join(way)}"
    written = link.path or (*flow.by_id[link.target].path, "id")
    place = place_at(workflow.node, written)
    return Diagnostic(
        location=place, message=message, hint="a task runs once; a `collection` repeats one", code="transition"
    )


def _is_in_route(flow: Flow, task: TaskOutline) -> bool:
    return any(task in above.routed for above in flow.tasks)


def _way_to(flow: Flow, task: TaskOutline) -> str:
    before = flow.tasks[flow.tasks.index(task) - 1]
    if not flow.is_named:
        return f"task {before.id!r} is `final`" if node_at(before.node, ("final",)) is not None else ""
    words = "as soon as one task names what follows, each has to"
    is_plain = not before.kind.routes and not _is_in_route(flow, before)
    return words + (f": in task {before.id!r} add `on_success: {{next: {task.id}}}`" if is_plain else "")
