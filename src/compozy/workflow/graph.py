"""A workflow as a drawing: Mermaid for documents, a tree for terminals; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compozy.config.nodes import YamlPath
from compozy.database.status import Status
from compozy.task.kind import Task
from compozy.task.next import Plan, PlannedTask, following, plan_of, planned_inside, route_targets
from compozy.task.registry import kind_of
from compozy.workflow.config import WorkflowConfig

_START = "start"
_END = "end"
_INDENT = "  "


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The characters of a drawing for terminals."""

    fork: str = "├─ "
    last: str = "└─ "
    line: str = "│  "
    blank: str = "   "
    arrow: str = "→"


UNICODE = Marks()
ASCII = Marks(fork="|- ", last="`- ", line="|  ", arrow="->")


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A transition from `source` to the task `target`, None for the end of the list; `label` is its condition."""

    source: str
    target: str | None
    label: str = ""
    is_failure: bool = False


def edges_of(plan: Plan) -> Iterator[Edge]:
    """Yield what may follow each task of a list, without what follows any failure."""
    for task_id, planned in plan.tasks.items():
        yield from _successes(plan, planned)
        task = planned.task
        on_error = task.on_error or (task.config.on_error if task.config is not None else None)
        if on_error is not None and on_error.next is not None:
            yield Edge(source=task_id, target=on_error.next, label="error", is_failure=True)
        after_timeout = kind_of(task).timeout_target(task)
        if after_timeout is not None:
            yield Edge(source=task_id, target=after_timeout, label="timeout", is_failure=True)


def mermaid_of(workflow: WorkflowConfig) -> str:
    """Return the workflow as a Mermaid flowchart; containers are subgraphs, what follows a failure is dotted."""
    return "\n".join(["flowchart TD", *_Mermaid().workflow(workflow)]) + "\n"


def tree_of(workflow: WorkflowConfig, marks: Marks = UNICODE) -> str:
    """Return the workflow as a tree of lines for a terminal; behind each task stands what follows it."""
    plan = _plan_of(workflow)
    handler = plan.on_error.next if plan.on_error is not None else None
    after = f"  any error {marks.arrow} {handler}" if handler else ""
    return "\n".join([workflow.id + after, *_tree(plan, marks)]) + "\n"


def inner_plan(planned: PlannedTask) -> Plan | None:
    """Return the plan of what is inside of a task, when it runs in order."""
    inside = kind_of(planned.task).inside
    if inside is None or not inside.is_sequence:
        return None
    return plan_of([below.task for below in planned_inside(planned)], (*planned.yaml_path, inside.key))


def words_of(task: Task) -> str:
    """Return what kind of task it is, "" for a plain one."""
    return kind_of(task).label(task)


def _plan_of(workflow: WorkflowConfig) -> Plan:
    return plan_of(workflow.tasks, ("tasks",), on_error=workflow.config.on_error if workflow.config else None)


def _successes(plan: Plan, planned: PlannedTask) -> Iterator[Edge]:
    task = planned.task
    if kind_of(task).routes and not task.final:
        for route, target in route_targets(task).items():
            yield Edge(source=task.id, target=target, label=route)
    else:
        yield Edge(source=task.id, target=following(plan, task.id, Status.SUCCESS, None).task_id)


class _Mermaid:
    """Writes a flowchart. Nodes are numbered, since ids of tasks may repeat in other lists and be words of Mermaid."""

    def __init__(self) -> None:
        self.names: dict[YamlPath, str] = {}

    def workflow(self, workflow: WorkflowConfig) -> Iterator[str]:
        plan = _plan_of(workflow)
        yield f'{_INDENT}{_START}(["{_escape(workflow.id)}"])'
        yield from self.list(plan, 1)
        first = self.names[plan.tasks[plan.first].yaml_path]
        yield f"{_INDENT}{_START} --> {first}"
        handler = plan.tasks.get(plan.on_error.next or "") if plan.on_error is not None else None
        if handler is not None:
            yield f'{_INDENT}{_START} -. "any error" .-> {self.names[handler.yaml_path]}'

    def list(self, plan: Plan, depth: int) -> Iterator[str]:
        for planned in plan.tasks.values():
            yield from self.node(planned, depth)
        for edge in edges_of(plan):
            if edge.target is not None:
                source, target = (self.names[plan.tasks[each].yaml_path] for each in (edge.source, edge.target))
                yield f"{_INDENT * depth}{source} {_arrow(edge)} {target}"

    def node(self, planned: PlannedTask, depth: int) -> Iterator[str]:
        name = self.names[planned.yaml_path] = f"n{len(self.names)}"
        words = words_of(planned.task)
        label = _escape(f"{planned.task.id} ({words})" if words else planned.task.id)
        inside = list(planned_inside(planned))
        indent = _INDENT * depth
        if not inside:
            opening, closing = kind_of(planned.task).shape
            yield f"{indent}{name}{opening}{label}{closing}"
            return
        yield f'{indent}subgraph {name}["{label}"]'
        plan = inner_plan(planned)
        if plan is not None:
            yield from self.list(plan, depth + 1)
        else:
            for below in inside:
                yield from self.node(below, depth + 1)
        yield f"{indent}end"


def _arrow(edge: Edge) -> str:
    label = f'"{_escape(edge.label)}"' if edge.label else ""
    if edge.is_failure:
        return f"-. {label} .->"
    return f"-- {label} -->" if label else "-->"


def _escape(text: str) -> str:
    """Return `text` as Mermaid shows it as it is: all that could mean something is written by its number."""
    return "".join(char if char.isalnum() or char in " _-.,()" else f"#{ord(char)};" for char in text)


def _tree(plan: Plan, marks: Marks) -> Iterator[str]:
    follows: dict[str, list[Edge]] = {}
    for edge in edges_of(plan):
        follows.setdefault(edge.source, []).append(edge)
    for planned, lead, below in _leads(list(plan.tasks.values()), marks):
        after = ", ".join(_words_of_edge(edge, marks) for edge in follows[planned.task.id])
        yield f"{lead}{_title(planned)}  {after}"
        yield from (below + line for line in _tree_inside(planned, marks))


def _tree_inside(planned: PlannedTask, marks: Marks) -> Iterator[str]:
    plan = inner_plan(planned)
    if plan is not None:
        yield from _tree(plan, marks)
        return
    for inside, lead, below in _leads(list(planned_inside(planned)), marks):
        yield lead + _title(inside)
        yield from (below + line for line in _tree_inside(inside, marks))


def _leads(tasks: Sequence[PlannedTask], marks: Marks) -> Iterator[tuple[PlannedTask, str, str]]:
    for number, planned in enumerate(tasks, start=1):
        is_last = number == len(tasks)
        yield planned, marks.last if is_last else marks.fork, marks.blank if is_last else marks.line


def _title(planned: PlannedTask) -> str:
    words = words_of(planned.task)
    return f"{planned.task.id} ({words})" if words else planned.task.id


def _words_of_edge(edge: Edge, marks: Marks) -> str:
    label = f"{' '.join(edge.label.split())} " if edge.label else ""
    return f"{label}{marks.arrow} {edge.target or _END}"


def graph_document(workflow: WorkflowConfig) -> dict[str, str]:
    """Return the drawings of a workflow as JSON: `{"id", "mermaid", "text", "ascii"}`."""
    return {
        "id": workflow.id,
        "mermaid": mermaid_of(workflow),
        "text": tree_of(workflow),
        "ascii": tree_of(workflow, ASCII),
    }
