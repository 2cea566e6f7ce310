"""Schedules start runs, on both databases, with a clock that the test advances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from structlog.testing import capture_logs

from compozy.clock import format_time
from compozy.database.executions import Execution
from compozy.database.lists import ExecutionFilter, list_executions
from compozy.database.schedules import StoredSchedule, get_schedule
from compozy.database.status import Status
from compozy.database.trigger import Trigger
from compozy.project.load import load_project
from compozy.scheduler.fire import Candidate, Fired, Prepared, fire
from compozy.scheduler.loop import Scheduler
from compozy.scheduler.stored import store_schedules
from compozy.server.service import Service
from tests.integration.server.conftest import (
    API,
    DRIVERS,
    LOOPBACK,
    check_problem,
    make_client,
    open_service,
    until_ended,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3_600_000
# Real clocks do not reach it during a test, so only the clock of the test starts runs.
YEARLY = "0 0 1 1 *"
ECHO = [{"id": "pass", "with": {"all": "{{ .input }}"}}]
WAIT = [{"id": "hold", "type": "wait", "wait_for": "go"}]
AT = {"at": "{{ .trigger.scheduled_at }}"}
BAD = [{"id": "fail", "type": "router", "condition": '"a"', "routes": {"b": "end"}}, {"id": "end", "with": {"x": 1}}]
TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "plain": {"schedule": {"cron": YEARLY, "input": AT}, "tasks": ECHO, "output": {"got": "{{ .workflow.input.at }}"}},
    "raced": {"schedule": {"cron": "0 * 1 1 *", "overlap_policy": "allow", "catch_up": "all"}, "tasks": ECHO},
    "skips": {"schedule": {"cron": YEARLY}, "tasks": WAIT},
    "buffers": {"schedule": {"cron": YEARLY, "overlap_policy": "buffer_one"}, "tasks": WAIT},
    "replaces": {"schedule": {"cron": YEARLY, "overlap_policy": "cancel_other"}, "tasks": WAIT},
    "stops": {"schedule": {"cron": YEARLY, "pause_on_failure": True}, "tasks": BAD},
    "wrong": {"schedule": {"cron": YEARLY, "input": {"n": "{{ .trigger.id }}"}}, "input": TYPED, "tasks": ECHO},
    "changed": {"schedule": {"cron": YEARLY}, "tasks": ECHO},
    "broken": {"schedule": {"cron": YEARLY}, "tasks": ECHO},
    "calm": {"schedule": {"cron": YEARLY, "overlap_policy": "allow"}, "tasks": ECHO},
    "several": {"schedules": [{"id": "a", "cron": YEARLY}, {"id": "b", "every": "366d"}], "tasks": ECHO},
}


@dataclass
class Bench:
    """A service, and a scheduler of one of its schedules whose clock the test sets."""

    service: Service
    client: httpx.AsyncClient
    now_ms: int = 0

    def scheduler(self, *workflow_ids: str) -> Scheduler:
        """Return a scheduler that knows only these workflows."""
        project = self.service.app.project
        known = {name: workflow for name, workflow in project.workflows.items() if name in workflow_ids}
        limited = replace(project, workflows=known)
        app = self.service.app
        return Scheduler(project=limited, database=app.database, wake=app.runtime.wake, clock=self.clock)

    def clock(self, _: sa.Connection) -> int:
        """Return the time of the test."""
        return self.now_ms

    async def row(self, schedule_id: str) -> StoredSchedule:
        """Return the stored row of a schedule."""
        found = await self.service.app.database.read_async(partial(get_schedule, schedule_id=schedule_id))
        assert found is not None
        return found

    async def tick(self, workflow_id: str, late_ms: int = 0) -> int:
        """Advance the clock to the next time of a schedule, check once, and return that time."""
        row = await self.row(workflow_id)
        assert row.tick_ms is not None
        self.now_ms = row.tick_ms + late_ms
        await self.scheduler(workflow_id).round()
        return row.tick_ms

    async def runs(self, workflow_id: str) -> list[Execution]:
        """Return the runs of a workflow, the oldest first."""
        query = partial(list_executions, wanted=ExecutionFilter(workflow_id=workflow_id), limit=1000)
        return (await self.service.app.database.read_async(query))[::-1]

    async def until(self, workflow_id: str, index: int, *statuses: Status) -> Execution:
        """Wait until a run of a workflow has one of these states."""
        for _ in range(3000):
            runs = await self.runs(workflow_id)
            if len(runs) > index and runs[index].status in statuses:
                return runs[index]
            await asyncio.sleep(0.02)
        raise AssertionError(f"run {index} of {workflow_id} is not {statuses}")

    async def until_stored(self, schedule_id: str, is_so: Callable[[StoredSchedule], bool]) -> StoredSchedule:
        """Run checks of a scheduler until a schedule is stored as expected, by it or by that of the service."""
        for _ in range(3000):
            await self.scheduler(schedule_id).round()
            if is_so(row := await self.row(schedule_id)):
                return row
            await asyncio.sleep(0.02)
        raise AssertionError(f"{schedule_id} stays as it is")

    async def signal(self, run: Execution) -> None:
        """Let a waiting run end."""
        await self.service.signal(run.workflow_exec_id, "go", None, signal_id=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Bench]:
    """One service for all tests; each uses its own schedules."""
    async with (
        open_service(request.param, tmp_path_factory.mktemp("schedules"), WORKFLOWS) as service,
        make_client(service, LOOPBACK) as client,
    ):
        yield Bench(service=service, client=client)


async def test_a_scheduled_time_starts_a_run_with_its_input(bench: Bench) -> None:
    tick_ms = await bench.tick("plain")
    run = await bench.until("plain", 0, Status.SUCCESS)
    assert run.workflow_exec_id.startswith("sched-plain-")
    assert run.workflow_exec_id.endswith("0101T000000Z")
    assert run.input == {"at": format_time(tick_ms)}
    assert run.output == {"got": format_time(tick_ms)}
    assert run.trigger == Trigger(type="schedule", id="plain")
    found = await bench.client.get(f"{API}/executions/workflows/{run.workflow_exec_id}")
    assert (found.status_code, found.json()["status"]) == (200, "SUCCESS")
    row = await bench.row("plain")
    assert (row.fired, row.last_tick_ms, row.last_execution_id) == (1, tick_ms, run.workflow_exec_id)
    assert row.tick_ms is not None
    assert row.tick_ms >= tick_ms + 365 * 24 * HOUR


async def test_many_schedulers_start_each_time_once(bench: Bench) -> None:
    first_ms = (await bench.row("raced")).tick_ms
    assert first_ms is not None
    bench.now_ms = first_ms + 23 * HOUR
    schedulers = [bench.scheduler("raced") for _ in range(4)]
    for _ in range(5):
        await asyncio.gather(*(scheduler.round() for scheduler in schedulers))
    ids = [run.workflow_exec_id for run in await bench.runs("raced")]
    assert len(ids) == len(set(ids)) == 24
    row = await bench.row("raced")
    assert (row.fired, row.skipped) == (24, {})


async def test_a_clock_that_is_set_back_starts_nothing_twice(bench: Bench) -> None:
    before = await bench.row("raced")
    bench.now_ms -= HOUR
    await bench.scheduler("raced").round()
    assert await bench.row("raced") == before


async def test_an_open_run_skips_the_next_time(bench: Bench) -> None:
    await bench.tick("skips")
    run = await bench.until("skips", 0, Status.WAITING)
    skipped_ms = await bench.tick("skips")
    row = await bench.row("skips")
    assert (row.fired, row.skipped) == (1, {"overlap": 1})
    assert row.last_skip == {"tick_ms": skipped_ms, "reason": "overlap", "message": ""}
    shown = (await bench.client.get(f"{API}/schedules/skips")).json()
    assert shown["skipped"] == {"overlap": 1}
    assert shown["last_skip"] == {"at": format_time(skipped_ms), "reason": "overlap", "message": ""}
    await bench.signal(run)
    await bench.until("skips", 0, Status.SUCCESS)
    await bench.tick("skips")
    assert len(await bench.runs("skips")) == 2


async def test_one_time_waits_for_the_end_of_the_open_run(bench: Bench) -> None:
    await bench.tick("buffers")
    run = await bench.until("buffers", 0, Status.WAITING)
    waiting_ms = await bench.tick("buffers")
    await bench.tick("buffers")
    row = await bench.row("buffers")
    assert (row.fired, row.buffered_ms, row.skipped) == (1, waiting_ms, {"overlap": 1})
    await bench.signal(run)
    await bench.until("buffers", 0, Status.SUCCESS)
    # Whichever scheduler checks first: this one, or that of the service.
    row = await bench.until_stored("buffers", lambda row: row.fired == 2)
    assert (row.buffered_ms, row.last_tick_ms) == (None, waiting_ms)


async def test_the_next_time_cancels_the_open_run(bench: Bench) -> None:
    await bench.tick("replaces")
    await bench.until("replaces", 0, Status.WAITING)
    await bench.tick("replaces")
    canceled = await bench.until("replaces", 0, Status.CANCELED)
    assert canceled.error is not None
    assert canceled.error["message"] == "replaced by the next run of schedule replaces"
    await bench.until("replaces", 1, Status.WAITING)
    assert (await bench.row("replaces")).fired == 2


async def test_a_failed_run_pauses_the_schedule(bench: Bench) -> None:
    await bench.tick("stops")
    failed = await bench.until("stops", 0, Status.FAILED)
    row = await bench.until_stored("stops", lambda row: row.tick_ms is None)
    assert row.next_ms is None
    shown = (await bench.client.get(f"{API}/schedules/stops")).json()
    assert (shown["state"], shown["reason"]) == ("paused", f"execution {failed.workflow_exec_id} failed")
    assert shown["differs_from_file"] == ["enabled"]
    resumed = (await bench.client.patch(f"{API}/schedules/stops", json={"enabled": True})).json()
    assert (resumed["state"], resumed["reason"], resumed["differs_from_file"]) == ("active", None, [])
    # The failure does not pause it a second time.
    bench.now_ms = 0
    await bench.scheduler("stops").round()
    assert (await bench.row("stops")).tick_ms is not None


async def test_an_invalid_input_skips_the_time_and_is_shown(bench: Bench) -> None:
    await bench.tick("wrong")
    row = await bench.row("wrong")
    assert (row.fired, row.skipped) == (0, {"invalid_input": 1})
    assert row.last_skip is not None
    assert "the input does not match the schema of workflow 'wrong'" in row.last_skip["message"]
    assert row.tick_ms is not None


async def test_changes_last_until_the_file_changes(bench: Bench) -> None:
    path = f"{API}/schedules/changed"
    project, database = bench.service.app.project, bench.service.app.database
    paused = (await bench.client.patch(path, json={"enabled": False})).json()
    assert (paused["state"], paused["next_at"], paused["reason"]) == ("paused", None, "paused by a request")
    changed = (
        await bench.client.patch(path, json={"enabled": True, "cron": "30 4 1 1 *", "timezone": "Asia/Tokyo"})
    ).json()
    assert changed["differs_from_file"] == ["cron", "timezone"]
    assert changed["next_at"].endswith("-12-31T19:30:00.000Z")
    # A restart with the same file.
    await database.write_async(partial(store_schedules, project=project))
    assert (await bench.client.get(path)).json() == changed
    removed = (await bench.client.delete(path)).json()
    assert (removed["state"], removed["differs_from_file"]) == ("removed", ["cron", "timezone", "removed"])
    assert (await bench.row("changed")).next_ms is None
    # A restart with another file.
    file = project.workflows["changed"].file
    text = file.read_text()
    try:
        file.write_text(text.replace(YEARLY, "15 0 1 1 *"))
        newer = load_project(None, cwd=project.root, environ={})
        await database.write_async(partial(store_schedules, project=newer))
        row = await bench.row("changed")
        assert (row.changes, row.spec["cron"]) == (None, "15 0 1 1 *")
        assert row.next_ms is not None
    finally:
        file.write_text(text)
        await database.write_async(partial(store_schedules, project=project))
    assert (await bench.client.get(path)).json()["differs_from_file"] == []


async def test_a_schedule_that_was_removed_from_its_file_is_deleted(bench: Bench) -> None:
    project, database = bench.service.app.project, bench.service.app.database
    without = {name: workflow for name, workflow in project.workflows.items() if name != "several"}
    smaller = replace(project, workflows=without)
    await database.write_async(partial(store_schedules, project=smaller))
    with database.read() as connection:
        ids = set(connection.execute(sa.text("SELECT schedule_id FROM schedules")).scalars())
    assert ids == set(WORKFLOWS) - {"several"}
    await database.write_async(partial(store_schedules, project=project))


async def test_the_next_times_and_names(bench: Bench) -> None:
    answer = (await bench.client.get(f"{API}/schedules/several.a/next", params={"count": 2})).json()
    assert [each["local"][4:] for each in answer["next"]] == ["-01-01T00:00:00+00:00"] * 2
    listed = (await bench.client.get(f"{API}/schedules")).json()["schedules"]
    assert {each["schedule_id"] for each in listed} == {*WORKFLOWS, "several.a", "several.b"} - {"several"}
    assert next(each for each in listed if each["schedule_id"] == "several.b")["description"] == "Every 366d"
    # A workflow with one schedule is enough to name it; one with several is not.
    check_problem(await bench.client.get(f"{API}/schedules/several"), 404)
    check_problem(await bench.client.get(f"{API}/schedules/nothing"), 404)


@pytest.mark.parametrize(
    "body",
    [
        {"cron": "60 * * * *"},
        {"timezone": "Mars/Base"},
        {"every": 0.5},
        {"every": -1},
        {"input": {}},
        {"enabled": "maybe"},
    ],
)
async def test_invalid_changes_are_refused(bench: Bench, body: dict[str, Any]) -> None:
    before = await bench.row("plain")
    check_problem(await bench.client.patch(f"{API}/schedules/plain", json=body), 400, 422)
    assert await bench.row("plain") == before


async def test_a_run_in_addition_to_the_times(bench: Bench) -> None:
    before = await bench.row("changed")
    started = await bench.client.post(f"{API}/schedules/changed/trigger", json={})
    assert started.status_code == 202, started.text
    run = await until_ended(bench.client, f"{API}/executions/workflows/{started.json()['execution_id']}")
    assert (run["status"], run["trigger"]) == ("SUCCESS", {"type": "schedule", "id": "changed", "by": None})
    assert await bench.row("changed") == before


async def test_past_times_are_filled_once(bench: Bench) -> None:
    path, period = (
        f"{API}/schedules/several.a/backfill",
        {"start": "2020-01-01T00:00:00Z", "end": "2022-06-01T00:00:00Z"},
    )
    wanted = [f"sched-several.a-{year}0101T000000Z" for year in (2020, 2021, 2022)]
    first = (await bench.client.post(path, json=period)).json()
    assert first == {"schedule_id": "several.a", "started": wanted, "existing": []}
    assert (await bench.client.post(path, json=period)).json() == {**first, "started": [], "existing": wanted}
    run = await until_ended(bench.client, f"{API}/executions/workflows/{wanted[0]}")
    assert run["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("schedule", "start", "end"),
    [
        ("several.a", "2022-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        ("several.a", "2022-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
        ("several.a", "2022-01-01", "2022-01-02"),
        ("raced", "1000-01-01T00:00:00Z", "2022-01-01T00:00:00Z"),
    ],
)
async def test_invalid_periods(bench: Bench, schedule: str, start: str, end: str) -> None:
    answer = await bench.client.post(f"{API}/schedules/{schedule}/backfill", json={"start": start, "end": end})
    check_problem(answer, 400, 422)


async def test_a_failing_schedule_does_not_hold_up_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await bench.row("broken")
    assert row.tick_ms is not None
    bench.now_ms = row.tick_ms
    tries: list[str] = []

    def fail(connection: sa.Connection, candidate: Candidate, prepared: Prepared, *, first: tuple[str, str]) -> Fired:
        if candidate.effective.stored.schedule_id == "broken":
            tries.append("broken")
            raise RuntimeError("unforeseen")
        return fire(connection, candidate, prepared, first=first)

    monkeypatch.setattr("compozy.scheduler.loop.fire", fail)
    scheduler = bench.scheduler("broken", "calm")
    with capture_logs() as logs:
        for _ in range(3):
            await scheduler.round()
    assert (await bench.row("calm")).fired == 1
    assert (await bench.row("broken")).tick_ms == row.tick_ms
    # It is logged and tried once, and again after a while: here, by a process that starts.
    assert tries == ["broken"]
    failures = [entry for entry in logs if entry["event"].startswith("a schedule failed")]
    assert [entry["schedule"] for entry in failures] == ["broken"]
    monkeypatch.undo()
    await bench.scheduler("broken").round()
    assert (await bench.row("broken")).fired == 1


async def test_a_time_whose_run_cannot_be_prepared_is_skipped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    with monkeypatch.context() as patch:
        patch.setattr("compozy.scheduler.prepare.prepare_run", fail)
        await bench.tick("calm")
    row = await bench.row("calm")
    assert row.skipped == {"internal_error": 1}
    assert row.last_skip is not None
    assert row.last_skip["message"] == "internal error: RuntimeError"
    await bench.tick("calm")
    assert (await bench.row("calm")).fired == row.fired + 1
