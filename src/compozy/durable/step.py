"""The two ways to do something once: a recorded call, and a recorded transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS
from dbos._context import EnterDBOSStepCtx, snapshot_step_context
from dbos._dbos import _get_dbos_instance  # pyright: ignore[reportPrivateUsage] - see `transact`
from dbos._error import DBOSWorkflowCancelledError, DBOSWorkflowConflictIDError

from compozy.database.failures import explain_failures
from compozy.errors import CompozyError, DatabaseError, InternalError, restore_error

_log = structlog.get_logger(__name__)

# How messages call the database of the run that is executed.
database_location: ContextVar[str] = ContextVar("database_location", default="")


async def step(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """Run `call` once in the life of the run and record what came of it, a value or an error; replays return that.

    Args:
        name: what the journal calls it; a replay must come with the same names in the same order.
        call: returns JSON. It may be run again when the process dies before its result is recorded.

    Raises:
        CompozyError: what `call` raised, now or when it was recorded.
        DatabaseError: the database refused; nothing was recorded.
        asyncio.CancelledError: the run was canceled, or another process has it now; nothing was recorded.
    """

    async def recorded() -> dict[str, Any]:
        try:
            return {"value": await call()}
        except DatabaseError:
            raise
        except CompozyError as error:
            return {"error": error.to_json()}
        except Exception as error:  # noqa: BLE001 - the worker's edge: a defect fails the run, not the process
            _log.exception("a step broke", step=name)
            return {"error": InternalError(f"{type(error).__name__}: {error}").to_json()}

    with _engine_failures():
        result = await DBOS.run_step_async({"name": name}, recorded)
    if "error" in result:
        raise restore_error(result["error"])
    return result["value"]


async def transact(name: str, change: Callable[[sa.Connection], Any]) -> Any:
    """Run `change` and record its result in the journal in *one* transaction, so that tables and journal agree.

    DBOS does so for its own schedules and offers it to nobody else: a step of its public interface would commit twice,
    and a crash between the two would leave them apart. tests/integration/durable/test_step.py fails when a release
    of DBOS changes what is used here.

    Args:
        name: as for `step`.
        change: uses only the connection it is given, and returns JSON. Tried again when the database is locked.

    Returns:
        What `change` returned, now or when it was recorded.

    Raises:
        DatabaseError: the database refused; nothing was stored.
        asyncio.CancelledError: the run was canceled, or another process has it now; nothing was stored. Also when the
            caller was canceled meanwhile: then the transaction was ended first, one way or the other.
    """
    context = snapshot_step_context()
    if context is None or not context.is_workflow():
        raise InternalError(f"the transaction {name!r} was begun outside of a run")

    def commit() -> Any:
        with EnterDBOSStepCtx({"name": name}, context) as entered:
            journal = _get_dbos_instance()._sys_db  # pyright: ignore[reportPrivateUsage] - see above
            return journal.call_txn_as_step(entered.workflow_id, entered.curr_step_function_id, name, change)

    committing = asyncio.ensure_future(asyncio.to_thread(commit))
    with _engine_failures():
        try:
            return await asyncio.shield(committing)
        except asyncio.CancelledError:
            # A thread cannot be stopped: whoever cancels must not look before it is known what was stored.
            await asyncio.wait({committing})
            raise


@contextmanager
def _engine_failures() -> Generator[None, None, None]:
    """Translate what the engine raises when it could not record."""
    try:
        with explain_failures(database_location.get()):
            yield
    except (DBOSWorkflowCancelledError, DBOSWorkflowConflictIDError) as error:
        raise asyncio.CancelledError from error
