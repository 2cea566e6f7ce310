"""The tasks inside of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compozy.task.kind import Task
from compozy.task.next import Place, Step, steps_in_routes, steps_inside


def steps_below(step: Step) -> Iterator[Step]:
    """Yield what is written directly inside of a task: its parts, its processor, the tasks in its routes."""
    yield from steps_inside(step)
    yield from steps_in_routes(step)


def steps_of(tasks: Sequence[Task], place: Place) -> Iterator[Step]:
    """Yield the tasks of a list that stands at `place`."""
    for index, task in enumerate(tasks):
        yield Step(task=task, place=(*place, index))


def walk_tasks(tasks: Sequence[Task], place: Place = ("tasks",)) -> Iterator[Step]:
    """Yield the tasks of a list and all that are inside of them, each before what it contains."""
    for step in steps_of(tasks, place):
        yield from _walk(step)


def _walk(step: Step) -> Iterator[Step]:
    yield step
    for below in steps_below(step):
        yield from _walk(below)
