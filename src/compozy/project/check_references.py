"""Whether what a template or an expression reads can be there when it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from compozy.config.nodes import MappingNode, Node, node_at, text_at
from compozy.config.shape import fields_by_key
from compozy.nearest import suggest
from compozy.project.flow import Flow
from compozy.project.outline import TaskOutline, WorkflowOutline
from compozy.schema import is_closed, listed_keys

ROOTS = ("input", "tasks", "workflow", "project", "env")
_MORE_ROOTS = ("task", "parent", "current", "trigger")
# There for workflows of earlier editions, and always empty.
_EMPTY_ROOTS = frozenset({"tools", "agents"})
WORKFLOW_FIELDS = ("id", "exec_id", "input", "status")
PROJECT_FIELDS = ("id", "name")
TASK_FIELDS = ("output", "status", "input", "error", "id", "children", "type")
SOURCES = "sources"
TEXT_FIELDS = ("text", "response", SOURCES)
# Fields of the workflow that are there before the run exists.
_EARLY_FIELDS = frozenset({"id", "input"})
_ELSEWHERE = {
    "item": "only the tasks of a `collection` have it",
    "index": "only the tasks of a `collection` have it",
    "output": "only `outputs` reads it; elsewhere it is `.tasks.<id>.output`",
    "children": "only `outputs` reads it; elsewhere it is `.tasks.<id>.children`",
    "signal": "only a `wait` has it",
    "processor": "only a `wait` has it",
    "error": "only what a failure leads to has it",
    "status": "it is `.tasks.<id>.status`, and that of the run `.workflow.status`",
    "with": "only tasks have it; the input of the run is `.input`",
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """The error and the way out, "" if there is none."""

    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A task in its list. `members` are all tasks of the list, `flow` is the part of it that the task is in."""

    members: dict[str, TaskOutline]
    flow: Flow
    task: TaskOutline

    @property
    def before(self) -> set[str]:
        """Return the ids of the tasks that can have run before."""
        return self.flow.before(self.task.id)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Where a text stands.

    Args:
        frames: the task it belongs to, and the containers around it, the innermost first.
        roots: what can be read there beside ROOTS.
        reads_own: whether the result of the task itself is there.
        children: ids of the tasks inside of it whose results are there.
        at_end: whether all tasks of the workflow have run.
        binds_knowledge: whether agents that name no knowledge are given some.
        is_early: whether it is read before the run exists, which has only an input then.
    """

    workflow: WorkflowOutline
    input_schema: Any
    frames: tuple[Frame, ...] = ()
    roots: frozenset[str] = frozenset()
    reads_own: bool = False
    children: frozenset[str] = frozenset()
    at_end: bool = False
    binds_knowledge: bool = False
    is_early: bool = False

    def readable(self) -> list[str]:
        """Return the ids of the tasks whose results can be there, in the order of the file."""
        if self.at_end:
            return [task.id for task in self.workflow.list.members() if task.id]
        return [
            task_id
            for frame in reversed(self.frames)
            for task_id in frame.members
            if task_id in frame.before or (self.reads_own and frame.task.id == task_id)
        ]

    def find(self, task_id: str) -> TaskOutline | None:
        """Return the task of this id, of the nearest list."""
        for frame in self.frames:
            if task_id in frame.members:
                return frame.members[task_id]
        return next((task for task in self.workflow.list.members() if task.id == task_id), None)


def check_reference(
    reading: Reading, path: tuple[str, ...], *, joined: str = "", is_cel: bool = False, is_optional: bool = False
) -> Words | None:
    """Return what is wrong with the path that a template or an expression reads, None when it is fine.

    `joined` is the last name with the hyphens that follow it, in an expression. `is_optional` is set where a missing
    key is accepted, such as before `default`.
    """
    root, *rest = path
    if reading.is_early and root != "input" and (root != "workflow" or {*rest[:1]} - _EARLY_FIELDS):
        return Words(
            message=f"this template cannot read .{'.'.join(path[:2])}, because no run exists yet",
            hint="it can read .input, .workflow.id and .workflow.input",
        )
    # `.with` is the input of the task; the run itself has none.
    known = {*ROOTS, *_MORE_ROOTS, *reading.roots, *(("with",) if is_cel or reading.frames else ())}
    if root not in known | _EMPTY_ROOTS:
        what, dot = ("an expression", "") if is_cel else ("a template", ".")
        shown = ", ".join(f"{dot}{each}" for each in (*ROOTS, *sorted(reading.roots)))
        meant = suggest(root, known)
        if is_optional and (root in _ELSEWHERE or not meant):
            return None
        hint = _ELSEWHERE.get(root) or meant or f"it can read {shown}"
        here = " here" if root in _ELSEWHERE else ""
        return Words(message=f"{what} cannot read {dot}{root}{here}", hint=hint)
    check = _CHECKS.get(root)
    words = check(reading, rest) if check and rest and not (is_optional and root == "env") else None
    if words is not None and joined and len(rest) == 1 and root == "tasks" and reading.find(joined):
        hint = f'a name with a hyphen is written in brackets: tasks["{joined}"]'
        return Words(message=words.message, hint=hint)
    return words


def _check_input_path(reading: Reading, rest: list[str]) -> Words | None:
    keys = listed_keys(reading.input_schema)
    if keys is None or rest[0] in keys or not is_closed(reading.input_schema) or _may_be_given(reading, rest[0]):
        return None
    return _no_input(rest[0], keys)


def _check_workflow_path(reading: Reading, rest: list[str]) -> Words | None:
    words = _check_fixed_path("workflow", WORKFLOW_FIELDS, rest)
    keys = listed_keys(reading.input_schema) if rest[0] == "input" and len(rest) > 1 else None
    if keys is None or rest[1] in keys or not is_closed(reading.input_schema):
        return words
    return _no_input(rest[1], keys)


def _no_input(name: str, keys: Collection[str]) -> Words:
    hint = suggest(name, keys) or _list_of("its keys are", sorted(keys))
    return Words(message=f"the input has no {name!r}", hint=hint)


def _may_be_given(reading: Reading, key: str) -> bool:
    """Return whether `with`, a schema's default or what went before can add a key to the input of the task."""
    if len(reading.frames) != 1:
        return bool(reading.frames)
    task = reading.frames[0].task
    own = [node_at(task.node, path) for path in (("with",), ("input", "properties"))]
    maps = [*own, *_given_by_others(reading, task)]
    return any(isinstance(found, MappingNode) and found.entry(key) is not None for found in maps)


def _check_tasks_path(reading: Reading, rest: list[str]) -> Words | None:
    task_id, *fields = rest
    readable = reading.readable()
    if task_id in reading.children:
        return None
    if task_id not in readable:
        return _not_readable(reading, task_id, readable)
    if fields and fields[0] not in TASK_FIELDS:
        hint = suggest(fields[0], TASK_FIELDS) or f"its result is `.tasks.{task_id}.output`"
        return Words(message=f"a task has no {fields[0]!r}", hint=hint)
    task = reading.find(task_id)
    is_output = len(fields) > 1 and fields[0] == "output"
    return _check_output_path(reading, task, fields[1]) if task is not None and is_output else None


def _not_readable(reading: Reading, task_id: str, readable: list[str]) -> Words:
    for frame in reading.frames:
        if task_id in frame.members:
            return _not_before(frame, task_id, is_own=frame is reading.frames[0])
    around = [task for task in reading.workflow.list.walk() if task_id in _inside(task)]
    if around:
        known = next((task for task in around if task.id in readable), None)
        is_child = known is not None and known.below is not None and task_id in {each.id for each in known.below.tasks}
        hint = f"its result is `.tasks.{known.id}.children{f'.{task_id}' if is_child else ''}`" if known else ""
        return Words(message=f"task {task_id!r} is inside of task {(known or around[-1]).id!r}", hint=hint)
    if any(task.id == task_id for task in reading.workflow.list.members()):
        return Words(message=f"task {task_id!r} runs later")
    everywhere = [task.id for frame in reading.frames for task in frame.members.values()]
    hint = suggest(task_id, [*readable, *everywhere]) or _list_of("the tasks before are", readable)
    return Words(message=f"unknown task {task_id!r}", hint=hint)


def _inside(task: TaskOutline) -> set[str]:
    return {below.id for below in task.below.walk()} if task.below is not None else set()


def _not_before(frame: Frame, task_id: str, *, is_own: bool) -> Words:
    if task_id == frame.task.id and is_own:
        return Words(message=f"task {task_id!r} cannot read its own result")
    if task_id == frame.task.id:
        return Words(message=f"task {task_id!r} has not ended: this one is a part of it")
    if task_id not in frame.flow.by_id:
        return Words(message=f"task {task_id!r} runs at the same time", hint="put the two into a `composite`")
    if task_id in frame.flow.after(frame.task.id):
        return Words(
            message=f"task {task_id!r} runs later", hint="" if frame.flow.is_named else "move it up in the list"
        )
    return Words(message=f"task {task_id!r} does not run before task {frame.task.id!r}")


def _check_output_path(reading: Reading, task: TaskOutline, key: str) -> Words | None:
    keys = _output_keys(reading, task)
    if keys is None or key in keys:
        return None
    hint = suggest(key, keys) or _list_of("it has", sorted(keys))
    return Words(message=f"the output of task {task.id!r} has no {key!r}", hint=hint)


def _output_keys(reading: Reading, task: TaskOutline) -> frozenset[str] | None:
    """Return the keys that the task's output has, None when they are not known before it runs."""
    fields = fields_by_key(task.kind.model)
    if any(entry.key not in fields for entry in task.node.entries):
        # A task with unknown keys is not understood; that is reported, and what it leads to is not known.
        return None
    projection = node_at(task.node, ("outputs",))
    if isinstance(projection, MappingNode):
        is_container = task.below is not None and task.kind.is_container
        return None if is_container else frozenset({*task.kind.kept_keys, *(entry.key for entry in projection.entries)})
    if not task.kind.takes_prompt:
        return task.kind.output_keys
    if task.node.entry("output") is not None:
        keys = listed_keys(task.output_schema)
        has_knowledge = reading.binds_knowledge or node_at(task.node, ("agent", "knowledge")) is not None
        return keys | {SOURCES} if keys is not None and task.has_prompt and has_knowledge else keys
    if task.has_prompt:
        return frozenset(TEXT_FIELDS)
    if task.node.entry("tool") is not None:
        return None
    maps = [node_at(task.node, ("with",)), *_given_by_others(reading, task)]
    return frozenset(entry.key for found in maps if isinstance(found, MappingNode) for entry in found.entries)


def _given_by_others(reading: Reading, task: TaskOutline) -> Iterator[Node | None]:
    """Yield what the transitions to a task lay over its `with`."""
    sources = [reading.workflow.node, *(each.node for each in reading.workflow.list.walk())]
    for source in sources:
        for above in (("on_success",), ("on_error",), ("config", "on_error")):
            if text_at(source, *above, "next") == task.id:
                yield node_at(source, (*above, "with"))


def _check_env_path(reading: Reading, rest: list[str]) -> Words | None:
    sources = [reading.workflow.node, *(frame.task.node for frame in reading.frames)]
    found = [entry.value for source in sources if (entry := source.entry("env")) is not None]
    names = [entry.key for env in found if isinstance(env, MappingNode) for entry in env.entries]
    if rest[0] in names or not all(isinstance(env, MappingNode) for env in found):
        return None
    hint = suggest(rest[0], names)
    return Words(
        message=f".env has no {rest[0]!r}",
        hint=hint
        or "add it to `env` of the workflow, or pass it as input; workflows cannot read the environment of the process",
    )


def _list_of(words: str, keys: Iterable[str]) -> str:
    names = list(keys)
    return f"{words} {', '.join(names)}" if names else ""


def _check_fixed_path(root: str, fields: tuple[str, ...], rest: list[str]) -> Words | None:
    if rest[0] in fields:
        return None
    hint = suggest(rest[0], fields) or _list_of("it has", fields)
    return Words(message=f".{root} has no {rest[0]!r}", hint=hint)


_CHECKS: dict[str, Callable[[Reading, list[str]], Words | None]] = {
    "input": _check_input_path,
    "tasks": _check_tasks_path,
    "env": _check_env_path,
    "workflow": _check_workflow_path,
    "project": lambda _, rest: _check_fixed_path("project", PROJECT_FIELDS, rest),
}
