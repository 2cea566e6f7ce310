"""Which task follows; pure, so that a replay comes to the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compozy.database.status import Status
from compozy.task.kind import Task
from compozy.task.kinds.router import ROUTE_TAKEN
from compozy.task.options import Transition
from compozy.task.registry import kind_of

Place = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A task of a list, or one that is written in a route. `place` is where it stands in its file."""

    task: Task
    place: Place


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tasks of a workflow or of a composite, and how they follow one another.

    Attributes:
        steps: by id, in the order of the list; the tasks in the routes of a router come after it.
        order: ids in the order of the list where no task names what follows, without those that only a failure leads
            to; None where the tasks name it.
        on_error: what follows a failed task that says nothing itself.
        handlers: ids of the tasks that come after such a failure; what fails among them ends the list.
    """

    steps: Mapping[str, Step]
    order: tuple[str, ...] | None
    on_error: Transition | None
    handlers: frozenset[str]

    @property
    def first(self) -> str:
        """Return the id of the task that begins."""
        return next(iter(self.steps))


@dataclass(frozen=True, kw_only=True)
class Following:
    """The next task: `task_id`, None for the end; `with_` for its input; whether a failure ends the list."""

    task_id: str | None
    with_: Mapping[str, Any] | None = None
    with_place: Place = ()
    is_failure: bool = False


def plan_of(tasks: Sequence[Task], place: Place, *, on_error: Transition | None = None) -> Plan:
    """Return the plan of the list `tasks`, which stands at `place` in its file.

    A list in which no task names `on_success`, `on_error` or routes runs in order.
    """
    steps = {step.task.id: step for step in _steps(tasks, place)}
    named = any(step.task.on_success or step.task.on_error for step in steps.values())
    named = bool(named) or any(kind_of(step.task).routes for step in steps.values())
    handlers = frozenset(_reachable(steps, on_error.next)) if on_error and on_error.next else frozenset[str]()
    aside = {*handlers, *(kind_of(step.task).timeout_target(step.task) for step in steps.values())}
    return Plan(
        steps=steps,
        order=None if named else tuple(task_id for task_id in steps if task_id not in aside),
        on_error=on_error,
        handlers=handlers,
    )


def following(plan: Plan, task_id: str, status: Status, output: Any) -> Following:
    """Return what comes after the task `task_id` that ended with `status` and `output`."""
    step = plan.steps[task_id]
    if status is Status.SUCCESS:
        return _after_success(plan, step, output)
    task = step.task
    after_timeout = kind_of(task).timeout_target(task)
    if status is Status.TIMED_OUT and after_timeout is not None:
        return Following(task_id=after_timeout)
    transition, place = error_transition(plan, step)
    if transition is None or transition.next is None or status is Status.CANCELED:
        return Following(task_id=None, is_failure=True)
    return Following(task_id=transition.next, with_=transition.with_, with_place=(*place, "with"))


def error_transition(plan: Plan, step: Step) -> tuple[Transition | None, Place]:
    """Return what follows a failure of `step`, the nearest setting, and where it is written."""
    task = step.task
    if task.on_error is not None:
        return task.on_error, (*step.place, "on_error")
    if task.config is not None and task.config.on_error is not None:
        return task.config.on_error, (*step.place, "config", "on_error")
    inherited = plan.on_error if task.id not in plan.handlers else None
    return inherited, ("config", "on_error")


def targets_of(plan: Plan, task_id: str) -> list[str]:
    """Return the ids of all tasks that may follow `task_id`, whether they exist or not."""
    step = plan.steps[task_id]
    return [found for found in (*_successes(plan, step), *_failures(plan, step)) if found is not None]


def route_targets(task: Task) -> dict[str, str]:
    """Return the ID of the task that follows `task` by route, {} for a task without routes."""
    routes = kind_of(task).routes_of(task)
    return {route: target if isinstance(target, str) else target.id for route, target in routes.items()}


def steps_inside(step: Step) -> Iterator[Step]:
    """Yield the tasks inside a task, without those in its routes, which follow it."""
    for task, path in kind_of(step.task).tasks_inside(step.task):
        yield Step(task=task, place=(*step.place, *path))


def steps_in_routes(step: Step) -> Iterator[Step]:
    """Yield the tasks that are written in the routes of a task."""
    kind = kind_of(step.task)
    for route, target in kind.routes_of(step.task).items():
        if not isinstance(target, str):
            yield Step(task=target, place=(*step.place, kind.routes, route))


def _after_success(plan: Plan, step: Step, output: Any) -> Following:
    task = step.task
    if task.final:
        return Following(task_id=None)
    if kind_of(task).routes and output is not None:
        return Following(task_id=route_targets(task)[output[ROUTE_TAKEN]])
    if task.on_success is not None:
        place = (*step.place, "on_success", "with")
        return Following(task_id=task.on_success.next, with_=task.on_success.with_, with_place=place)
    return Following(task_id=_next_in_order(plan, task.id))


def _next_in_order(plan: Plan, task_id: str) -> str | None:
    if plan.order is None or task_id not in plan.order:
        return None
    index = plan.order.index(task_id) + 1
    return plan.order[index] if index < len(plan.order) else None


def _successes(plan: Plan, step: Step) -> Iterator[str | None]:
    task = step.task
    if kind_of(task).routes and not task.final:
        yield from route_targets(task).values()
    elif not task.final:
        yield _after_success(plan, step, None).task_id


def _failures(plan: Plan, step: Step) -> Iterator[str | None]:
    transition, _ = error_transition(plan, step)
    yield transition.next if transition is not None else None
    yield kind_of(step.task).timeout_target(step.task)


def _steps(tasks: Sequence[Task], place: Place) -> Iterator[Step]:
    for index, task in enumerate(tasks):
        yield from _with_routes(Step(task=task, place=(*place, index)))


def _with_routes(step: Step) -> Iterator[Step]:
    yield step
    for below in steps_in_routes(step):
        yield from _with_routes(below)


def _reachable(steps: Mapping[str, Step], first: str) -> Iterator[str]:
    bare = Plan(steps=steps, order=None, on_error=None, handlers=frozenset())
    found: set[str] = set()
    waiting = [first]
    while waiting:
        task_id = waiting.pop()
        if task_id in steps and task_id not in found:
            found.add(task_id)
            waiting += targets_of(bare, task_id)
            yield task_id
