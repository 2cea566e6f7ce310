"""Which task follows; pure, so that a replay comes to the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compozy.config.nodes import YamlPath
from compozy.database.status import Status
from compozy.task.kind import Task
from compozy.task.kinds.router import ROUTE_TAKEN
from compozy.task.options import Transition
from compozy.task.registry import kind_of


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """A task of a list or of a route, with its path in the workflow file."""

    task: Task
    yaml_path: YamlPath


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tasks of a workflow or of a composite, and how they follow one another.

    Attributes:
        tasks: by id, in the order of the list; the tasks in the routes of a router come after it.
        order: ids in the order of the list where no task names what follows, without those that only a failure leads
            to; None where the tasks name it.
        on_error: what follows a failed task that says nothing itself.
        handlers: ids of the tasks that come after such a failure; what fails among them ends the list.
    """

    tasks: Mapping[str, PlannedTask]
    order: tuple[str, ...] | None
    on_error: Transition | None
    handlers: frozenset[str]

    @property
    def first(self) -> str:
        """Return the id of the task that begins."""
        return next(iter(self.tasks))


@dataclass(frozen=True, kw_only=True)
class Following:
    """The next task: `task_id`, None for the end; `with_` for its input; whether a failure ends the list."""

    task_id: str | None
    with_: Mapping[str, Any] | None = None
    with_path: YamlPath = ()
    is_failure: bool = False


def plan_of(tasks: Sequence[Task], yaml_path: YamlPath, *, on_error: Transition | None = None) -> Plan:
    """Return the plan of the list `tasks`, which is at `yaml_path` in its file.

    A list in which no task names `on_success`, `on_error` or routes runs in order.
    """
    planned_tasks = {planned.task.id: planned for planned in _planned(tasks, yaml_path)}
    named = any(planned.task.on_success or planned.task.on_error for planned in planned_tasks.values())
    named = bool(named) or any(kind_of(planned.task).routes for planned in planned_tasks.values())
    handlers = frozenset(_reachable(planned_tasks, on_error.next)) if on_error and on_error.next else frozenset[str]()
    aside = {*handlers, *(kind_of(planned.task).timeout_target(planned.task) for planned in planned_tasks.values())}
    return Plan(
        tasks=planned_tasks,
        order=None if named else tuple(task_id for task_id in planned_tasks if task_id not in aside),
        on_error=on_error,
        handlers=handlers,
    )


def following(plan: Plan, task_id: str, status: Status, output: Any) -> Following:
    """Return what comes after the task `task_id` that ended with `status` and `output`."""
    planned = plan.tasks[task_id]
    if status is Status.SUCCESS:
        return _after_success(plan, planned, output)
    task = planned.task
    after_timeout = kind_of(task).timeout_target(task)
    if status is Status.TIMED_OUT and after_timeout is not None:
        return Following(task_id=after_timeout)
    transition, yaml_path = error_transition(plan, planned)
    if transition is None or transition.next is None or status is Status.CANCELED:
        return Following(task_id=None, is_failure=True)
    return Following(task_id=transition.next, with_=transition.with_, with_path=(*yaml_path, "with"))


def error_transition(plan: Plan, planned: PlannedTask) -> tuple[Transition | None, YamlPath]:
    """Return what follows a failure of `planned`, the nearest setting, and where it is written."""
    task = planned.task
    if task.on_error is not None:
        return task.on_error, (*planned.yaml_path, "on_error")
    if task.config is not None and task.config.on_error is not None:
        return task.config.on_error, (*planned.yaml_path, "config", "on_error")
    inherited = plan.on_error if task.id not in plan.handlers else None
    return inherited, ("config", "on_error")


def targets_of(plan: Plan, task_id: str) -> list[str]:
    """Return the ids of all tasks that may follow `task_id`, whether they exist or not."""
    planned = plan.tasks[task_id]
    return [found for found in (*_successes(plan, planned), *_failures(plan, planned)) if found is not None]


def route_targets(task: Task) -> dict[str, str]:
    """Return the ID of the task that follows `task` by route, {} for a task without routes."""
    routes = kind_of(task).routes_of(task)
    return {route: target if isinstance(target, str) else target.id for route, target in routes.items()}


def planned_inside(planned: PlannedTask) -> Iterator[PlannedTask]:
    """Yield the tasks inside a task, without those in its routes, which follow it."""
    for task, path in kind_of(planned.task).tasks_inside(planned.task):
        yield PlannedTask(task=task, yaml_path=(*planned.yaml_path, *path))


def planned_in_routes(planned: PlannedTask) -> Iterator[PlannedTask]:
    """Yield the tasks that are written in the routes of a task."""
    kind = kind_of(planned.task)
    for route, target in kind.routes_of(planned.task).items():
        if not isinstance(target, str):
            yield PlannedTask(task=target, yaml_path=(*planned.yaml_path, kind.routes, route))


def _after_success(plan: Plan, planned: PlannedTask, output: Any) -> Following:
    task = planned.task
    if task.final:
        return Following(task_id=None)
    if kind_of(task).routes and output is not None:
        return Following(task_id=route_targets(task)[output[ROUTE_TAKEN]])
    if task.on_success is not None:
        yaml_path = (*planned.yaml_path, "on_success", "with")
        return Following(task_id=task.on_success.next, with_=task.on_success.with_, with_path=yaml_path)
    return Following(task_id=_next_in_order(plan, task.id))


def _next_in_order(plan: Plan, task_id: str) -> str | None:
    if plan.order is None or task_id not in plan.order:
        return None
    index = plan.order.index(task_id) + 1
    return plan.order[index] if index < len(plan.order) else None


def _successes(plan: Plan, planned: PlannedTask) -> Iterator[str | None]:
    task = planned.task
    if kind_of(task).routes and not task.final:
        yield from route_targets(task).values()
    elif not task.final:
        yield _after_success(plan, planned, None).task_id


def _failures(plan: Plan, planned: PlannedTask) -> Iterator[str | None]:
    transition, _ = error_transition(plan, planned)
    yield transition.next if transition is not None else None
    yield kind_of(planned.task).timeout_target(planned.task)


def _planned(tasks: Sequence[Task], yaml_path: YamlPath) -> Iterator[PlannedTask]:
    for index, task in enumerate(tasks):
        yield from _with_routes(PlannedTask(task=task, yaml_path=(*yaml_path, index)))


def _with_routes(planned: PlannedTask) -> Iterator[PlannedTask]:
    yield planned
    for below in planned_in_routes(planned):
        yield from _with_routes(below)


def _reachable(tasks: Mapping[str, PlannedTask], first: str) -> Iterator[str]:
    bare = Plan(tasks=tasks, order=None, on_error=None, handlers=frozenset())
    found: set[str] = set()
    waiting = [first]
    while waiting:
        task_id = waiting.pop()
        if task_id in tasks and task_id not in found:
            found.add(task_id)
            waiting += targets_of(bare, task_id)
            yield task_id
