"""Checks the names of tasks and tools in expectations: a misspelled one would let `skipped` and `times: 0` pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from compozy.config.nodes import Node, YamlPath, key_place_at, place_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.project.loaded import LoadedProject
from compozy.replay.config import Expectation, TestFile
from compozy.task.kind import Task
from compozy.task.next import planned_in_routes
from compozy.task.registry import kind_of, read_tasks
from compozy.task.walk import planned_tasks
from compozy.tool.built_in.specs import SPECS

# A later attempt of a container; the question of a spent budget.
_ATTEMPT = re.compile(r"@\d+$")
_BUDGET = re.compile(r"budget(?:-day)?:\d+")
# Characters of a prefix that no name of a tool has.
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_MAX_LISTED = 10
# Sub-workflows cannot contain themselves, but they can contain one another many times.
_MAX_KNOWN = 2000
_MAX_DEPTH = 20


def check_names(project: LoadedProject, config: TestFile, node: Node) -> Iterator[Diagnostic]:
    """Yield the expectations of a test file that name a task or a tool that their workflow cannot have.

    Names that are known only when the workflow runs are accepted.

    Args:
        project: the project.
        config: the test file.
        node: the root of the file.
    """
    for index, case in enumerate(config.tests):
        workflow_id = case.workflow or config.workflow or ""
        workflow = project.workflows.get(workflow_id)
        if workflow is None:
            # It is reported by itself.
            continue
        at: YamlPath = ("tests", index, "expect")
        for path, place in _named_tasks(case.expect, node, at):
            if not _may_exist(workflow.config.tasks, path.split("/")):
                known = _limited(_paths(workflow.config.tasks, _MAX_DEPTH))
                yield _unknown(f"workflow {workflow_id!r}", "task", path, known, place)
        document = workflow.config.model_dump(mode="python", by_alias=True) if case.expect.tool_calls else {}
        tools = _Tools(project, document)
        for number, call in enumerate(case.expect.tool_calls or ()):
            if not tools.may_exist(call.tool):
                place = place_at(node, (*at, "tool_calls", number, "tool"))
                yield _unknown(f"workflow {workflow_id!r}", "tool", call.tool, sorted(tools.known), place)


def _named_tasks(expect: Expectation, node: Node, at: YamlPath) -> Iterator[tuple[str, SourceLocation]]:
    for path in expect.tasks:
        yield path, key_place_at(node, (*at, "tasks", path))
    for number, call in enumerate(expect.tool_calls or ()):
        if call.task is not None:
            yield call.task, place_at(node, (*at, "tool_calls", number, "task"))


def _unknown(owner: str, word: str, name: str, known: Sequence[str], place: SourceLocation) -> Diagnostic:
    listed = ", ".join(known[:_MAX_LISTED]) + (", ..." if len(known) > _MAX_LISTED else "")
    hint = suggest(name, known) or f"its {word}s are {listed or 'none'}"
    return Diagnostic(location=place, message=f"{owner} has no {word} {name!r}", hint=hint, code="reference")


def _may_exist(tasks: Sequence[Task], steps: Sequence[str]) -> bool:
    """Return whether `steps`, the parts of a path, can lead to a task of the list."""
    first, *rest = steps
    first = _ATTEMPT.sub("", first) if rest else first
    if _BUDGET.fullmatch(first):
        return not rest
    task = {task.id: task for task in _level(tasks)}.get(first)
    return task is not None and _may_be_below(task, rest)


def _may_be_below(task: Task, steps: Sequence[str]) -> bool:
    if not steps:
        return True
    inside = _inside(task)
    if inside is not None:
        return _may_exist(inside, steps)
    # Items, processors and the tasks of tool calls get their IDs in the run.
    single = kind_of(task).tasks_inside(task)
    return not single or _BUDGET.fullmatch(steps[0]) is not None or _may_be_below(single[0][0], steps[1:])


def _inside(task: Task) -> Sequence[Task] | None:
    """Return the list of tasks inside a task; None if their IDs are not known before the run."""
    kind = kind_of(task)
    if kind.calls:
        called = cast("Mapping[str, Any]", getattr(task, kind.calls)).get("tasks")
        return read_tasks(called) if called else None
    if kind.inside is not None and kind.inside.is_list:
        return [planned for planned, _ in kind.tasks_inside(task)]
    return None


def _level(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yield the tasks whose paths have as many parts as those of `tasks`: also those in routes."""
    left = list(planned_tasks(tasks, ()))
    while left:
        planned = left.pop(0)
        yield planned.task
        left[:0] = planned_in_routes(planned)


def _paths(tasks: Sequence[Task], depth: int) -> Iterator[str]:
    """Yield the paths that are known before the run, those of outer tasks first."""
    level = list(_level(tasks))
    yield from (task.id for task in level)
    for task in level if depth else ():
        yield from (f"{task.id}/{path}" for path in _paths(_inside(task) or (), depth - 1))


def _limited(paths: Iterable[str]) -> list[str]:
    return [path for path, _ in zip(paths, range(_MAX_KNOWN), strict=False)]


class _Tools:
    """The tools that the tasks of a workflow can call, as far as they are known before the run."""

    def __init__(self, project: LoadedProject, document: Mapping[str, Any]) -> None:
        self.known: set[str] = {each.id for each in project.resources if each.kind.name == "tool"}
        self._prefixes: list[str] = []
        self._collect(document)

    def may_exist(self, tool: str) -> bool:
        """Return whether a call of `tool` is possible."""
        return tool in self.known or tool in SPECS or any(tool.startswith(prefix) for prefix in self._prefixes)

    def _collect(self, value: Any) -> None:
        """Add the tools and servers of a part of the workflow, with those of what its tools can call."""
        if isinstance(value, Mapping):
            for key, below in cast("Mapping[str, Any]", value).items():
                for each in _maps(below) if key in {"tools", "tool", "mcps"} else ():
                    self._add(each, is_server=key == "mcps")
                self._collect(below)
        elif isinstance(value, (list, tuple)):
            for item in cast("Sequence[Any]", value):
                self._collect(item)

    def _add(self, each: Mapping[str, Any], *, is_server: bool) -> None:
        name = str(each.get("id") or "")
        if is_server:
            # Its tools are listed in the run.
            prefix = each.get("prefix")
            self._prefixes.append(_FOREIGN.sub("_", f"{name}__" if prefix is None else str(prefix)))
        elif name:
            self.known.add(name)


def _maps(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, Mapping):
            yield cast("Mapping[str, Any]", item)
