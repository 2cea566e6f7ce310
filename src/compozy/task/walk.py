"""The tasks inside of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compozy.config.nodes import YamlPath
from compozy.task.kind import Task
from compozy.task.next import PlannedTask, planned_in_routes, planned_inside


def planned_below(planned: PlannedTask) -> Iterator[PlannedTask]:
    """Yield what is written directly inside of a task: its parts, its processor, the tasks in its routes."""
    yield from planned_inside(planned)
    yield from planned_in_routes(planned)


def planned_tasks(tasks: Sequence[Task], yaml_path: YamlPath) -> Iterator[PlannedTask]:
    """Yield the tasks of a list that stands at `yaml_path`."""
    for index, task in enumerate(tasks):
        yield PlannedTask(task=task, yaml_path=(*yaml_path, index))


def walk_tasks(tasks: Sequence[Task], yaml_path: YamlPath = ("tasks",)) -> Iterator[PlannedTask]:
    """Yield the tasks of a list and all that are inside of them, each before what it contains."""
    for planned in planned_tasks(tasks, yaml_path):
        yield from _walk(planned)


def _walk(planned: PlannedTask) -> Iterator[PlannedTask]:
    yield planned
    for below in planned_below(planned):
        yield from _walk(below)
