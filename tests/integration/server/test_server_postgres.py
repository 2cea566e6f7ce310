"""Servers, workers and commands on one PostgreSQL database."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import RESPONSES, WORKFLOWS, write_project
from tests.harness.servers import API, free_port, start_server
from tests.harness.stores import Store, open_store

pytestmark = pytest.mark.usefixtures("port_of_file")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A project on its own PostgreSQL database."""
    with open_store("postgres", tmp_path / "project") as opened:
        responses = {"one": {"text": "first"}, "two": {"text": "second", "delay_ms": 1500}, "slow": RESPONSES["slow"]}
        write_project(
            opened.home,
            {"two": WORKFLOWS["two"], "slow": WORKFLOWS["slow"]},
            responses=responses,
            database=opened.section,
            server={"port": free_port()},
        )
        yield opened


def port_of(store: Store) -> int:
    return json.loads((store.home / "compozy.yaml").read_text())["server"]["port"]


def test_a_command_finds_the_server_at_its_port(commands: Commands, store: Store) -> None:
    server = start_server(commands, store.home, port=port_of(store))
    assert "Database initialized: driver=postgres url=postgres://compozy@127.0.0.1:" in server.command.out
    done = commands.run(store.home, "workflow", "run", "two", "--id", "mine")
    assert (done.status, done.out.splitlines()[-1]) == (0, 'Result: {"last": "second"}'), done.err
    assert store.query("SELECT DISTINCT role FROM executors") == [("server",)]


def test_another_database_is_not_used(commands: Commands, store: Store, tmp_path: Path) -> None:
    port = port_of(store)
    start_server(commands, store.home, port=port)
    with open_store("postgres", tmp_path / "other") as other:
        write_project(other.home, {"two": WORKFLOWS["two"]}, database=other.section, server={"port": port})
        done = commands.run(other.home, "workflow", "run", "two")
        assert done.status == 0, done.err
        assert "on another database" in done.err
        assert other.query("SELECT status FROM workflow_states") == [("SUCCESS",)]
    assert store.query("SELECT status FROM workflow_states") == []


def test_two_servers_share_the_runs(commands: Commands, store: Store) -> None:
    """When a server is stopped or killed, the other one resumes its runs."""
    first = start_server(commands, store.home)
    second = start_server(commands, store.home)
    for number in range(6):
        (first, second)[number % 2].ask("POST", f"{API}/workflows/two/executions", {"execution_id": f"r{number}"})
    first.command.send(signal.SIGKILL)
    first.command.wait()
    began = time.monotonic()
    second.command.until(
        lambda: store.query("SELECT count(*) FROM workflow_states WHERE status <> 'SUCCESS'") == [(0,)]
    )
    print(f"\n{time.monotonic() - began:.1f} s from the kill to the end of all runs")
    assert store.query("SELECT count(*) FROM workflow_states") == [(6,)]
    assert store.query("SELECT count(*) FROM task_states WHERE attempts > 1") == [(0,)]
    # Both servers know every run.
    assert second.ask("GET", f"{API}/executions/workflows/r0").document["status"] == "SUCCESS"


def test_a_worker_next_to_a_server(commands: Commands, store: Store) -> None:
    timed = {"id": "timed", "schedule": {"cron": "0 0 1 1 *"}, "tasks": [{"id": "a", "with": {"x": 1}}]}
    (store.home / "workflows/timed.yaml").write_text(json.dumps(timed), encoding="utf-8")
    server = start_server(commands, store.home, port=port_of(store))
    # The files of a worker do not determine which schedules exist.
    (store.home / "workflows/timed.yaml").unlink()
    worker = commands.start(store.home, "worker")
    worker.until(lambda: "Worker ready" in worker.out)
    assert worker.err == ""
    assert store.query("SELECT schedule_id FROM schedules") == [("timed",)]
    started = [commands.start(store.home, "workflow", "run", "two") for _ in range(3)]
    assert [command.wait().status for command in started] == [0, 0, 0]
    for process in (worker, server.command):
        process.send(signal.SIGTERM)
        assert process.wait().status == 0
    assert store.query("SELECT executor_id FROM executors") == []


def test_each_worker_executes_runs_of_its_queue(commands: Commands, store: Store) -> None:
    for queue in ("gpu", "mail"):
        tasks = [{"id": "a", "with": {"x": 1}}]
        text = json.dumps({"id": queue, "queue": queue, "tasks": tasks})
        (store.home / f"workflows/{queue}.yaml").write_text(text, encoding="utf-8")
    server = start_server(commands, store.home, "--queue", "default", "--queue", "mail")
    server.ask("POST", f"{API}/workflows/gpu/executions", {"execution_id": "g"})
    server.ask("POST", f"{API}/workflows/mail/executions", {"execution_id": "m"})
    waiting = f"{API}/executions/workflows/g"
    commands.start(store.home, "workflow", "get", "m", "--wait").wait()
    assert server.ask("GET", f"{API}/executions/workflows/m").document["status"] == "SUCCESS"
    assert (server.ask("GET", waiting).document["status"], server.ask("GET", waiting).document["queue"]) == (
        "PENDING",
        "gpu",
    )
    doctor = commands.start(store.home, "doctor").wait()
    assert "runs wait in 'gpu', and no process serves it" in doctor.out
    worker = commands.start(store.home, "worker", "--queue", "gpu")
    worker.until(lambda: server.ask("GET", waiting).document["status"] == "SUCCESS")
    queues = [row["queues"] for row in server.ask("GET", f"{API}/workers").document["workers"]]
    assert sorted(queues) == [["default", "mail"], ["gpu"]]
    for process in (worker, server.command):
        process.send(signal.SIGTERM)
        assert process.wait().status == 0


def test_cancel_reaches_a_run_of_another_process(commands: Commands, store: Store) -> None:
    first, second = start_server(commands, store.home), start_server(commands, store.home)
    first.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine"})
    canceled = second.ask("POST", f"{API}/executions/workflows/mine/cancel")
    assert (canceled.status, canceled.document["status"]) == (200, "CANCELED")
    time.sleep(1.0)
    assert first.ask("GET", f"{API}/executions/workflows/mine").document["status"] == "CANCELED"
