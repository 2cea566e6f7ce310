"""The tasks inside of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compozy.task.config import CollectionTask, CompositeTask, ParallelTask, RouterTask, Task, WaitTask
from compozy.task.next import Place, Step


def steps_below(step: Step) -> Iterator[Step]:
    """Yield what is written directly inside of a task: its parts, its processor, the tasks in its routes."""
    task, place = step.task, step.place
    if isinstance(task, (ParallelTask, CompositeTask)):
        yield from steps_of(task.tasks, (*place, "tasks"))
    elif isinstance(task, CollectionTask):
        yield Step(task=task.task, place=(*place, "task"))
    elif isinstance(task, WaitTask):
        yield from [Step(task=task.processor, place=(*place, "processor"))] if task.processor is not None else []
    elif isinstance(task, RouterTask):
        for route, target in task.routes.items():
            if not isinstance(target, str):
                yield Step(task=target, place=(*place, "routes", route))


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
