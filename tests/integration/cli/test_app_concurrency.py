"""The number of runs that an opened project executes concurrently, and the order of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from compozy.app import App, open_app
from compozy.database.database import Database
from compozy.database.executions import count_by_status, get_execution
from compozy.database.lists import ExecutionFilter, list_executions
from compozy.database.status import Status
from compozy.database.tasks import TaskEnd, list_tasks
from compozy.project.definition import snapshot
from compozy.project.load import load_project
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, open_storage
from compozy.workflow.start import prepare_run, start_run
from tests.harness.projects import check_consistent, write_project

AT_ONCE, RUNS = 2, 9
WORKFLOW: dict[str, Any] = {"tasks": [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "b"}]}
RESPONSES = {"one": {"text": "x", "delay_ms": 60}, "two": {"text": "y", "delay_ms": 60}}


class Watcher:
    """Reads the tables each time that a task starts or ends."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.running: list[int] = []
        self.began: list[str] = []

    def task_began(self, execution_id: str, path: str) -> None:
        if path == "one":
            self.began.append(execution_id)
        self._look()

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """Say nothing."""

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        raise AssertionError(f"{path} waits for {signal}")

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        self._look()

    def _look(self) -> None:
        with self._database.read() as connection:
            running = list_executions(connection, ExecutionFilter(statuses=[Status.RUNNING]), limit=99)
        # Runs of a stopped process are RUNNING as well, without an owner.
        self.running.append(len([run for run in running if run.owner is not None]))


async def until_all_succeed(app: App, count: int) -> None:
    """Wait until the tables say so and the journal has recorded the end of each run."""
    while await app.database.read_async(count_by_status) != {Status.SUCCESS: count} or app.runtime.in_hand():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def load(folder: Path, path: str) -> LoadedProject:
    write_project(
        folder,
        {"w": WORKFLOW},
        responses=RESPONSES,
        runtime={"max_concurrent_workflows": AT_ONCE},
        database={"driver": "sqlite", "path": path},
    )
    return load_project(None, cwd=folder, environ={})


@pytest.mark.parametrize("path", ["./data/compozy.db", ":memory:"])
async def test_never_more_than_the_limit_run_and_the_rest_follows_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    project = load(tmp_path, path)
    assert project.concurrency == AT_ONCE
    database = open_storage(project, wait_for_lock_s=0)
    watcher = Watcher(database)
    workflow = project.workflow("w").config
    # Names in reverse alphabetical order: only the time of acceptance counts.
    ids = [f"run-{chr(ord('z') - number)}" for number in range(RUNS)]
    try:
        async with open_app(project, database, role="run", report=watcher) as app:
            for run_id in ids:
                new = prepare_run(workflow, snapshot(project, "w"), None, execution_id=run_id)
                assert await start_run(app.runtime, workflow, new)
                # Accepted in different milliseconds, so that their order is defined.
                await asyncio.sleep(0.002)
            with database.read() as connection:
                runs = {run.workflow_exec_id: run.status for run in list_executions(connection, limit=99)}
                first_tasks = [list_tasks(connection, run_id)[0].status for run_id in ids]
            waiting = [run_id for run_id in ids if runs[run_id] is Status.PENDING]
            assert waiting == ids[RUNS - len(waiting) :]
            assert first_tasks[RUNS - len(waiting) :] == [Status.PENDING] * len(waiting)
            assert Status.PENDING not in first_tasks[: RUNS - len(waiting)]
            await until_all_succeed(app, RUNS)
        with database.read() as connection:
            ended = [get_execution(connection, run_id) for run_id in ids]
    finally:
        close_storage(database)
    assert max(watcher.running) == AT_ONCE
    # Runs that are claimed together start together.
    assert sorted(watcher.began) == sorted(ids)
    assert all(abs(watcher.began.index(run_id) - place) < AT_ONCE for place, run_id in enumerate(ids))
    starts = [run.started_ms or 0 for run in ended]
    assert starts == sorted(starts)
    if path != ":memory:":
        check_consistent(tmp_path)


async def test_a_concurrent_burst_does_not_exceed_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = load(tmp_path, "./data/compozy.db")
    database = open_storage(project, wait_for_lock_s=0)
    watcher = Watcher(database)
    workflow = project.workflow("w").config
    try:
        async with open_app(project, database, role="run", report=watcher) as app:
            new = [prepare_run(workflow, snapshot(project, "w"), None) for _ in range(RUNS)]
            assert all(await asyncio.gather(*(start_run(app.runtime, workflow, one) for one in new)))
            assert not any(await asyncio.gather(*(start_run(app.runtime, workflow, one) for one in new)))
            await until_all_succeed(app, RUNS)
    finally:
        close_storage(database)
    assert max(watcher.running) == AT_ONCE
    assert sorted(watcher.began) == sorted(one.workflow_exec_id for one in new)
    check_consistent(tmp_path)


def test_waiting_runs_of_a_stopped_process_are_claimed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = load(tmp_path, "./data/compozy.db")
    workflow = project.workflow("w").config
    database = open_storage(project, wait_for_lock_s=0)

    async def accept() -> None:
        async with open_app(project, database, role="run", report=Watcher(database)) as app:
            for _ in range(5):
                await start_run(app.runtime, workflow, prepare_run(workflow, snapshot(project, "w"), None))

    asyncio.run(accept())
    with database.read() as connection:
        assert set(count_by_status(connection)) == {Status.RUNNING, Status.PENDING}
    close_storage(database)

    database = open_storage(project, wait_for_lock_s=0)
    watcher = Watcher(database)

    async def finish() -> None:
        async with open_app(project, database, role="run", report=watcher) as app:
            await until_all_succeed(app, 5)

    asyncio.run(finish())
    close_storage(database)
    assert max(watcher.running) <= AT_ONCE
    check_consistent(tmp_path)
