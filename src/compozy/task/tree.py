"""A run as a tree of tasks: what all of them share, one of them before it runs, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

import sqlalchemy as sa

from compozy.agent.budget import BudgetConfig, strictest
from compozy.config.nodes import YamlPath
from compozy.database.costs import Spender
from compozy.database.database import Database
from compozy.database.status import Status
from compozy.database.tasks import NewTask, TaskEnd, restore_task_end, task_key
from compozy.database.usage import BY_ANSWERER, add_usage
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.model.catalog import ModelCatalog
from compozy.task.budget import Ledger, Scope
from compozy.task.kind import Task, TaskKind
from compozy.task.options import RunOptions
from compozy.task.registry import KINDS
from compozy.task.report import Report
from compozy.task.status import progress_of
from compozy.task.template_context import TemplateContext
from compozy.tool.kind import ToolHome

View = dict[str, Any]
"""A task as templates see it: `{"id", "status", "input", "output", "error", "children"}`."""


class StartByEvent(Protocol):
    """The workflows of the project that events start."""

    def has_workflows(self, name: str) -> bool:
        """Return whether an event of this name starts a workflow."""
        ...

    async def start(self, name: str, payload: Any, *, event_id: str, sent_by: str) -> list[str]:
        """Start them and return the IDs of their runs; with the same event ID, it returns the same runs again."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunState:
    """State that all tasks of one run share.

    Args:
        options: those of the workflow, over those of the project.
        knowledge: the knowledge bases that its agents may name.
        tools: what tools can know of the project; None where no tool can be called.
        start_by_event: starts the workflows that wait for an event; None where no other run can be started.
        ledger: what the run has spent; None where nothing is spent.
    """

    execution_id: str
    workflow_id: str
    database: Database
    catalog: ModelCatalog
    report: Report
    options: RunOptions
    knowledge: KnowledgeCatalog | None = None
    tools: ToolHome | None = None
    start_by_event: StartByEvent | None = None
    ledger: Ledger | None = None


@dataclass(frozen=True, kw_only=True)
class TaskCall:
    """A task that is about to run.

    Args:
        path: its path in the run, `load/fetch-2`; it names its row and its steps.
        yaml_path: its path in the workflow file.
        context: what its templates see.
        parent: path of its container, None at the top.
        given: what the transition that leads here lays over its `with`.
        inherited: what its `with` lies over.
        first_request: how many model requests the run is taken to have made before; a scripted model counts on.
        attempt: which attempt this is, from 1.
        shown: its input as it is stored and shown, filled in as it is rendered.
        spent: what its model requests have cost, in all attempts, by their numbers; filled in as they are recorded.
        budgets: the budgets around it.
    """

    run: RunState
    task: Task
    path: str
    yaml_path: YamlPath
    context: TemplateContext
    parent: str | None = None
    given: Mapping[str, Any] | None = None
    inherited: Mapping[str, Any] | None = None
    first_request: int = 0
    attempt: int = 1
    shown: dict[str, Any] = field(default_factory=dict[str, Any])
    spent: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    budgets: tuple[Scope, ...] = ()

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return the budgets that the task spends: those around it, and its own."""
        own = _budget_of(self.task)
        return self.budgets if own is None else (*self.budgets, Scope(path=self.path, limits=own))

    @property
    def usage(self) -> list[dict[str, Any]]:
        """Return what it has cost so far, as it is stored."""
        return add_usage(self.spent.values(), by=BY_ANSWERER)

    @property
    def base(self) -> str:
        """Return what the paths of the tasks inside it and the names of its steps begin with, in this attempt."""
        return self.path if self.attempt == 1 else f"{self.path}@{self.attempt}"

    @property
    def id(self) -> str:
        """Return the last part of the path; for a child of a collection it is made for its item."""
        return self.path.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Return the key of its row."""
        return task_key(self.run.execution_id, self.path)

    def child(
        self, task: Task, yaml_path: YamlPath, context: TemplateContext, *, number: int, child_id: str | None = None
    ) -> TaskCall:
        """Return the task at `yaml_path` inside this one; `number` counts those that run concurrently."""
        return TaskCall(
            run=self.run,
            task=task,
            path=f"{self.base}/{child_id or task.id}",
            yaml_path=yaml_path,
            context=context,
            parent=self.path,
            first_request=self.first_request + number,
            budgets=self.scopes,
        )

    def at(self, *path: str | int) -> YamlPath:
        """Return where a text of the task stands in the workflow file.

        A task that a tool call runs is not written anywhere; only its agent or its workflow is.
        """
        called = {"agents": "agent", "workflows": "workflow"}.get(
            str(self.yaml_path[-2]) if len(self.yaml_path) > 1 else ""
        )
        return (*self.yaml_path, *(path[1:] if called is not None and path[:1] == (called,) else path))

    def as_parent(self) -> dict[str, Any]:
        """Return what tasks inside it read as `.parent`."""
        above: Any = self.context.extra.get("parent")
        return {"id": self.id, "type": self.task.type, "input": self.context.input, "parent": above}

    def row(self) -> NewTask:
        """Return the row that is stored when it begins."""
        return NewTask(
            workflow_exec_id=self.run.execution_id,
            workflow_id=self.run.workflow_id,
            path=self.path,
            execution_type=self.task.type,
            parent=self.parent,
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a task before its `outputs` are rendered.

    Args:
        children: the tasks inside it, by id.
        roots: what its `outputs` and the `with` of what follows read besides.
        write: changes tables in the transaction that stores the success; a ConflictError fails the task instead.
    """

    status: Status = Status.SUCCESS
    output: Any = None
    error: dict[str, Any] | None = None
    children: Mapping[str, TaskResult] = field(default_factory=dict[str, "TaskResult"])
    roots: Mapping[str, Any] = field(default_factory=dict[str, Any])
    write: Callable[[sa.Connection], None] | None = None


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """A task that has ended. `recorded` is kept in the journal with its end; `roots` is only set at its end."""

    id: str
    kind: str
    end: TaskEnd
    children: Mapping[str, TaskResult] = field(default_factory=dict[str, "TaskResult"])
    recorded: Mapping[str, Any] = field(default_factory=dict[str, Any])
    roots: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shown: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def canceled(cls, call: TaskCall) -> TaskResult:
        """Return the result of a task that was not needed any more."""
        end = TaskEnd(status=Status.CANCELED, attempts=0)
        return cls(id=call.id, kind=call.task.type, end=end, shown=call.shown)

    def view(self) -> View:
        """Return the task as templates see it.

        The output of a container holds its own keys, the same once more under `output`, its children by id, and
        `progress_info`, which counts them.
        """
        children = {child_id: child.view() for child_id, child in self.children.items()}
        output: Any = self.end.output
        if KINDS[self.kind].is_container and (children or isinstance(output, Mapping)):
            own = dict(cast("Mapping[str, Any]", output)) if isinstance(output, Mapping) else {}
            progress = progress_of(child.end.status for child in self.children.values())
            counted = {"progress_info": progress} if children else {}
            shorts = {child_id: _short(view) for child_id, view in children.items()}
            output = {**counted, **shorts, **own, "output": own}
        return {
            "id": self.id,
            "status": self.end.status.value,
            "input": self.end.input,
            "output": output,
            "error": self.end.error,
            "children": children,
        }

    @classmethod
    def restore(cls, task_id: str, stored: Mapping[str, Any]) -> TaskResult:
        """Return the result that `to_json` stored."""
        children = {child_id: cls.restore(child_id, child) for child_id, child in stored["children"].items()}
        return cls(id=task_id, kind=stored["kind"], end=restore_task_end(stored["end"]), children=children)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form, `{"kind", "end", "children": {id: ...}}`."""
        children = {child_id: child.to_json() for child_id, child in self.children.items()}
        return {"kind": self.kind, "end": asdict(self.end), "children": children}

    def usages(self) -> list[dict[str, Any]]:
        """Return what the task and those inside it cost, in their order."""
        below = [usage for child in self.children.values() for usage in child.usages()]
        return [*(self.end.usage or ()), *below]


@dataclass(frozen=True, kw_only=True)
class EndHook:
    """Extra work committed with the end of a task: `write` changes tables, `record` goes into the journal.

    `can_wait`: another task follows immediately, so that the end may be stored with what comes next.
    """

    write: Callable[[sa.Connection], None] = lambda _: None
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    can_wait: bool = False


OnEnd = Callable[[TaskResult], EndHook]


class RunTask(Protocol):
    """Runs a task from its beginning to its recorded end; a container is handed it for its children."""

    def __call__(self, call: TaskCall, *, started: bool, on_end: OnEnd) -> Awaitable[TaskResult]:
        """Run `call`; if `begun`, its row already says that it runs."""
        ...


Recall = Callable[[TaskCall], Awaitable[TaskResult]]
"""Returns what is recorded of a task that has ended."""


async def _no_children(_call: TaskCall, _task: Any, _recall: Recall) -> dict[str, TaskResult]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How tasks of a kind run.

    Attributes:
        run: runs one attempt; `run(call, task, run_task)`.
        replay: returns the recorded tasks inside a task that has ended, by ID; `replay(call, task, recall)`.
        late_output: output of a task that ran out of time.
    """

    run: Callable[[TaskCall, Any, RunTask], Awaitable[Outcome]]
    replay: Callable[[TaskCall, Any, Recall], Awaitable[dict[str, TaskResult]]] = _no_children
    late_output: Mapping[str, Any] | None = None


def runner_of(kind: TaskKind) -> Runner:
    """Return how tasks of `kind` run; its module is imported on first use."""
    runner: Runner = import_module(kind.runner).RUNNER
    return runner


def words_of_error(error: Mapping[str, Any]) -> str:
    """Return what a container says of the error of a task inside it: its message, and where that is in the file."""
    details: Mapping[str, Any] = error.get("details") or {}
    message = str(error.get("message", "no reason was given"))
    return f"{details['place']}: {message}" if "place" in details else message


def _budget_of(task: Task) -> BudgetConfig | None:
    """Return the budget of a task, with those of its agent or its workflow."""
    agent: Any = getattr(task, "agent", None)
    workflow = cast("Mapping[str, Any]", getattr(task, "workflow", None) or {})
    below: Any = workflow.get("budget")
    if task.budget is None and below is None and (agent is None or agent.budget is None):
        return None
    inner = None if below is None else BudgetConfig.model_validate(below)
    return strictest(task.budget, None if agent is None else agent.budget, inner)


def spender_of(call: TaskCall) -> Spender:
    """Return the task as the table of costs names it."""
    agent: Any = getattr(call.task, "agent", None)
    return Spender(
        execution_id=call.run.execution_id,
        path=call.path,
        workflow_id=call.run.workflow_id,
        agent=(agent.id or "") if agent is not None else "",
    )


def end_step(path: str) -> str:
    """Return the name of the step that records the end of the task at `path`."""
    return f"{path}.end"


def nothing_after(_: TaskResult) -> EndHook:
    """Store nothing else."""
    return EndHook()


def _short(view: View) -> View:
    return {"output": view["output"], "status": view["status"], **({"error": view["error"]} if view["error"] else {})}
