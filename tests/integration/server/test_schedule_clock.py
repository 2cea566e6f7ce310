"""Schedules while clocks are set forward and back by an hour, and while processes are stopped."""

from __future__ import annotations

import calendar
import signal
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from compozy.clock import format_time
from compozy.database.schedules import StoredSchedule, get_schedule
from compozy.scheduler.loop import Scheduler
from compozy.server.service import Service
from tests.harness.forks import shorten_leases
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import write_project
from tests.harness.servers import start_server
from tests.harness.stores import open_store
from tests.integration.server.conftest import DRIVERS, open_service

MINUTE = 60_000
HOUR = 60 * MINUTE
# Real clocks do not reach it during a test, so only the clock of the test starts runs.
START = "2099-01-01T00:00:00Z"
START_MS = 4_070_908_800_000
# The run of a tick is still open when the next ones come.
WAIT = [{"id": "hold", "type": "wait", "wait_for": "go"}]
LEASE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The ticks whose runs start, in minutes from the first one, and the numbers of skipped ticks by reason."""

    started: tuple[int, ...]
    skipped: dict[str, int]
    buffered: int | None = None


def _effect(*started: int, missed: int, overlap: int = 0, buffered: int | None = None) -> Effect:
    skipped = {"missed": missed, "overlap": overlap}
    return Effect(started=started, skipped={name: count for name, count in skipped.items() if count}, buffered=buffered)


# The run of tick 0 is open when the clock is set forward by an hour: ticks 10 to 50 are late, and tick 60 is on time.
# `catch_up: all` requires `overlap_policy: allow`.
AFTER_AN_HOUR: dict[tuple[str, str], Effect] = {
    ("skip", "none"): _effect(missed=5, overlap=1),
    ("skip", "latest"): _effect(missed=5, overlap=1),
    ("allow", "none"): _effect(60, missed=5),
    ("allow", "latest"): _effect(60, missed=5),
    ("allow", "all"): _effect(10, 20, 30, 40, 50, 60, missed=0),
    ("buffer_one", "none"): _effect(missed=5, buffered=60),
    ("buffer_one", "latest"): _effect(missed=5, buffered=60),
    ("cancel_other", "none"): _effect(60, missed=5),
    ("cancel_other", "latest"): _effect(60, missed=5),
}
# The scheduler continues two minutes after tick 60, so that this tick is late, too.
AFTER_A_STOP: dict[tuple[str, str], Effect] = {
    key: effect if key[1] != "none" else _effect(missed=6) for key, effect in AFTER_AN_HOUR.items()
}


def _workflows() -> dict[str, Any]:
    return {
        f"{kind}-{overlap}-{catch_up}": {
            "schedule": {"every": "10m", "start_at": START, "overlap_policy": overlap, "catch_up": catch_up},
            "tasks": WAIT,
        }
        for kind in ("stepped", "stopped")
        for overlap, catch_up in AFTER_AN_HOUR
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Service]:
    """One service for all tests; each uses its own schedule."""
    async with open_service(request.param, tmp_path_factory.mktemp("clock"), _workflows()) as opened:
        yield opened


@dataclass
class Clocked:
    """One schedule whose clock the test sets."""

    service: Service
    schedule_id: str

    async def at(self, now_ms: int) -> StoredSchedule:
        """Set the clock, let a new scheduler look twice, and return the stored row."""
        app = self.service.app
        workflows = {self.schedule_id: app.project.workflows[self.schedule_id]}
        project = replace(app.project, workflows=workflows)

        def clock(_: sa.Connection) -> int:
            return now_ms

        scheduler = Scheduler(project=project, database=app.database, wake=app.runtime.wake, clock=clock)
        for _ in range(2):
            await scheduler.round()
        found = await app.database.read_async(partial(get_schedule, schedule_id=self.schedule_id))
        assert found is not None
        return found

    def check(self, row: StoredSchedule, effect: Effect) -> None:
        """Compare runs and row with an effect, in addition to the run of the first tick."""
        query = sa.text("SELECT workflow_exec_id FROM workflow_states WHERE workflow_id = :id ORDER BY 1")
        with self.service.app.database.read() as connection:
            found = list(connection.execute(query, {"id": self.schedule_id}).scalars())
        ticks = [START_MS + minutes * MINUTE for minutes in (0, *effect.started)]
        assert found == [f"sched-{self.schedule_id}-{_compact(tick_ms)}" for tick_ms in ticks]
        assert (row.fired, row.skipped) == (len(ticks), effect.skipped)
        assert row.buffered_ms == (None if effect.buffered is None else START_MS + effect.buffered * MINUTE)
        assert row.tick_ms == START_MS + 70 * MINUTE


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("overlap", "catch_up"), AFTER_AN_HOUR)
async def test_the_clock_is_set_forward_and_back_by_an_hour(service: Service, overlap: str, catch_up: str) -> None:
    schedule = Clocked(service, f"stepped-{overlap}-{catch_up}")
    effect = AFTER_AN_HOUR[overlap, catch_up]
    assert (await schedule.at(START_MS)).fired == 1
    forward = await schedule.at(START_MS + HOUR)
    schedule.check(forward, effect)
    # Set back, nothing starts a second time, neither during the hour nor at its end.
    for minutes in (0, 10, 30, 60, 69):
        assert await schedule.at(START_MS + minutes * MINUTE) == forward
    later = await schedule.at(START_MS + 70 * MINUTE)
    assert later.tick_ms == START_MS + 80 * MINUTE


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("overlap", "catch_up"), AFTER_AN_HOUR)
async def test_no_process_looks_for_an_hour(service: Service, overlap: str, catch_up: str) -> None:
    schedule = Clocked(service, f"stopped-{overlap}-{catch_up}")
    await schedule.at(START_MS)
    late = await schedule.at(START_MS + 62 * MINUTE)
    schedule.check(late, AFTER_A_STOP[overlap, catch_up])
    assert await schedule.at(START_MS + 62 * MINUTE) == late


@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_stopped_server_misses_nothing_and_starts_nothing_twice(
    driver: str, commands: Commands, tmp_path: Path, port_of_file: None
) -> None:
    """On PostgreSQL, a second server starts the runs meanwhile, and the stopped one continues with an old view."""
    schedule = {"every": "1s", "overlap_policy": "allow", "catch_up": "all"}
    with open_store(driver, tmp_path) as store:
        tasks = [{"id": "pass", "with": {"x": 1}}]
        write_project(store.home, {"ticks": {"schedule": schedule, "tasks": tasks}}, database=store.section)
        conditions = Conditions(before=partial(shorten_leases, LEASE_S))
        count = 2 if driver == "postgres" else 1
        servers = [start_server(commands, store.home, conditions=conditions) for _ in range(count)]
        stopped = servers[0].command

        def ended() -> int:
            return int(store.query("SELECT count(*) FROM workflow_states WHERE status = 'SUCCESS'")[0][0])

        stopped.until(lambda: ended() >= 3)
        stopped.send(signal.SIGSTOP)
        # Longer than the lease.
        time.sleep(3 * LEASE_S)
        stopped.send(signal.SIGCONT)
        before = ended()
        servers[-1].command.until(lambda: ended() >= before + 5)
        for server in servers:
            server.command.send(signal.SIGTERM)
            assert server.command.wait().status == 0
        found = [run_id for (run_id,) in store.query("SELECT workflow_exec_id FROM workflow_states ORDER BY 1")]
        [(fired, skipped, first)] = store.query(
            "SELECT fired, skipped, (SELECT min(workflow_exec_id) FROM workflow_states) FROM schedules"
        )
    start = time.strptime(str(first).rpartition("-")[2], "%Y%m%dT%H%M%SZ")
    ticks = [time.gmtime(calendar.timegm(start) + number) for number in range(len(found))]
    assert found == [f"sched-ticks-{time.strftime('%Y%m%dT%H%M%SZ', tick)}" for tick in ticks]
    assert (fired, skipped) == (len(found), "{}")


def _compact(tick_ms: int) -> str:
    return str(format_time(tick_ms)).partition(".")[0].replace("-", "").replace(":", "") + "Z"
