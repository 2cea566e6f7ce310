"""Parts of a run as JSON: one task, its definition, its graph with states, and the messages of its conversations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.database.executions import get_execution
from compozy.database.tasks import TaskState, list_tasks
from compozy.errors import NotFoundError
from compozy.nearest import suggest
from compozy.task.next import Plan, PlannedTask, plan_of, planned_inside
from compozy.task.registry import kind_of
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.documents import read_run
from compozy.workflow.graph import edges_of, inner_plan

Document = dict[str, Any]


def read_task(connection: sa.Connection, execution_id: str, path: str) -> Document:
    """Return one task of a run with its input and output.

    Raises:
        NotFoundError: the run does not exist, or has no task at this path.
    """
    tasks: list[Document] = read_run(connection, execution_id)[1]["tasks"]
    for task in tasks:
        if task["path"] == path:
            return task
    raise NotFoundError(
        f"execution {execution_id!r} has no task {path!r:.200}", hint=suggest(path, [task["path"] for task in tasks])
    )


def read_definition(connection: sa.Connection, execution_id: str) -> Document:
    """Return the definition that a run keeps of its workflow; `workflow` is null if it does not run a workflow.

    Raises:
        NotFoundError: the run does not exist.
    """
    run = get_execution(connection, execution_id)
    source: Document = run.definition.get("source") or {}
    return {
        "execution_id": run.workflow_exec_id,
        "workflow_id": run.workflow_id,
        "kind": run.definition.get("kind", "workflow"),
        "file": source.get("file"),
        "workflow": run.definition.get("workflow"),
        "providers": run.definition.get("providers") or [],
    }


def read_graph(connection: sa.Connection, execution_id: str) -> Document:
    """Return the tasks of a run as nodes with their states, and the transitions between them as edges.

    Nodes are the tasks of the definition, whether they ran or not, and then those that only the run has, such as the
    items of a collection.

    Raises:
        NotFoundError: the run does not exist.
    """
    run = get_execution(connection, execution_id)
    tasks = {task.path: task for task in list_tasks(connection, execution_id)}
    graph = _Graph(tasks)
    definition: Document | None = run.definition.get("workflow")
    if definition is not None:
        graph.add_workflow(WorkflowConfig.model_validate(definition))
    graph.add_others()
    return {
        "execution_id": run.workflow_exec_id,
        "workflow_id": run.workflow_id,
        "status": run.status.value,
        "nodes": list(graph.nodes.values()),
        "edges": graph.edges,
    }


def draw_workflow(workflow: WorkflowConfig) -> Document:
    """Return the tasks of a workflow as nodes without states, and the transitions between them as edges."""
    graph = _Graph({})
    graph.add_workflow(workflow)
    return {"nodes": list(graph.nodes.values()), "edges": graph.edges}


class _Graph:
    def __init__(self, tasks: Mapping[str, TaskState]) -> None:
        self._tasks = tasks
        self.nodes: dict[str, Document] = {}
        self.edges: list[Document] = []

    def add_workflow(self, workflow: WorkflowConfig) -> None:
        """Add the tasks of a workflow."""
        on_error = workflow.config.on_error if workflow.config is not None else None
        self.add_plan(plan_of(workflow.tasks, ("tasks",), on_error=on_error), None)

    def add_plan(self, plan: Plan, parent: str | None) -> None:
        """Add the tasks of a sequence and what follows them."""
        for planned in plan.tasks.values():
            self._add_task(planned, parent)
        for edge in edges_of(plan):
            if edge.target in plan.tasks:
                self.edges.append(
                    {
                        "source": _join(parent, edge.source),
                        "target": _join(parent, str(edge.target)),
                        "label": edge.label,
                        "on_failure": edge.is_failure,
                    }
                )
        handler = plan.on_error.next if plan.on_error is not None else None
        if handler in plan.tasks:
            target = _join(parent, str(handler))
            self.edges.append({"source": None, "target": target, "label": "any error", "on_failure": True})

    def add_others(self) -> None:
        """Add the tasks that the definition does not name."""
        for task in self._tasks.values():
            if task.path not in self.nodes:
                parent = task.path.rpartition("/")[0] or None
                self._add_node(task.path, parent, task.execution_type)

    def _add_task(self, planned: PlannedTask, parent: str | None) -> None:
        path = _join(parent, planned.task.id)
        self._add_node(path, parent, kind_of(planned.task).name)
        plan = inner_plan(planned)
        if plan is not None:
            self.add_plan(plan, path)
            return
        for below in planned_inside(planned):
            self._add_task(below, path)

    def _add_node(self, path: str, parent: str | None, kind: str) -> None:
        task = self._tasks.get(path)
        self.nodes[path] = {
            "path": path,
            "task_id": path.rpartition("/")[2] if task is None else task.task_id,
            "parent": parent,
            "type": kind,
            "status": None if task is None else task.status.value,
            "attempts": 0 if task is None else task.attempts,
        }


def _join(parent: str | None, task_id: str) -> str:
    return task_id if parent is None else f"{parent}/{task_id}"


def messages_of(requests: Sequence[Document]) -> list[Document]:
    """Return the conversations with models as messages, in the order in which the requests were recorded.

    Args:
        requests: the documents of `compozy.workflow.requests.list_requests`.
    """
    started: set[str] = set()
    messages: list[Document] = []
    for request in requests:
        path: str = request["path"]
        about = {"path": path, "request": request["number"]}
        if path not in started:
            started.add(path)
            messages += [{**about, **message} for message in _beginning(request)]
        messages += [{**about, **message} for message in _exchange(request)]
    return messages


def _beginning(request: Document) -> Iterator[Document]:
    for role, key in (("system", "instructions"), ("user", "prompt")):
        if request[key]:
            yield _message(role, request[key])


def _exchange(request: Document) -> Iterator[Document]:
    """Yield the answer to a request and the results of the tools that it calls."""
    calls: list[Document] = request["tool_calls"]
    asked = [{"tool": call["tool"], "arguments": call["arguments"]} for call in calls]
    yield {
        **_message("assistant", request["answer"]),
        "provider": request["provider"],
        "model": request["model"],
        "tool_calls": asked,
        "error": request["error"],
    }
    for call in calls:
        if call["outcome"] is not None:
            yield {**_message("tool", call["result"]), "tool": call["tool"], "outcome": call["outcome"]}


def _message(role: str, content: Any) -> Document:
    empty: Document = {"provider": None, "model": None, "tool": None, "outcome": None, "tool_calls": [], "error": None}
    return {"role": role, "content": content, **empty}
