"""The two ways to do something once, a recorded call and a recorded transaction; and one for what may be done again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from compozy.clock import by_clock, stopped_clock
from compozy.database.database import Database
from compozy.database.jsontext import dump_json
from compozy.durable.context import Recorded, RunContext, current_run
from compozy.durable.holder import Record
from compozy.durable.journal import JournalSerializer
from compozy.durable.journal_rows import check_serialization
from compozy.durable.unrecorded import Key
from compozy.errors import CompozyError, DatabaseError, InternalError, restore_error

_log = structlog.get_logger(__name__)

_STEP_COLUMNS = ("workflow_uuid", "function_id", "function_name", "output", "error", "serialization")


async def step(
    name: str,
    call: Callable[[], Awaitable[Any]],
    write: Callable[[sa.Connection, Any], None] | None = None,
    *,
    can_wait: bool = False,
) -> Any:
    """Run `call` once in the life of the run and record what came of it, a value or an error; replays return that.

    Args:
        name: what the journal calls it. It names the task by its path, so that a replay finds it again, whatever ran
            at the same time; steps of the same name come in the same order each time.
        call: returns JSON. It may be run again when the process dies before its result is recorded.
        write: changes tables in the transaction that records the value; not called for an error, nor on a replay. Tried
            again when the database is locked.
        can_wait: whether the value may be recorded with the next transaction of the run, before anything outside can
            see it; a moment later at the latest.

    Raises:
        CompozyError: what `call` raised, now or when it was recorded.
        DatabaseError: the database refused; nothing was recorded. This process keeps the result for the next try.
        RunSuspendedError: the run shall come to a halt; nothing was done.
        asyncio.CancelledError: the run was canceled, or another process has it now; nothing was recorded.
    """
    context = current_run()
    found = context.take(name)
    key = (context.run_id, name, context.turns(name))
    if found is None:
        context.check()
        await context.flush()
        outcome = await _record_outcome(context, key, call, write, can_wait=can_wait)
    else:
        context.unrecorded.drop(key)
        outcome = _output_of(found)
    if "error" in outcome:
        raise restore_error(outcome["error"])
    return outcome["value"]


def begin_step(name: str) -> str:
    """Return the name of the step that records the beginning of `name`; see `step_once`."""
    return f"{name}.begin"


async def step_once(
    name: str,
    call: Callable[[], Awaitable[Any]],
    unknown: Callable[[], Awaitable[Any]],
    write: Callable[[sa.Connection, Any], None] | None = None,
) -> Any:
    """Run `call` at most once in the life of the run, and record its result; replays return the recorded one.

    The step `<name>.begin` is recorded before `call` starts. If it is recorded and the result is not, a process ended
    while the call ran, and nobody knows whether it took effect: then `unknown` gives the result instead.

    Args:
        name: as for `step`.
        call: returns JSON, and raises no CompozyError.
        unknown: returns the result of a call with an unknown outcome; may be repeated.
        write: as for `step`.

    Raises:
        DatabaseError: the database refused. This process keeps the result for the next attempt.
        RunSuspendedError: the run is to be suspended; nothing was started.
        asyncio.CancelledError: as for `step`.
    """
    context = current_run()
    found, begun = context.take(name), context.take(begin_step(name))
    key = (context.run_id, name, context.turns(name))
    if found is not None:
        context.unrecorded.drop(key)
        return _output_of(found)["value"]
    if begun is not None:
        # A kept result is the one of this call, which this process could not record.
        return (await _record_outcome(context, key, unknown, write))["value"]
    # Both checks come before the beginning is recorded: what stops the run later cannot make the outcome unknown.
    context.check()
    await context.unrecorded.probe(context.run_id)
    await _record(context, begin_step(name), lambda _: {"value": None}, is_seen_through=True)
    return (await _record_outcome(context, key, call, write, is_probed=True))["value"]


async def _record_outcome(
    context: RunContext,
    key: Key,
    call: Callable[[], Awaitable[Any]],
    write: Callable[[sa.Connection, Any], None] | None,
    *,
    is_probed: bool = False,
    can_wait: bool = False,
) -> dict[str, Any]:
    """Run `call`, unless its result is known and could not be recorded so far, and record the result."""
    name = key[1]
    outcome = context.unrecorded.find(key)
    if outcome is None:
        if not is_probed:
            await context.unrecorded.probe(context.run_id)
        outcome = await _outcome_of(name, call)
    try:
        if can_wait and "error" not in outcome:
            await _record_later(context, key, outcome, write)
            return outcome
        if write is None or "error" in outcome:
            # It changes no table, so a cancellation does not need to know whether it was recorded.
            await _record(context, name, lambda _: outcome, is_seen_through=False)
        else:
            await _record(context, name, partial(_written, outcome, write), is_seen_through=True)
    except DatabaseError:
        context.unrecorded.keep(key, outcome)
        raise
    context.unrecorded.drop(key)
    return outcome


async def _record_later(
    context: RunContext, key: Key, outcome: dict[str, Any], write: Callable[[sa.Connection, Any], None] | None
) -> None:
    """Record a result with the next transaction; it is kept if the database refuses that.

    Raises:
        ValueError: JSON cannot represent the result. Later, this would fail all other records of the transaction.
    """
    dump_json(outcome)
    record = Record(
        change=(lambda _: outcome) if write is None else partial(_written, outcome, write),
        function_id=context.next_id(),
        name=key[1],
        told=[partial(context.unrecorded.drop, key)],
        refused=partial(context.unrecorded.keep, key, outcome),
    )
    await context.writer.defer(context.holder, record)


async def transact(name: str, change: Callable[[sa.Connection], Any]) -> Any:
    """Run `change` and record its result in the journal in *one* transaction, so that tables and journal agree.

    Args:
        name: as for `step`.
        change: uses only the connection it is given, and returns JSON. Tried again when the database is locked.

    Returns:
        What `change` returned, now or when it was recorded.

    Raises:
        DatabaseError: the database refused; nothing was stored.
        RunSuspendedError: the run shall come to a halt; nothing was stored.
        asyncio.CancelledError: the run was canceled, or another process has it now; nothing was stored. Also when the
            caller was canceled meanwhile: then the transaction was ended first, one way or the other.
    """
    context = current_run()
    found = context.take(name)
    if found is not None:
        return _output_of(found)
    context.check()

    return await _record(context, name, change, is_seen_through=True)


async def transact_later(
    name: str, change: Callable[[sa.Connection], object], result: Any, told: Callable[[], None]
) -> None:
    """Make `change` and record `result` with the next transaction of the run, before anything outside can see it.

    For what has no effect outside: if the process dies before, it is done again.

    Args:
        name: as for `step`.
        change: as for `transact`, with the time of now.
        result: JSON; replays return it.
        told: called when it is stored.

    Raises:
        DatabaseError: the database refused; nothing of what waits was stored.
        RunSuspendedError: the run is to be suspended; nothing was recorded.
        asyncio.CancelledError: as for `transact`.
    """
    context = current_run()
    context.take(name)
    context.check()

    def make(connection: sa.Connection) -> Any:
        change(connection)
        return result

    with by_clock(stopped_clock()):
        record = Record(change=make, function_id=context.next_id(), name=name, told=[told])
    await context.writer.defer(context.holder, record)


def tell(told: Callable[[], None]) -> None:
    """Call `told` when everything that this run has done so far is stored."""
    context = current_run()
    context.writer.tell(context.holder, told)


async def write(change: Callable[[sa.Connection], None]) -> None:
    """Run `change` in a transaction that the journal does not record; a replay makes it again, and it changes nothing.

    Raises:
        DatabaseError: the database refused; nothing was stored.
        RunSuspendedError: the run shall come to a halt; nothing was stored.
        asyncio.CancelledError: as for `transact`.
    """
    context = current_run()
    context.check()
    await context.writer.store(context.holder, Record(change=change), is_seen_through=True)


def _written(
    outcome: dict[str, Any], write: Callable[[sa.Connection, Any], None], connection: sa.Connection
) -> dict[str, Any]:
    write(connection, outcome["value"])
    return outcome


async def _outcome_of(name: str, call: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    try:
        return {"value": await call()}
    except DatabaseError:
        raise
    except CompozyError as error:
        return {"error": error.to_json()}
    except Exception as error:  # noqa: BLE001 - the worker's edge: a defect fails the run, not the process
        _log.exception("a step broke", step=name)
        return {"error": InternalError(f"{type(error).__name__}: {error}").to_json()}


async def _record(
    context: RunContext, name: str, change: Callable[[sa.Connection], Any], *, is_seen_through: bool
) -> Any:
    """Run `change` and record what it returns, in one transaction with the journal.

    DBOS does so for its own schedules and offers it to nobody else: a step of its public interface would commit twice,
    and a crash between the two would leave tables and journal apart. It would also number the steps by the order in
    which they begin, which is not the same again where branches run at the same time.
    """
    record = Record(change=change, function_id=context.next_id(), name=name)
    return await context.writer.store(context.holder, record, is_seen_through=is_seen_through)


def load_recorded(database: Database, run_id: str) -> list[Recorded]:
    """Return what the journal holds of a run.

    It is read past the engine, which would record that it was read, and pass on text that it cannot read as if it were
    the value.

    Raises:
        DatabaseError: the database refused, or a value is in another format than ours.
    """
    steps = sa.table("operation_outputs", *map(sa.column, _STEP_COLUMNS), schema=database.journal_schema)
    with database.read() as connection:
        rows = connection.execute(
            sa.select(steps).where(steps.c.workflow_uuid == run_id, steps.c.function_id > 0)
        ).all()
    try:
        return [_recorded(row) for row in rows]
    except ValueError as error:
        raise DatabaseError(
            f"the journal in {database.location} holds a step of execution {run_id!r} that Compozy did not write: "
            f"{error}",
            hint="nothing of it was used. Restore the database from a backup that you trust",
        ) from None


def _recorded(row: sa.Row[Any]) -> Recorded:
    check_serialization(row.serialization)
    serializer = JournalSerializer()
    return Recorded(
        function_id=row.function_id,
        name=row.function_name,
        output=None if row.output is None else serializer.deserialize(row.output),
        error=None if row.error is None else str(serializer.deserialize(row.error)),
    )


def _output_of(found: Recorded) -> Any:
    if found.error is not None:
        raise InternalError(f"the journal holds an internal error of the step {found.name!r}: {found.error}")
    return found.output
