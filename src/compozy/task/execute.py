"""One task, from its beginning to its recorded end: condition, input, attempts, time limit, outputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from structlog.contextvars import bound_contextvars

from compozy.boundary import stub_of
from compozy.clock import monotonic_s, now_ms
from compozy.database.status import Status
from compozy.database.tasks import (
    TaskEnd,
    count_attempt,
    end_open_below,
    finish_task,
    restore_task_end,
    start_task,
    store_input,
    task_key,
)
from compozy.durable.context import current_run, task_deadline_ms, time_limit
from compozy.durable.step import tell, transact, transact_later, write
from compozy.errors import CompozyError, ConflictError, DatabaseError, InternalError, TaskTimeoutError
from compozy.schema.worker import compute
from compozy.task.decide import decide
from compozy.task.fit import fit
from compozy.task.options import RetryPolicy
from compozy.task.registry import kind_of
from compozy.task.template_context import render_value
from compozy.task.tree import OnEnd, Outcome, TaskCall, TaskResult, end_step, runner_of
from compozy.telemetry.metrics import TASK_DURATION, TASK_RETRIES
from compozy.telemetry.traces import EXECUTION_ID, STATUS, TASK_PATH, TASK_TYPE, Span, span

_log = structlog.get_logger(__name__)

# Errors that the same data always causes: a retry would be a waste.
_SAME_AGAIN = frozenset(
    {"template_render", "template_syntax", "expression", "schema_mismatch", "usage", "items", "budget"}
)
_SKIPPED = {"skipped": True}
_ONCE = RetryPolicy(maximum_attempts=1)


async def run_task(call: TaskCall, *, started: bool, on_end: OnEnd) -> TaskResult:
    """Run a task, record its end together with what `on_end` adds, and return it; or return what is recorded.

    Args:
        call: the task.
        started: whether its row already has the status RUNNING.
        on_end: called with the result before it is stored, and returns what else is.

    Raises:
        RunSuspendedError: the run comes to a halt.
        DatabaseError: nothing was recorded, and the run cannot go on here.
    """
    if current_run().is_recorded(end_step(call.path)):
        return await recall(call)
    if not started:
        await write(lambda connection: start_task(connection, call.row()))
    tell(partial(call.run.report.task_began, call.run.execution_id, call.path))
    began_s = monotonic_s()
    with _observed(call) as shown:
        found = await _perform(call)
        shown.set(STATUS, found.end.status.value)
        if found.end.error is not None:
            shown.fail(str(found.end.error.get("code")))
    result = _result_of(call, found)
    after = await compute(partial(on_end, result))

    def record(connection: sa.Connection) -> dict[str, Any]:
        nonlocal found, result, after
        refusal = _write(found, connection)
        if refusal is not None:
            found = _performed(call, found.end.attempts, _failed(refusal))
            result = _result_of(call, found)
            after = on_end(result)
        _end_inside(connection, call, found)
        finish_task(connection, call.key, found.end)
        after.write(connection)
        return {**asdict(found.end), **after.record}

    if after.can_wait and found.write is None and kind_of(call.task).is_pure(call.task):
        stored = {**asdict(found.end), **after.record}
        told = partial(_tell_end, call, found.end, monotonic_s() - began_s)
        await transact_later(end_step(call.path), record, stored, told)
    else:
        stored = await transact(end_step(call.path), record)
        _tell_end(call, found.end, monotonic_s() - began_s)
    return replace(result, recorded=stored)


def _tell_end(call: TaskCall, end: TaskEnd, seconds: float) -> None:
    """Report that the end of a task is stored."""
    TASK_DURATION.observe(seconds, type=call.task.type)
    if end.attempts > 1:
        TASK_RETRIES.add(end.attempts - 1)
    call.run.report.task_ended(call.run.execution_id, call.path, end, replayed=False, seconds=seconds)


def _end_inside(connection: sa.Connection, call: TaskCall, found: _Performed) -> None:
    """End the tasks inside a task that were not needed any more, and the question about its budget."""
    if call.scopes or kind_of(call.task).may_have_children(call.task):
        end_open_below(connection, call.run.execution_id, call.path)
        for key, shown in _inputs_of_canceled(call, found):
            store_input(connection, key, shown)


def _result_of(call: TaskCall, found: _Performed) -> TaskResult:
    return TaskResult(id=call.id, kind=call.task.type, end=found.end, children=found.children, roots=found.roots)


def _write(found: _Performed, connection: sa.Connection) -> ConflictError | None:
    """Make the changes of a task that succeeded; return the conflict that refuses them."""
    try:
        if found.write is not None:
            found.write(connection)
    except ConflictError as error:
        return error
    return None


@contextmanager
def _observed(call: TaskCall) -> Generator[Span, None, None]:
    """Record the span of a task, and add its path to the log lines of everything inside."""
    about = {TASK_PATH: call.path, TASK_TYPE: call.task.type, EXECUTION_ID: call.run.execution_id}
    with span(f"task {call.id}", about) as shown, bound_contextvars(task=call.path):
        yield shown


def _inputs_of_canceled(call: TaskCall, found: _Performed) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield key and input of each task inside that began and was not needed any more; nothing else stores it."""
    base = replace(call, attempt=max(found.end.attempts, 1)).base
    for child in found.children.values():
        if child.end.status is Status.CANCELED and child.shown:
            yield task_key(call.run.execution_id, f"{base}/{child.id}"), dict(child.shown)


async def recall(call: TaskCall) -> TaskResult:
    """Return what is recorded of a task that has ended, and of those inside it."""
    stored = await transact(end_step(call.path), _never)
    end = restore_task_end(stored)
    # As its children saw it: their ids may be made of it.
    call.shown.update(end.input or {})
    given: Any = call.shown.get("with")
    inside = replace(call, attempt=max(end.attempts, 1), context=call.context.with_input(given))
    # A task that was skipped, or ran out of time, shows none.
    shows_none = end.status is Status.TIMED_OUT or end.output == _SKIPPED
    children = {} if shows_none else await runner_of(kind_of(call.task)).replay(inside, call.task, recall)
    call.run.report.task_ended(call.run.execution_id, call.path, end, replayed=True, seconds=0.0)
    return TaskResult(id=call.id, kind=call.task.type, end=end, children=children, recorded=stored)


@dataclass(kw_only=True)
class _Performed:
    """The result of a task, ready to be stored."""

    end: TaskEnd
    children: dict[str, TaskResult]
    roots: Mapping[str, Any]
    write: Callable[[sa.Connection], None] | None = None


async def _perform(call: TaskCall) -> _Performed:
    attempt = 1
    try:
        async with _time_limit(call):
            call = await _prepare(call)
            if await _is_skipped(call):
                return _performed(call, 1, Outcome(output=_SKIPPED))
            while True:
                outcome = await _attempt(replace(call, attempt=attempt))
                pause_s = _pause_s(call, attempt, outcome)
                if pause_s is None:
                    return _performed(call, attempt, outcome)
                attempt += 1
                await _pause(call, attempt, pause_s)
    except TaskTimeoutError as error:
        late = Outcome(status=Status.TIMED_OUT, error=error.to_json())
        return _performed(call, attempt, replace(late, output=runner_of(kind_of(call.task)).late_output))
    except DatabaseError:
        raise
    except CompozyError as error:
        return _performed(call, attempt, _failed(error))


def _performed(call: TaskCall, attempts: int, outcome: Outcome) -> _Performed:
    end = TaskEnd(
        status=outcome.status,
        attempts=attempts,
        input=call.shown,
        output=outcome.output,
        error=outcome.error,
        usage=call.usage or None,
    )
    write = outcome.write if outcome.status is Status.SUCCESS else None
    return _Performed(end=end, children=dict(outcome.children), roots=outcome.roots, write=write)


async def _attempt(call: TaskCall) -> Outcome:
    """Try a task once; what is wrong with it is in the outcome."""
    if (stub := stub_of(call.path)) is not None:
        status = Status.SUCCESS if stub.error is None else Status.FAILED
        return Outcome(status=status, output=stub.output, error=stub.error)
    try:
        outcome = await runner_of(kind_of(call.task)).run(call, call.task, run_task)
        return await _project(call, outcome) if outcome.status is Status.SUCCESS else outcome
    except DatabaseError:
        raise
    except CompozyError as error:
        return _failed(error)
    except Exception as error:  # noqa: BLE001 - the worker's edge: a defect fails the run, not the process
        _log.exception("a task broke", task=call.path, execution_id=call.run.execution_id)
        return _failed(InternalError(f"{type(error).__name__}: {error}"))


async def _prepare(call: TaskCall) -> TaskCall:
    """Return the task with its environment and its input in its context.

    Raises:
        TemplateError: one of them cannot be rendered.
        SchemaMismatchError: the input does not match.
    """
    task = call.task
    env: dict[str, str] = await compute(partial(render_value, task.env or {}, (*call.yaml_path, "env"), call.context))
    context = call.context.with_env(env)
    # The own `with` reads what the transition gave.
    below = context.with_input(call.given)
    own: dict[str, Any] = await compute(partial(render_value, task.with_ or {}, (*call.yaml_path, "with"), below))
    given = {**(call.inherited or {}), **own, **(call.given or {})}
    if task.input is not None:
        given = await fit(task.input, given, f"the input of task {call.id!r}")
    if task.with_ is not None or given:
        call.shown["with"] = given
    about = {"id": call.id, "type": task.type, "with": given, "env": dict(context.env)}
    return replace(call, context=context.with_input(given).with_roots(task=about, current=about, **{"with": given}))


async def _is_skipped(call: TaskCall) -> bool:
    task = call.task
    if task.condition is None or kind_of(task).condition != "skips":
        return False
    return not await compute(partial(decide, task.condition, (*call.yaml_path, "condition"), call.context))


async def _project(call: TaskCall, outcome: Outcome) -> Outcome:
    """Render the `outputs` of a task that succeeded, and check the result."""
    task, output = call.task, outcome.output
    if task.outputs is not None:
        children = {child_id: child.view() for child_id, child in outcome.children.items()}
        own: Any = {child_id: child.end.output for child_id, child in outcome.children.items()}
        own = own if kind_of(task).is_container else output
        context = call.context.with_roots(output=own, children=children, **outcome.roots)
        if children:
            context = replace(context.nested(), tasks=children)
        output = await compute(partial(render_value, task.outputs, (*call.yaml_path, "outputs"), context))
    # A model was held to the schema already.
    if task.output is not None and not kind_of(task).asks_model(task):
        output = await fit(task.output, output, f"the result of task {call.id!r}")
    for key in kind_of(task).kept_keys:
        output = {**output, key: outcome.output[key]}
    return replace(outcome, output=output)


def _pause_s(call: TaskCall, attempt: int, outcome: Outcome) -> float | None:
    """Return how long to wait before the next attempt, None when there is none."""
    policy = retry_policy(call)
    code = str((outcome.error or {}).get("code", ""))
    is_over = outcome.status is not Status.FAILED or attempt >= policy.maximum_attempts
    if is_over or code in _SAME_AGAIN or code in policy.non_retryable_error_types:
        return None
    return policy.pause_s(attempt)


def retry_policy(call: TaskCall) -> RetryPolicy:
    """Return how often a task is tried: as it says itself; for one that asks a model, as its workflow says."""
    task = call.task
    own = task.config.retry_policy if task.config is not None else None
    if kind_of(task).takes_prompt:
        own = _laid_over(own, call.run.options.retry_policy)
    if task.retries is not None:
        return (own or RetryPolicy()).model_copy(update={"maximum_attempts": task.retries + 1})
    return own or _ONCE


def _laid_over(near: RetryPolicy | None, far: RetryPolicy | None) -> RetryPolicy | None:
    """Return what the nearer policy says, and the other one where it says nothing."""
    if near is None or far is None:
        return near or far
    return far.model_copy(update={name: getattr(near, name) for name in near.model_fields_set})


async def _pause(call: TaskCall, attempt: int, pause_s: float) -> None:
    def store(connection: sa.Connection) -> int:
        count_attempt(connection, call.key, attempt)
        end_open_below(connection, call.run.execution_id, call.path)
        return now_ms() + int(pause_s * 1000)

    until_ms = await transact(f"{call.path}.retry", store)
    await current_run().wait(until_ms=until_ms)


@asynccontextmanager
async def _time_limit(call: TaskCall) -> AsyncGenerator[None, None]:
    """End the block when the time of the task is over; the end is recorded, so that a crash does not put it off.

    Raises:
        TaskTimeoutError: it is over.
    """
    options = call.task.config
    limit_s = call.task.timeout or (options.timeout if options is not None else None) or call.run.options.timeout
    if limit_s is None:
        yield
        return
    deadline_ms: int = await transact(f"{call.path}.deadline", lambda _: now_ms() + int(limit_s * 1000))
    above = task_deadline_ms.get()
    token = task_deadline_ms.set(deadline_ms if above is None else min(deadline_ms, above))
    limit: asyncio.Timeout | None = None
    try:
        async with time_limit(deadline_ms) as limit:
            yield
    except TimeoutError as error:
        if limit is None or not limit.expired():
            raise
        raise TaskTimeoutError(f"task {call.id!r} was not finished within {limit_s:g} s") from error
    finally:
        task_deadline_ms.reset(token)


def _failed(error: CompozyError) -> Outcome:
    return Outcome(status=Status.FAILED, error=error.to_json())


def _never(_: sa.Connection) -> None:
    raise InternalError("a recorded step was about to be done again")
