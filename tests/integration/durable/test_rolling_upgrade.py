"""Two versions on one PostgreSQL database during a rolling restart: another journal format, and one more migration."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.database.migrate import REVISIONS
from compozy.durable.format import JOURNAL_FORMAT
from tests.harness.projects import write_project
from tests.harness.servers import API, ask, free_port
from tests.harness.stores import Store, open_store
from tests.harness.versions import NEW_FORMAT, NEW_REVISION, Process, Version, with_new_format, with_new_migration

_WORKFLOW = {
    "tasks": [
        {"id": "one", "with": {"number": 1}},
        {"id": "gate", "type": "wait", "wait_for": "go"},
        {"id": "two", "with": {"number": 2}},
    ],
    "output": {"sum": "{{ add .tasks.one.output.number .tasks.two.output.number }}"},
}
# A process with free slots looks for waiting runs each second.
_UNTOUCHED_S = 3.0

pytestmark = pytest.mark.usefixtures("clean_environ")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A project with a workflow that waits for a signal, on its own PostgreSQL database."""
    with open_store("postgres", tmp_path / "project") as opened:
        write_project(opened.home, {"gated": _WORKFLOW}, responses=[{"text": "unused"}], database=opened.section)
        yield opened


@pytest.fixture
def old() -> Iterator[Version]:
    """The version of the source tree."""
    version = Version()
    yield version
    for process in version.processes:
        process.end()


@pytest.mark.timeout(300)
def test_each_version_executes_runs_of_its_journal_format(store: Store, old: Version, tmp_path: Path) -> None:
    new = with_new_format(tmp_path / "new")
    try:
        server = old.start(store.home, "start", port=free_port())
        replaced = old.start(store.home, "worker", port=free_port())
        start_runs(server, "old-0", "old-1", "old-2")
        assert replaced.stop() == 0
        new_worker = new.start(store.home, "worker", port=free_port())
        new_server = new.start(store.home, "start", port=free_port())
        note = f"3 unfinished runs of journal format {JOURNAL_FORMAT} cannot be continued by this version"
        assert note in new_worker.log
        start_runs(new_server, "new-0", "new-1")
        # Any server passes signals on.
        send_signals(new_server, "old-0", "new-0")
        until_ended(store, "old-0", "new-0")
        # The old processes are gone; what waited for them stays as it was.
        assert server.stop() == 0
        send_signals(new_server, "old-1", "new-1")
        until_ended(store, "new-1")
        before = rows_of(store, "old-1", "old-2")
        time.sleep(_UNTOUCHED_S)
        assert rows_of(store, "old-1", "old-2") == before
        assert {status for _, status, _ in before} <= {"RUNNING", "WAITING", "PENDING"}
        doctor = new.run(store.home, "doctor")
        assert (
            f"2 unfinished runs of journal format {JOURNAL_FORMAT} cannot be continued by this version" in doctor.stdout
        )
        assert (new_worker.stop(), new_server.stop()) == (0, 0)
        # The old version finishes them.
        again = old.start(store.home, "start", port=free_port())
        send_signals(again, "old-2")
        until_ended(store, "old-1", "old-2")
        assert again.stop() == 0
    finally:
        end(new)
    assert steps_recorded_twice(store) == []
    formats = store.query("SELECT workflow_exec_id, journal_format FROM workflow_states ORDER BY 1")
    assert formats == [(f"{name}", NEW_FORMAT if name.startswith("new") else JOURNAL_FORMAT) for name, _ in formats]
    versions = store.query("SELECT workflow_uuid, application_version FROM {journal}workflow_status ORDER BY 1")
    assert versions == [(run, str(number)) for run, number in formats]
    assert all("Traceback" not in process.log for process in [*old.processes, *new.processes])


@pytest.mark.timeout(300)
def test_a_process_continues_while_a_newer_version_adds_a_column(store: Store, old: Version, tmp_path: Path) -> None:
    new = with_new_migration(tmp_path / "new")
    try:
        server = old.start(store.home, "start", port=free_port())
        start_runs(server, "before")
        migrated = new.run(store.home, "migrate", "up")
        assert (migrated.returncode, NEW_REVISION in migrated.stdout) == (0, True), migrated.stderr
        # The old server accepts and executes runs as before.
        start_runs(server, "after")
        send_signals(server, "before", "after")
        until_ended(store, "before", "after")
        # Another process of the old version does not start.
        refused = old.run(store.home, "worker")
        assert refused.returncode != 0
        supported = f"revision {NEW_REVISION}; this version supports up to {REVISIONS[-1]}"
        assert f"was created by a newer Compozy ({supported})" in refused.stderr
        start_runs(server, "taken-over")
        new_server = new.start(store.home, "start", port=free_port())
        assert server.stop() == 0
        send_signals(new_server, "taken-over")
        until_ended(store, "taken-over")
        assert new_server.stop() == 0
    finally:
        end(new)
    assert store.query("SELECT DISTINCT added FROM workflow_states") == [("new",)]
    assert steps_recorded_twice(store) == []
    assert all("Traceback" not in process.log for process in [*old.processes, *new.processes])


def start_runs(server: Process, *runs: str) -> None:
    """Start runs, each of which waits for a signal."""
    for run_id in runs:
        answer = ask(server.port, "POST", f"{API}/workflows/gated/executions", {"execution_id": run_id})
        assert answer.status in {200, 201, 202}, answer.content


def send_signals(server: Process, *runs: str) -> None:
    """Send the signal that runs wait for."""
    for run_id in runs:
        answer = ask(server.port, "POST", f"{API}/executions/workflows/{run_id}/signals", {"name": "go"})
        assert answer.status == 202, answer.content


def until_ended(store: Store, *runs: str) -> None:
    """Wait until runs have succeeded."""
    while any(status != "SUCCESS" for _, status, _ in rows_of(store, *runs)):
        time.sleep(0.05)
    for _, _, output in rows_of(store, *runs):
        assert json.loads(output) == {"sum": 3}


def rows_of(store: Store, *runs: str) -> list[tuple[str, str, str]]:
    """Return ID, status and output of runs."""
    names = ", ".join(f"'{run}'" for run in runs)
    query = f"SELECT workflow_exec_id, status, output FROM workflow_states WHERE workflow_exec_id IN ({names})"
    return sorted((str(run), str(status), str(output)) for run, status, output in store.query(query))


def steps_recorded_twice(store: Store) -> list[tuple[str, str]]:
    """Return run and name of the ends of tasks that were recorded more than once."""
    query = (
        "SELECT workflow_uuid, function_name FROM {journal}operation_outputs WHERE function_name LIKE '%.end' "
        "GROUP BY 1, 2 HAVING count(*) > 1"
    )
    return [(str(run), str(name)) for run, name in store.query(query)]


def end(version: Version) -> None:
    """Kill the processes of a version that still run."""
    for process in version.processes:
        process.end()
