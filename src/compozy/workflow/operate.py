"""Operations on existing runs: pause, resume, cancel, signal, approve.

Each is one transaction on the tables, from any process; whoever executes the run sees it within a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import sqlalchemy as sa

from compozy.clock import monotonic_s
from compozy.database.approvers import find_approver_problem
from compozy.database.database import Database
from compozy.database.executions import Execution, get_execution
from compozy.database.signals import Signal, send_signal
from compozy.database.tasks import TaskState, list_waiting_tasks
from compozy.database.transitions import request_cancel, request_pause, resume_run
from compozy.durable.records import Also
from compozy.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RunCanceledError,
    SchemaMismatchError,
    UsageError,
)
from compozy.ids import new_signal_id
from compozy.nearest import suggest
from compozy.schema import apply_defaults, validate_value
from compozy.schema.worker import validate_in_worker
from compozy.task.registry import KINDS
from compozy.template import has_actions
from compozy.workflow.answers import count_answers

MAX_NAME = 256
# How long a caller waits for the process that executes a run to do what was requested, and how often it looks.
_PATIENCE_S = 10.0
_POLL_S = 0.1
# How what does not match a form is given on the command line.
_OPTIONS = {"answer": "input", "payload": "payload"}


@dataclass(frozen=True, kw_only=True)
class SentSignal:
    """A signal that a run has got. `is_new` is False when the same one was sent before; `by` sent this one."""

    signal_id: str
    execution_id: str
    name: str
    is_new: bool
    by: str | None


async def wait_until_obeyed(database: Database, execution_id: str) -> Execution:
    """Wait for the process that executes a run to do what was requested, for 10 s at most, and return the run.

    Raises:
        NotFoundError: there is no such execution.
    """
    deadline_s = monotonic_s() + _PATIENCE_S
    while True:
        run = await database.read_async(partial(get_execution, workflow_exec_id=execution_id))
        if run.requested is None or monotonic_s() >= deadline_s:
            return run
        await asyncio.sleep(_POLL_S)


async def pause(database: Database, execution_id: str) -> Execution:
    """Request to pause a run: running steps end and are recorded, nothing new starts.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it has ended.
    """
    return await database.write_async(partial(request_pause, workflow_exec_id=execution_id))


async def resume(database: Database, execution_id: str) -> Execution:
    """Resume a paused run, as soon as a process has a free slot.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it is not paused.
    """
    return await database.write_async(partial(resume_run, workflow_exec_id=execution_id))


async def cancel(database: Database, execution_id: str, *, reason: str) -> Execution:
    """Request to cancel a run; a run that no process executes is canceled immediately.

    Raises:
        NotFoundError: there is none of this id.
        ConflictError: it has ended otherwise.
    """
    error = RunCanceledError(reason).to_json()
    return await database.write_async(partial(request_cancel, workflow_exec_id=execution_id, error=error))


async def signal(
    database: Database,
    execution_id: str,
    name: str,
    payload: Any,
    *,
    signal_id: str | None = None,
    by: str | None = None,
    also: Also | None = None,
) -> SentSignal:
    """Send a signal to a run; a task of it that waits for the name takes it, now or when it comes to wait.

    Args:
        database: holds the run.
        execution_id: the run.
        name: what its task waits for.
        payload: JSON.
        signal_id: chosen by the caller, so that sending twice counts once; None makes a new one.
        by: the user or the API key; None if it is not known.
        also: stores what belongs to a new signal, in the same transaction.

    Raises:
        NotFoundError: there is no such run, or nothing in it waits for the name.
        ForbiddenError: only tasks wait for it that accept no answer of `by`.
        SchemaMismatchError: a task waits for it with a form, which the payload does not match.
        ConflictError: it has ended.
    """
    waiting = await database.read_async(partial(_find_receivers, execution_id=execution_id, name=name, by=by))
    # Validation may take seconds: never while the database is locked.
    await validate_in_worker(partial(_check_payload, waiting, payload))
    sent = Signal(
        signal_id=signal_id or new_signal_id(), workflow_exec_id=execution_id, name=name, payload=payload, by=by
    )
    is_new = await database.write_async(partial(_send, sent=sent, also=also))
    return SentSignal(signal_id=sent.signal_id, execution_id=execution_id, name=name, is_new=is_new, by=by)


def _send(connection: sa.Connection, sent: Signal, also: Also | None) -> bool:
    is_new = send_signal(connection, sent)
    if is_new and also is not None:
        also(connection)
    return is_new


async def approve(
    database: Database, execution_id: str, given: Any, *, task: str | None = None, by: str | None = None
) -> SentSignal:
    """Fill in the form that a task of a run waits with.

    Args:
        database: holds the run.
        execution_id: the run.
        given: the answer; it must fit the form.
        task: id or path of the task; needed when several wait.
        by: the user or the API key; None if it is not known.

    Raises:
        NotFoundError: no such run, or no such task waits with a form.
        ForbiddenError: the task accepts no answer of `by`.
        SchemaMismatchError: the answer does not match.
    """
    waiting = await database.read_async(partial(_find_question, execution_id=execution_id, wanted=task, by=by))
    answer = await validate_in_worker(partial(_fit_form, waiting, given, "answer"))
    return await database.write_async(partial(_approve, waiting=waiting, answer=answer, wanted=task, by=by))


def _find_receivers(connection: sa.Connection, execution_id: str, name: str, by: str | None) -> list[TaskState]:
    """Return the tasks of a run that wait for a signal at this moment and accept one of `by`."""
    if not 0 < len(name) <= MAX_NAME:
        raise UsageError(f"the name of a signal has 1 to {MAX_NAME} characters")
    run = get_execution(connection, execution_id)
    if run.status.is_final:
        return []
    _check_name(run, name)
    waiting = [task for task in list_waiting_tasks(connection, execution_id) if task.waits_for == name]
    refused = [error for task in waiting if (error := _refuse_approver(connection, task, by)) is not None]
    if refused and len(refused) == len(waiting):
        raise refused[0]
    return waiting


def _check_name(run: Execution, name: str) -> None:
    """Refuse a signal that no task of the run will ever take."""
    names = list(_waited_for(run.definition.get("workflow")))
    if name in names or any(has_actions(known) for known in names):
        return
    known = f"it waits for {', '.join(sorted(set(names)))}" if names else "none of its tasks waits for a signal"
    raise NotFoundError(
        f"execution {run.workflow_exec_id!r} never waits for a signal {name!r}", hint=suggest(name, names) or known
    )


def _check_payload(waiting: Sequence[TaskState], payload: Any) -> None:
    """Refuse a payload that none of the tasks which wait for it at this moment can take."""
    refusals: list[SchemaMismatchError] = []
    for task in waiting:
        try:
            _fit_form(task, payload, "payload")
        except SchemaMismatchError as error:
            refusals.append(error)
    if refusals and len(refusals) == len(waiting):
        raise refusals[0]


def _fit_form(task: TaskState, given: Any, what: str) -> Any:
    """Return `given` with the defaults of the form that a task waits with; as it is where the task has none.

    Raises:
        SchemaMismatchError: it does not match.
    """
    asked: dict[str, Any] = task.output or {}
    form: dict[str, Any] | None = asked.get("form")
    if form is None:
        return given
    fitted = apply_defaults(form, {} if given is None else given)
    problems = validate_value(form, fitted)
    if problems:
        lines = "".join(f"\n  {path or what}: {message}" for path, message in problems)
        option, is_budget = _option_of(asked, given)
        raise SchemaMismatchError(
            f"the {what} does not match the form of task {task.path!r}:{lines}",
            hint=f"this budget is raised with --{option} N, and denied with --deny"
            if is_budget
            else f"--{option} raises a spent budget; answer this task with --input='{{...}}'"
            if option
            else f"give it with --{_OPTIONS[what]}='{{...}}'",
            http_hint=f"send it as `{_OPTIONS[what]}` in the body",
            details={"form": form, "problems": [{"path": path, "message": message} for path, message in problems]},
        )
    return fitted


def _option_of(asked: Mapping[str, Any], given: Any) -> tuple[str, bool]:
    """Return the option that raises a budget, and whether the task asks for it; "" if neither side names one."""
    if "budget" in asked:
        return asked["form"]["then"]["required"][0].replace("_", "-"), True
    keys: Mapping[str, Any] = cast("Mapping[str, Any]", given) if isinstance(given, dict) else {}
    return next((key.replace("_", "-") for key in keys if key.startswith("add_")), ""), False


def _waited_for(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        kind = KINDS.get(str(found.get("type")))
        name = found.get(kind.waits_for) if kind is not None and kind.waits_for else None
        if isinstance(name, str):
            yield name
        for below in found.values():
            yield from _waited_for(below)
    elif isinstance(value, (list, tuple)):
        for below in cast("list[Any]", value):
            yield from _waited_for(below)


def _find_question(connection: sa.Connection, execution_id: str, wanted: str | None, by: str | None) -> TaskState:
    """Return the task of `_find_form`, which accepts an answer of `by`."""
    found = _find_form(connection, execution_id, wanted)
    refusal = _refuse_approver(connection, found, by)
    if refusal is not None:
        raise refusal
    return found


def _refuse_approver(connection: sa.Connection, task: TaskState, by: str | None) -> ForbiddenError | None:
    """Return why a waiting task accepts no answer of `by`; None if it does."""
    asked: dict[str, Any] = task.output or {}
    approver: str | None = asked.get("approver")
    problem = None if approver is None else find_approver_problem(connection, task.workflow_exec_id, by)
    if problem is None:
        return None
    return ForbiddenError(
        f"task {task.path!r} accepts no answer of the user who started the run (`approver: {approver}`): {problem}",
        hint="ask another user of the server to answer with their API key or session",
        details={"task": task.path, "approver": approver, "by": by},
    )


def _approve(
    connection: sa.Connection, waiting: TaskState, answer: Any, wanted: str | None, by: str | None
) -> SentSignal:
    """Send an answer that fits the form of `waiting`, which must still wait with it."""
    execution_id = waiting.workflow_exec_id
    now = _find_form(connection, execution_id, wanted)
    asked: dict[str, Any] = now.output or {}
    consumed, is_answered = count_answers(connection, now)
    before: dict[str, Any] = waiting.output or {}
    is_same = now.task_exec_id == waiting.task_exec_id and bool(asked["form"] == before["form"])
    if not is_same or is_answered:
        raise ConflictError(f"task {waiting.path!r} has got its answer already")
    # One answer is kept at a time: a second one is refused until the condition of the task has declined the first.
    sent = Signal(
        signal_id=f"{waiting.task_exec_id}>approval-{consumed + 1}",
        workflow_exec_id=execution_id,
        name=str(waiting.waits_for),
        payload=answer,
        by=by,
    )
    if not send_signal(connection, sent):
        raise ConflictError(f"task {waiting.path!r} has got its answer already")
    return SentSignal(signal_id=sent.signal_id, execution_id=execution_id, name=sent.name, is_new=True, by=by)


def _find_form(connection: sa.Connection, execution_id: str, wanted: str | None) -> TaskState:
    """Return the one task of a run that waits with a form, or the one of them that is wanted."""
    run = get_execution(connection, execution_id)
    if run.status.is_final:
        raise ConflictError(f"execution {execution_id!r} is not waiting for an answer: it ended as {run.status.value}")
    waiting = [task for task in list_waiting_tasks(connection, execution_id) if "form" in (task.output or {})]
    found = [task for task in waiting if wanted in {None, task.path, task.task_id}]
    if len(found) == 1:
        return found[0]
    paths = ", ".join(task.path for task in waiting)
    if not waiting:
        raise NotFoundError(f"no task of execution {execution_id!r} waits for an approval")
    if not found:
        raise NotFoundError(
            f"no task {wanted!r} of execution {execution_id!r} waits for an approval", hint=f"these wait: {paths}"
        )
    raise UsageError(
        f"several tasks of execution {execution_id!r} wait for an approval",
        hint=f"name one with --task: {paths}",
        http_hint=f"name one as `task` in the body: {paths}",
    )
