"""`compozy schedule` without a server: files and database of the project."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from compozy.project.load import load_project
from compozy.scheduler.stored import store_schedules
from compozy.storage import close_storage, open_storage
from tests.conftest import RunCli
from tests.harness.projects import states, write_project

TASKS = [{"id": "pass", "with": {"x": 1}}]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two schedules, and no database yet."""
    daily = {"cron": "0 9 * * *", "timezone": "Asia/Tokyo", "start_at": "2099-01-01T00:00:00Z"}
    ended = {"every": "1h30m", "end_at": "2020-01-01T00:00:00Z"}
    return write_project(
        tmp_path, {"daily": {"schedule": daily, "tasks": TASKS}, "past": {"schedule": ended, "tasks": TASKS}}
    )


def store(folder: Path) -> None:
    """Store the schedules like a server does when it starts."""
    loaded = load_project(None, cwd=folder, environ={})
    database = open_storage(loaded, wait_for_lock_s=0.0)
    try:
        asyncio.run(database.write_async(lambda connection: store_schedules(connection, loaded)))
    finally:
        close_storage(database)


def test_the_files_are_sufficient_for_a_list(cli: RunCli, project: Path) -> None:
    done = cli("schedule", "list")
    assert done.out.splitlines() == [
        "SCHEDULE  STATE   NEXT                      LAST  STARTED  SKIPPED  TIMES",
        "daily     active  2099-01-01T00:00:00.000Z  -     0        0        At 09:00 every day (Asia/Tokyo)",
        "past      ended   -                         -     0        0        Every 1h30m",
    ]
    assert done.status == 0


def test_next_times_have_the_zone_of_the_schedule(cli: RunCli, project: Path) -> None:
    assert cli("schedule", "next", "daily", "--count", "2").out.splitlines() == [
        "UTC                       Asia/Tokyo",
        "2099-01-01T00:00:00.000Z  2099-01-01T09:00:00+09:00",
        "2099-01-02T00:00:00.000Z  2099-01-02T09:00:00+09:00",
    ]


def test_pause_and_resume(cli: RunCli, project: Path) -> None:
    store(project)
    assert cli("schedule", "pause", "daily").out == "Schedule 'daily' is paused\n"
    listed = cli("schedule", "list")
    assert "daily     paused  -" in listed.out
    assert listed.err == "note: daily: paused by a command\nnote: daily: differs from the file: enabled\n"
    # The times are shown as if it were active.
    following = cli("schedule", "next", "daily", "--count", "1")
    assert "2099-01-01T00:00:00.000Z" in following.out
    assert following.err == "note: the schedule is paused and starts no runs\n"
    resumed = json.loads(cli("schedule", "resume", "daily", "--format", "json").out)
    assert (resumed["state"], resumed["next_at"], resumed["differs_from_file"]) == (
        "active",
        "2099-01-01T00:00:00.000Z",
        [],
    )


def test_runs_are_stored_for_the_next_process(cli: RunCli, project: Path) -> None:
    store(project)
    assert cli("schedule", "trigger", "past").out.startswith("Started execution sched-past-")
    done = cli("schedule", "backfill", "past", "--start", "2019-12-31T20:00:00Z", "--end", "2020-06-01T00:00:00Z")
    assert done.out.splitlines() == [
        "sched-past-20191231T210000Z",
        "sched-past-20191231T223000Z",
        "sched-past-20200101T000000Z",
    ]
    assert done.err == "Started 3 runs\n"
    again = cli("schedule", "backfill", "past", "--start", "2020-01-01T00:00:00Z", "--end", "2020-01-01T00:00:00Z")
    assert again.err == "Started 0 runs; 1 run existed\n"
    assert set(states(project)) == {("PENDING", None)}
    assert "expected a time with its offset" in cli("schedule", "backfill", "past", "--start", "x", "--end", "y").err


def test_a_project_that_was_never_started_has_nothing_to_pause(cli: RunCli, project: Path) -> None:
    done = cli("schedule", "pause", "daily")
    assert done.status != 0
    assert "the project does not have a database yet" in done.err
    assert "`enabled: false` in the file of the workflow pauses a schedule" in done.err


def test_an_unknown_schedule_is_named(cli: RunCli, project: Path) -> None:
    done = cli("schedule", "pause", "dayly")
    assert done.err == "Error: schedule 'dayly' not found\n  did you mean 'daily'?\n"
    assert done.status != 0


def test_a_project_without_schedules(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"plain": {"tasks": TASKS}})
    done = cli("schedule", "list")
    assert (done.out, done.err) == ("", "This project has no schedules; add `schedule:` to a workflow.\n")
