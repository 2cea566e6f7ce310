"""The two ways to do something once: a recorded call, and a recorded transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS
from dbos._context import EnterDBOSStepCtx, snapshot_step_context
from dbos._dbos import _get_dbos_instance  # pyright: ignore[reportPrivateUsage] - see `transact`

from compozy.errors import CompozyError, DatabaseError, InternalError, restore_error

_log = structlog.get_logger(__name__)


async def step(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """Run `call` once in the life of the run and record what came of it, a value or an error; replays return that.

    Args:
        name: what the journal calls it; a replay must come with the same names in the same order.
        call: returns JSON. It may be run again when the process dies before its result is recorded.

    Raises:
        CompozyError: what `call` raised, now or when it was recorded.
        DatabaseError: the database refused; nothing was recorded.
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
    """
    context = snapshot_step_context()
    if context is None or not context.is_workflow():
        raise InternalError(f"the transaction {name!r} was begun outside of a run")

    def commit() -> Any:
        with EnterDBOSStepCtx({"name": name}, context) as entered:
            journal = _get_dbos_instance()._sys_db  # pyright: ignore[reportPrivateUsage] - see above
            return journal.call_txn_as_step(entered.workflow_id, entered.curr_step_function_id, name, change)

    return await asyncio.to_thread(commit)
