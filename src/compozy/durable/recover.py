"""Recovery of runs that other processes left: their state in the journal, and how they are resumed.

The journal's own recovery only knows one executor id, and `DBOS._recover_pending_workflows` is private. A run that this
process has claimed in the tables is put on a queue that only this process reads; the engine then hands it over with a
new owner token, and whatever the former owner still tries to record is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial

import structlog
from dbos import DBOS, WorkflowHandleAsync

from compozy.database.database import Database
from compozy.database.executions import Execution, get_execution, get_status, release_run
from compozy.database.executors import has_expired_executors, list_executor_ids, reap_expired_executors
from compozy.database.failures import explain_failures
from compozy.database.status import Status
from compozy.durable.journal import resume_queue_name
from compozy.durable.lease import Lease
from compozy.durable.records import end_unknown
from compozy.errors import DatabaseError, NotFoundError

_log = structlog.get_logger(__name__)

# Each look costs three statements. A process that has resumed a run looks from then on.
_QUEUE_POLL_S = 0.2
# How often a process looks for others that are gone.
_SUPERVISE_S = 1.0
_OPEN_IN_JOURNAL = ["PENDING", "ENQUEUED", "DELAYED"]


class RunStart(Enum):
    """How a claimed run begins, by what the journal knows of it."""

    FRESH = "fresh"
    RESUME = "resume"
    CANCELED = "canceled"
    ENDED = "ended"


class BodyEnd(Enum):
    """How the execution of a run came back."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    SUSPENDED = "suspended"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    LOST = "lost"


async def find_start(run_id: str) -> RunStart:
    """Return how to start a run."""
    known = await DBOS.get_workflow_status_async(run_id)
    if known is None:
        return RunStart.FRESH
    if known.status in _OPEN_IN_JOURNAL:
        return RunStart.RESUME
    return RunStart.CANCELED if known.status == "CANCELLED" else RunStart.ENDED


async def resume(run_id: str, executor_id: str) -> WorkflowHandleAsync[None]:
    """Make the engine call the run again in this process, immediately and with its recorded steps."""
    queue = resume_queue_name(executor_id)
    if await DBOS.retrieve_queue_async(queue) is None:
        # Only now: most processes never resume anything, and each queue costs a poll.
        await DBOS.register_queue_async(queue, polling_interval_sec=_QUEUE_POLL_S, on_conflict="always_update")
    return await DBOS.resume_workflow_async(run_id, queue_name=queue)


async def reconcile(database: Database, executor_id: str) -> list[str]:
    """Make the journal agree with the tables about runs that ended just before their process died.

    Returns:
        Runs whose end is recorded and whose journal entry is open: replaying them closes it, and does nothing else.
    """
    await _delete_queues_of_dead(database)
    entries = await DBOS.list_workflows_async(status=_OPEN_IN_JOURNAL, load_input=False, load_output=False)
    # Read after the entries: the process of each entry signed on before it.
    others = set(await database.read_async(list_executor_ids)) - {executor_id}
    to_replay: list[str] = []
    for entry in entries:
        if entry.executor_id in others:
            continue
        status = await database.read_async(lambda c, run_id=entry.workflow_id: get_status(c, run_id))
        if status in {Status.CANCELED, Status.TIMED_OUT}:
            await DBOS.cancel_workflow_async(entry.workflow_id)
        elif status in {Status.SUCCESS, Status.FAILED}:
            to_replay.append(entry.workflow_id)
    return to_replay


async def free_left_runs(database: Database, executor_id: str) -> int:
    """Free the runs that other processes left, as this one starts; return how many.

    The holder of a file's lock is alone: all other processes are gone, whatever their leases say.

    Raises:
        DatabaseError: the database refused.
    """
    except_id = executor_id if database.is_exclusive else None
    return (await database.write_async(partial(reap_expired_executors, except_id=except_id))).runs


async def supervise(database: Database, lease: Lease, begin: Callable[[str], None], stop: asyncio.Event) -> None:
    """Take over the runs of processes that are gone until `stop`; apart from claims, which wait for none of it.

    Args:
        database: shared by several processes.
        lease: of this process.
        begin: called for each run that is to be replayed.
        stop: ends it.
    """
    while not stop.is_set():
        try:
            if lease.can_judge():
                for run_id in await take_over(database, lease.executor_id):
                    begin(run_id)
        except DatabaseError as error:
            _log.warning("cannot take over runs", cause=error.message)
        except Exception:  # noqa: BLE001 - the worker's edge: the next look may succeed
            _log.exception("cannot take over runs")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _SUPERVISE_S)


async def take_over(database: Database, executor_id: str) -> list[str]:
    """Free the runs of processes whose lease expired, for any process to claim.

    Returns:
        Runs to replay, see `reconcile`.

    Raises:
        DatabaseError: the database refused.
    """
    if not await database.read_async(has_expired_executors):
        return []
    reaped = await database.write_async(reap_expired_executors)
    if not reaped.executors and not reaped.runs:
        # The remaining rows are locked; the server ends an idle transaction.
        return []
    _log.info("leases expired; the runs of these processes are free", processes=reaped.executors, runs=reaped.runs)
    with explain_failures(database.location):
        return await reconcile(database, executor_id)


async def find_run(database: Database, run_id: str) -> Execution | None:
    """Return one run; None if the database does not contain it."""
    try:
        return await database.read_async(partial(get_execution, workflow_exec_id=run_id))
    except NotFoundError:
        return None


async def let_go_of_lost(database: Database, run_id: str, executor_id: str) -> bool:
    """Release a run that cannot be recorded here, unless another process has it or it has ended.

    A standby that became the primary lacks commits that it had not received: it may know neither the run nor what the
    journal recorded of it. If the journal contains the run, another execution of it
    is about to begin in this process, and the run is kept.

    Returns:
        Whether the run ended in this process after all, because only the answer to the commit of its end was lost:
        replaying it closes its journal entry.

    Raises:
        sqlalchemy.exc.DBAPIError: the journal refused.
        DatabaseError: the database refused.
    """
    run = await find_run(database, run_id)
    if run is not None and run.status in {Status.SUCCESS, Status.FAILED}:
        known = await DBOS.get_workflow_status_async(run_id)
        return known is not None and known.status in _OPEN_IN_JOURNAL and known.executor_id == executor_id
    if run is None:
        _log.error("the database does not contain this execution any more; it stops here", execution_id=run_id)
    elif run.owner == executor_id and await find_start(run_id) is RunStart.FRESH:
        _log.warning("the journal does not contain this execution any more; it starts again", execution_id=run_id)
        await database.write_async(partial(release_run, workflow_exec_id=run_id, owner=executor_id))
    return False


async def end_or_let_go(database: Database, run_id: str, executor_id: str, start: RunStart) -> bool:
    """Do what a claimed run needs that the journal cannot resume; False if it can.

    Raises:
        DatabaseError: the database refused.
    """
    if start in {RunStart.CANCELED, RunStart.ENDED}:
        await database.write_async(partial(end_unknown, run_id=run_id, is_canceled=start is RunStart.CANCELED))
    elif start is RunStart.FRESH:
        # The database lost its entry since this process claimed the run.
        await let_go_of_lost(database, run_id, executor_id)
    return start is not RunStart.RESUME


async def forget_queue(executor_id: str) -> None:
    """Delete the queue of this process, where it ever needed one."""
    queue = resume_queue_name(executor_id)
    if await DBOS.retrieve_queue_async(queue) is not None:
        await DBOS.delete_queue_async(queue)


async def _delete_queues_of_dead(database: Database) -> None:
    queues = [queue.name for queue in await DBOS.list_queues_async()]
    # Asked after the queues, so that one of a process that signs on just now is not taken for a dead one's.
    living = {resume_queue_name(executor_id) for executor_id in await database.read_async(list_executor_ids)}
    for name in queues:
        if name.startswith(resume_queue_name("")) and name not in living:
            await DBOS.delete_queue_async(name)
