"""The loop of a server or worker that starts the runs of due schedules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
import structlog

from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.executions import NewExecution
from compozy.database.executors import read_clock_ms
from compozy.database.schedules import list_schedules, read_statuses
from compozy.errors import CompozyError, DatabaseError, InternalError
from compozy.project.loaded import LoadedProject
from compozy.scheduler.fire import Candidate, Fired, Prepared, fire
from compozy.scheduler.prepare import Preparer, run_id_of
from compozy.scheduler.stored import Effective, file_schedules, store_schedules
from compozy.schema.worker import validate_in_worker
from compozy.telemetry.metrics import SCHEDULE_FIRED, SCHEDULE_LAG, SCHEDULE_SKIPPED

_log = structlog.get_logger(__name__)

Clock = Callable[[sa.Connection], int]
# How often a process looks for due schedules, at least.
POLL_S = 1.0
_MIN_WAIT_S = 0.01
# A schedule that failed for an unforeseen reason is tried again after this time.
_HELD_S = 60.0


@asynccontextmanager
async def scheduling(
    project: LoadedProject,
    database: Database,
    wake: Callable[[], None],
    *,
    is_server: bool,
    clock: Clock = read_clock_ms,
) -> AsyncGenerator[None]:
    """Start the runs of the project's schedules until the block ends.

    Args:
        project: the checked project.
        database: the database, as runs use it.
        wake: called when a run was stored that no process executes yet.
        is_server: whether the files of this process say which schedules exist. A worker may lack workflow files.
        clock: the time, in ms since 1970 UTC; that of the leases.
    """
    if is_server:
        await database.write_async(partial(store_schedules, project=project, clock=clock))
    if not file_schedules(project):
        yield
        return
    scheduler = Scheduler(project=project, database=database, wake=wake, clock=clock)
    task = asyncio.create_task(scheduler.run(), name="schedules")
    try:
        yield
    finally:
        scheduler.stop()
        await task


class Scheduler:
    """Starts the runs of the schedules that the project of this process knows."""

    def __init__(
        self, *, project: LoadedProject, database: Database, wake: Callable[[], None], clock: Clock = read_clock_ms
    ) -> None:
        self._database = database
        self._wake = wake
        self._clock = clock
        self._known = project.workflows.keys()
        self._preparer = Preparer(project=project)
        self._stopping = asyncio.Event()
        self._held = _Held()

    def stop(self) -> None:
        """Start no more runs; `run` returns when the current transaction has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Start runs until `stop`. Failures of the database are logged, and the next round tries again."""
        while not self._stopping.is_set():
            wait_s = POLL_S
            try:
                wait_s = await self.round()
            except DatabaseError as error:
                _log.warning("cannot start the runs of schedules", cause=error.message)
            except Exception:  # noqa: BLE001 - the worker's edge: the next round tries again
                _log.exception("cannot look for due schedules")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(_MIN_WAIT_S, wait_s))

    async def round(self) -> float:
        """Start the runs that are due, and return the seconds until the next look.

        A schedule that fails for an unforeseen reason does not hold up the schedules after it.

        Raises:
            DatabaseError: the database failed. What was committed stays.
        """
        look = await self._database.read_async(self._look)
        has_more = False
        for candidate in look.due:
            has_more = await self._try_fire(candidate) or has_more
        if has_more:
            return 0.0
        wait_s = POLL_S if look.next_ms is None else (look.next_ms - look.clock_ms) / 1000
        return min(POLL_S, wait_s)

    def _look(self, connection: sa.Connection) -> _Look:
        clock_ms = self._clock(connection)
        rows = [row for row in list_schedules(connection) if row.workflow_id in self._known]
        statuses = read_statuses(connection, [run_id for row in rows for run_id in row.open_runs])
        candidates = [Candidate(effective=Effective(stored=row), statuses=statuses, clock_ms=clock_ms) for row in rows]
        later = [row.next_ms for row in rows if row.next_ms is not None and row.next_ms > clock_ms]
        return _Look(
            due=list(self._due(candidates)),
            next_ms=min(later, default=None),
            clock_ms=clock_ms,
        )

    def _due(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            schedule_id = candidate.effective.stored.schedule_id
            try:
                if candidate.is_due and not self._held.is_held(schedule_id):
                    yield candidate
            except Exception as error:  # noqa: BLE001 - such as a row of a newer version
                self._held.hold(schedule_id, error)

    async def _try_fire(self, candidate: Candidate) -> bool:
        """Start the runs of one schedule; return whether more are due.

        Raises:
            DatabaseError: the database failed.
        """
        schedule_id = candidate.effective.stored.schedule_id
        try:
            has_more = await self._fire(candidate)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - one schedule must not hold up the others
            self._held.hold(schedule_id, error)
            return False
        self._held.release(schedule_id)
        return has_more

    async def _fire(self, candidate: Candidate) -> bool:
        """Start the runs of one schedule; return whether more are due."""
        row = candidate.effective.stored
        tasks = self._preparer.workflow(row.workflow_id).tasks
        prepared = await validate_in_worker(partial(self._prepare, candidate))
        change = partial(fire, candidate=candidate, prepared=prepared, first=(tasks[0].id, tasks[0].type))
        fired = await self._database.write_async(change)
        _report(row.schedule_id, fired)
        if fired.started:
            self._wake()
        return fired.has_more

    def _prepare(self, candidate: Candidate) -> Prepared:
        """Return the run of each tick that is about to start one."""
        return {tick_ms: self._run_of(candidate, tick_ms) for tick_ms in candidate.decide().starts}

    def _run_of(self, candidate: Candidate, tick_ms: int) -> NewExecution | CompozyError:
        row = candidate.effective.stored
        run_id = run_id_of(row.schedule_id, tick_ms)
        try:
            return self._preparer.run(
                row.workflow_id, row.schedule_id, candidate.effective.config, tick_ms, execution_id=run_id
            )
        except CompozyError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the time is skipped, so that the next one starts its run
            _log.exception("a run of a schedule cannot be prepared", schedule=row.schedule_id)
            return InternalError(f"internal error: {type(error).__name__}")


@dataclass(frozen=True, kw_only=True)
class _Look:
    """The schedules that were due at one look, and the time of the next one."""

    due: Sequence[Candidate]
    next_ms: int | None
    clock_ms: int


@dataclass(kw_only=True)
class _Held:
    """Schedules that failed for an unforeseen reason: each is logged once for each reason, and tried again later."""

    _until_s: dict[str, float] = field(default_factory=dict[str, float])
    _reasons: dict[str, str] = field(default_factory=dict[str, str])

    def is_held(self, schedule_id: str) -> bool:
        return monotonic_s() < self._until_s.get(schedule_id, 0.0)

    def hold(self, schedule_id: str, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self._reasons.get(schedule_id) != reason:
            _log.error("a schedule failed; it is tried again later", schedule=schedule_id, exc_info=error)
        self._reasons[schedule_id] = reason
        self._until_s[schedule_id] = monotonic_s() + _HELD_S

    def release(self, schedule_id: str) -> None:
        self._reasons.pop(schedule_id, None)


def _report(schedule_id: str, fired: Fired) -> None:
    SCHEDULE_FIRED.add(len(fired.started), schedule=schedule_id)
    for lag_ms in fired.lags_ms:
        SCHEDULE_LAG.observe(lag_ms / 1000)
    for skip in fired.skips:
        SCHEDULE_SKIPPED.add(skip.count, schedule=schedule_id, reason=skip.reason.value)
    for run_id in fired.started:
        _log.info("run accepted", schedule=schedule_id, execution_id=run_id)
    for skip in fired.skips:
        _log.warning("scheduled runs skipped", schedule=schedule_id, reason=skip.reason.value, count=skip.count)
    if fired.paused is not None:
        _log.warning("schedule paused", schedule=schedule_id, reason=fired.paused)
