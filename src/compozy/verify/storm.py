"""A verification: load and kills for some time, then the end of all runs, then the checks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from compozy.clock import monotonic_s
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_for_reading
from compozy.database.executions import count_by_status, get_execution
from compozy.database.lists import ALL_RUNS, list_ids
from compozy.database.scratch import Scratch, scratch_database
from compozy.database.status import OPEN
from compozy.errors import DatabaseError, ServerError
from compozy.ids import new_process_mark, random_below, random_between
from compozy.plural import plural
from compozy.storage import close_storage
from compozy.transfer.check import check_database
from compozy.verify.answers import Answers, serving
from compozy.verify.invariants import Observed, StoredRun, check_invariants, count_repeats
from compozy.verify.load import Load
from compozy.verify.processes import Processes
from compozy.verify.result import VerifyResult
from compozy.verify.scratch_project import STEPS, write_project

# Times between two kills.
_FEW_S, _MANY_S = 0.2, 3.0
# One in so many kills can hit a process that is still starting.
_STARTING_EVERY = 5
_SETTLE_S = 180.0
# Fewer accepted runs show nothing. A slow machine gets this much more time for them.
FEWEST_RUNS = 8
_SLOW_S = 300.0
_LOOK_S = 0.2
_REPORT_S = 10.0
_MAX_RUNS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of a verification.

    Args:
        seconds: how long processes are killed.
        processes: number of processes that execute runs.
        keep: whether the scratch database is kept.
    """

    seconds: float
    processes: int
    keep: bool = False


def verify(settings: DatabaseSettings, plan: Plan, report: Callable[[str], None]) -> VerifyResult:
    """Verify that a scratch database next to the given one loses and repeats nothing when processes are killed.

    Args:
        settings: the database; nothing of it is read or changed.
        plan: the parameters.
        report: receives a line about the progress from time to time.

    Raises:
        UsageError: the database is in memory.
        DatabaseError: the scratch database cannot be created or read.
        ServerError: no server can run on it, or too few runs were accepted.
    """
    answers = Answers()
    with (
        tempfile.TemporaryDirectory(prefix="compozy-verify-") as home,
        scratch_database(settings, f"compozy_verify_{new_process_mark()[:12]}") as scratch,
        serving(answers) as model_url,
    ):
        report(f"Verifying {scratch.location} for {plan.seconds:g} s...")
        config = write_project(Path(home), driver=settings.driver, model_url=model_url)
        environ = {"DB_DRIVER": settings.driver, **scratch.environ}
        processes = Processes(config=config, folder=Path(home), environ=environ, count=plan.processes)
        load = Load(processes.urls)
        try:
            processes.start()
            load.start()
            _Kills(processes=processes, load=load, answers=answers, report=report).go(plan.seconds)
            load.stop()
            _settle(processes, scratch)
            processes.stop()
        finally:
            load.stop()
            processes.close()
        result = _judge(scratch, plan, answers, load, processes)
        scratch.is_kept = result.kept is not None
    return result


@dataclass(kw_only=True)
class _Kills:
    """Kills processes at random. `asked` is the number of model requests at the last kill."""

    processes: Processes
    load: Load
    answers: Answers
    report: Callable[[str], None]
    asked: int = 0

    def go(self, seconds: float) -> None:
        """Kill processes for some time, at least one, and until runs were accepted: without them nothing is verified.

        Raises:
            ServerError: too few runs were accepted.
        """
        start_s = reported_s = monotonic_s()
        while monotonic_s() < start_s + seconds or not self._is_enough():
            if monotonic_s() > start_s + seconds + _SLOW_S:
                raise ServerError(f"only {len(self.load.accepted())} runs were accepted in {seconds + _SLOW_S:g} s")
            time.sleep(random_between(_FEW_S, min(_MANY_S, max(_FEW_S, seconds / 2))))
            self.processes.replace_ended()
            self._kill_one()
            if monotonic_s() - reported_s > _REPORT_S:
                reported_s = monotonic_s()
                self.report(f"{reported_s - start_s:.0f} s: {plural(self.processes.kills, 'process')} killed")

    def _is_enough(self) -> bool:
        return self.processes.kills > 0 and len(self.load.accepted()) >= FEWEST_RUNS

    def _kill_one(self) -> None:
        """Kill a process, unless no step was executed since the last kill: runs would never end on a slow machine."""
        asked = len(self.answers.requests())
        if asked > self.asked and self.processes.kill_one(while_starting=random_below(_STARTING_EVERY) == 0):
            self.asked = asked


def _settle(processes: Processes, scratch: Scratch) -> None:
    """Wait until all runs have ended; those that do not end in time are violations."""
    deadline_s = monotonic_s() + _SETTLE_S
    while monotonic_s() < deadline_s:
        processes.replace_ended()
        if processes.urls() and not _count_open(scratch):
            return
        time.sleep(_LOOK_S)


def _count_open(scratch: Scratch) -> int:
    database = _open(scratch)
    try:
        with database.read() as connection:
            counts = count_by_status(connection)
    finally:
        close_storage(database)
    return sum(count for status, count in counts.items() if status in OPEN)


def _judge(scratch: Scratch, plan: Plan, answers: Answers, load: Load, processes: Processes) -> VerifyResult:
    database = _open(scratch)
    try:
        with database.read() as connection:
            runs = _read_runs(connection)
        findings = [(finding.name, finding.fault) for finding in check_database(database)]
    finally:
        close_storage(database)
    requests = answers.requests()
    observed = Observed(
        steps=STEPS,
        sent=load.sent(),
        accepted=load.accepted(),
        runs=runs,
        requests=requests,
        findings=findings,
        exit_codes=processes.exit_codes,
    )
    invariants = check_invariants(observed)
    is_violated = any(invariant.violations for invariant in invariants)
    return VerifyResult(
        driver=scratch.settings.driver,
        location=scratch.location,
        seconds=plan.seconds,
        processes=plan.processes,
        kills=processes.kills,
        runs=len(runs),
        requests=len(requests),
        repeated_requests=count_repeats(requests),
        invariants=invariants,
        kept=scratch.location if plan.keep or is_violated else None,
    )


def _read_runs(connection: sa.Connection) -> list[StoredRun]:
    """Return every run. A verification stores some thousands at most."""
    runs = (get_execution(connection, run_id) for run_id in list_ids(connection, ALL_RUNS, limit=_MAX_RUNS))
    return [
        StoredRun(
            execution_id=run.workflow_exec_id,
            run=str(run.input["run"]),
            status=run.status.value,
            answers=_answers_of(run.output),
        )
        for run in runs
    ]


def _answers_of(output: Any) -> dict[str, str]:
    if not isinstance(output, dict):
        return {}
    answers = cast("dict[str, Any]", output)
    return {step: str(answer) for step, answer in answers.items()}


def _open(scratch: Scratch) -> Database:
    database = open_for_reading(scratch.settings, location=scratch.location)
    if database is None:
        raise DatabaseError(f"the scratch database {scratch.location} does not exist")
    return database
