"""Operations on many runs. A batch is a run whose definition has the kind `batch`."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from compozy.database.costs import keep_costs
from compozy.database.database import Database
from compozy.database.executions import Execution, NewExecution, check_execution_id, finish_execution, get_status
from compozy.database.lists import ExecutionFilter, list_ids
from compozy.database.status import Status
from compozy.database.tasks import NewTask, TaskEnd, finish_task
from compozy.database.transitions import request_cancel, request_pause, resume_run
from compozy.database.trigger import Trigger, check_labels
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.journal import has_journal
from compozy.durable.records import accept
from compozy.durable.runtime import Runtime
from compozy.durable.step import transact
from compozy.errors import CompozyError, ConflictError, RunCanceledError, UsageError
from compozy.ids import new_execution_id
from compozy.transfer.load import delete_runs
from compozy.transfer.sections import list_sections
from compozy.workflow.rerun import BATCH, RerunRequest

MAX_ITEMS = 10_000
TASK = "batch"
# Runs that one transaction changes: other runs wait for it.
_AT_ONCE = 20
_OPEN = frozenset(status for status in Status if not status.is_final)
_ENDED = frozenset(status for status in Status if status.is_final) - {Status.MOVED}


class Action(StrEnum):
    """The operation of a batch."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RERUN = "rerun"
    DELETE = "delete"


# The states in which an action has an effect.
_APPLIES_TO = {
    Action.CANCEL: _OPEN,
    Action.PAUSE: _OPEN - {Status.PAUSED},
    Action.RESUME: frozenset({Status.PAUSED}),
    Action.RERUN: _ENDED,
    Action.DELETE: _ENDED,
}


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """The operation on many runs.

    Args:
        action: the operation.
        ids: the runs; None for those of `wanted`.
        wanted: the filter that chooses them.
        reason: error message of canceled runs.
        execution_id: ID of the batch; None makes one.
        labels: labels of the batch.
    """

    action: Action
    ids: Sequence[str] | None = None
    wanted: ExecutionFilter | None = None
    reason: str = "canceled by a batch"
    execution_id: str | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


def choose_runs(connection: sa.Connection, request: BatchRequest) -> list[str]:
    """Return the IDs of the runs of a batch.

    Raises:
        UsageError: neither or both of IDs and filter are given, or there are more than 10,000 runs.
    """
    if (request.ids is None) == (request.wanted is None):
        raise UsageError("a batch needs either `ids` or `filter`")
    if request.wanted is not None:
        ids = list_ids(connection, request.wanted, limit=MAX_ITEMS + 1)
    else:
        ids = list(dict.fromkeys(map(check_execution_id, request.ids or ())))
    if len(ids) > MAX_ITEMS:
        raise UsageError(f"a batch has at most {MAX_ITEMS} executions", hint="use a narrower filter")
    return ids


def preview(connection: sa.Connection, request: BatchRequest) -> dict[str, Any]:
    """Return the result that a batch would have, and change nothing; raises like `choose_runs`."""
    items: list[dict[str, Any]] = []
    for run_id in choose_runs(connection, request):
        refused = _refusal(request.action, run_id, get_status(connection, run_id))
        items.append(_item(run_id, refused))
    return _output(request.action, items)


def prepare_batch(connection: sa.Connection, request: BatchRequest, trigger: Trigger) -> NewExecution:
    """Return the run of a batch; raises like `choose_runs`."""
    ids = choose_runs(connection, request)
    return NewExecution(
        workflow_exec_id=new_execution_id()
        if request.execution_id is None
        else check_execution_id(request.execution_id),
        workflow_id=f"batch/{request.action}",
        input={"action": request.action.value, "ids": ids, "reason": request.reason},
        definition={"kind": BATCH},
        journal_format=JOURNAL_FORMAT,
        trigger=trigger,
        labels=check_labels(request.labels),
    )


async def start_batch(runtime: Runtime, new: NewExecution) -> bool:
    """Accept a batch; False if a run with this ID exists."""
    return await runtime.submit(new, TASK, kind=BATCH)


Rerun = tuple[NewExecution, str, str]
"""A new run that repeats another one, with the ID and the kind of its first task."""
PrepareRerun = Callable[[RerunRequest], Awaitable[Rerun]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One step of a batch: the runs to change, and their reruns or why there are none."""

    run: Execution
    action: Action
    ids: Sequence[str]
    reruns: dict[str, Rerun | CompozyError]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Executes batches.

    Each step changes up to 20 runs and records their results in one transaction, so that a crash repeats nothing.
    """

    database: Database
    prepare_rerun: PrepareRerun

    async def execute(self, run: Execution) -> None:
        """Execute one batch to its end, or resume it.

        Raises:
            DatabaseError: it cannot continue here; it stays open.
        """
        action = Action(run.input["action"])
        items: list[dict[str, Any]] = []
        chosen: list[str] = run.input["ids"]
        for number, start in enumerate(range(0, len(chosen), _AT_ONCE)):
            # In one order, so that two batches do not wait for each other.
            ids = sorted(chosen[start : start + _AT_ONCE])
            new = await self._reruns(run, ids) if action is Action.RERUN else {}
            work = Work(run=run, action=action, ids=ids, reruns=new)
            items += await transact(f"{TASK}.{number}", partial(self.apply, work=work))
        await transact(f"{TASK}.end", partial(_record_end, run=run, output=_output(action, items)))

    async def _reruns(self, run: Execution, ids: Sequence[str]) -> dict[str, Rerun | CompozyError]:
        """Return the reruns of runs, or why there is none."""
        found: dict[str, Rerun | CompozyError] = {}
        for run_id in ids:
            new_id = f"batch-{hashlib.sha256(f'{run.workflow_exec_id}/{run_id}'.encode()).hexdigest()[:32]}"
            request = RerunRequest(execution_id=run_id, new_id=new_id, by=run.started_by, batch=run.workflow_exec_id)
            try:
                found[run_id] = await self.prepare_rerun(request)
            except (ConflictError, UsageError) as error:
                found[run_id] = error
        return found

    def apply(self, connection: sa.Connection, work: Work) -> list[dict[str, Any]]:
        """Change the runs of one step and return their results."""
        items: list[dict[str, Any]] = []
        for run_id in work.ids:
            refused = _refusal(work.action, run_id, get_status(connection, run_id))
            new_id = None
            if refused is None:
                try:
                    new_id = self._change(connection, work, run_id)
                except (ConflictError, UsageError) as error:
                    refused = error
            items.append(_item(run_id, refused, new_id))
        return items

    def _change(self, connection: sa.Connection, work: Work, run_id: str) -> str | None:
        """Change one run; return the ID of its rerun."""
        match work.action:
            case Action.CANCEL:
                request_cancel(connection, run_id, RunCanceledError(work.run.input["reason"]).to_json())
            case Action.PAUSE:
                request_pause(connection, run_id)
            case Action.RESUME:
                resume_run(connection, run_id)
            case Action.DELETE:
                has = has_journal(self.database, connection)
                sections = [part for part in list_sections(self.database) if has or not part.in_journal]
                keep_costs(connection, [run_id])
                delete_runs(connection, sections, [run_id])
            case Action.RERUN:
                return _accept(connection, work.reruns[run_id])
        return None


def _accept(connection: sa.Connection, rerun: Rerun | CompozyError) -> str:
    if isinstance(rerun, CompozyError):
        raise rerun
    new, first_task, kind = rerun
    accept(connection, new, first_task=first_task, kind=kind, owner=None)
    return new.workflow_exec_id


def _refusal(action: Action, run_id: str, status: Status | None) -> CompozyError | None:
    """Return why an action does not apply to a run."""
    if status is None:
        return UsageError(f"execution {run_id!r} not found in this database")
    if status not in _APPLIES_TO[action]:
        return ConflictError(f"execution {run_id!r} is {status.value}")
    return None


def _item(run_id: str, refused: CompozyError | None, new_id: str | None = None) -> dict[str, Any]:
    return {
        "execution_id": run_id,
        "outcome": "done" if refused is None else "refused",
        "message": None if refused is None else refused.message,
        "new_execution_id": new_id,
    }


def _output(action: Action, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    done = sum(item["outcome"] == "done" for item in items)
    return {
        "action": action.value,
        "matched": len(items),
        "done": done,
        "refused": len(items) - done,
        "items": list(items),
    }


def _record_end(connection: sa.Connection, run: Execution, output: dict[str, Any]) -> None:
    task = NewTask(workflow_exec_id=run.workflow_exec_id, workflow_id=run.workflow_id, path=TASK)
    # The results are those of the run; the task does not repeat them.
    counts = {name: value for name, value in output.items() if name != "items"}
    finish_task(connection, task.task_exec_id, TaskEnd(status=Status.SUCCESS, attempts=1, output=counts))
    finish_execution(connection, run.workflow_exec_id, Status.SUCCESS, output=output)
