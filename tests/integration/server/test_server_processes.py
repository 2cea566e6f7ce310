"""`compozy start --processes` on PostgreSQL: one address, several processes, kills of each of them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands, Conditions
from tests.harness.projects import RESPONSES, WORKFLOWS, write_project
from tests.harness.servers import API, Running, start_server
from tests.harness.stores import Store, open_store

# The kernel wakes all processes for a connection, and the first one takes it.
REQUESTS = 80
TIMEOUT_S = 120
COUNTED = 'compozy_http_requests_total{method="GET",path="/api/v0/workers",status="200"}'


@pytest.fixture
def store(tmp_path: Path, clean_environ: None) -> Iterator[Store]:
    """A monitored project on its own PostgreSQL database."""
    with open_store("postgres", tmp_path / "project") as opened:
        responses = {"one": {"text": "first"}, "two": {"text": "second", "delay_ms": 3000}, "slow": RESPONSES["slow"]}
        workflows = {name: WORKFLOWS[name] for name in ("two", "slow", "echo")}
        sections: dict[str, Any] = {"database": opened.section, "monitoring": {"enabled": True}}
        write_project(opened.home, workflows, responses=responses, **sections)
        yield opened


def workers_of(server: Running) -> list[dict[str, Any]]:
    return server.ask("GET", f"{API}/workers").document["workers"]


def pids_of(server: Running) -> set[int]:
    return {worker["pid"] for worker in workers_of(server)}


def start_two(commands: Commands, store: Store, *options: str, **environ: str) -> tuple[Running, set[int]]:
    """Start a server of two processes, and return it with their IDs."""
    server = start_server(commands, store.home, "--processes=2", *options, conditions=Conditions(environ=environ))
    # On a busy machine, a lease can expire before it is renewed.
    until(lambda: len(pids_of(server)) == 2)
    return server, pids_of(server)


def answering(server: Running) -> set[int]:
    """Return the processes that answer concurrent requests."""

    def ask(_: int) -> list[int]:
        return [worker["pid"] for worker in workers_of(server) if worker["is_this"]]

    with ThreadPoolExecutor(8) as threads:
        return {pid for pids in threads.map(ask, range(REQUESTS)) for pid in pids}


def scrape(server: Running) -> dict[str, float]:
    """Return the samples of one scrape by their names with labels."""
    lines = server.ask("GET", "/metrics").content.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_file_cannot_be_shared(commands: Commands, tmp_path: Path) -> None:
    write_project(tmp_path, server={"processes": 2})
    done = commands.run(tmp_path, "start", "--port=0")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "Error: 2 server processes cannot share the SQLite database ./data/compozy.db: one process executes its runs\n"
        "  use PostgreSQL (database.driver), or one process (server.processes: 1 or `--processes 1`)\n"
    )
    assert not (tmp_path / "data").exists()


def test_processes_share_one_address_and_drain(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store, "--log-level=info", "--log-format=json")
    assert re.sub(r"\d{4,}", "N", re.sub(r"postgres://\S+", "URL", server.command.out)) == (
        "Starting Compozy server...\n"
        "Database initialized: driver=postgres url=URL\n"
        "Server listening on :N (http://127.0.0.1:N)\n"
        "Web page: http://127.0.0.1:N/ui/\n"
    )
    assert server.command.pid not in pids
    assert answering(server) == pids
    ended = server.ask("POST", f"{API}/workflows/echo/executions/sync", {})
    assert ended.document["status"] == "SUCCESS"
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine"})
    until(lambda: store.query("SELECT status FROM workflow_states WHERE workflow_exec_id = 'mine'") == [("RUNNING",)])
    # As a service manager does: all processes get the signal, and the first one passes it on.
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    server.command.send(signal.SIGTERM)
    done = server.command.wait()
    assert done.status == 0, done.err
    lines = done.err.splitlines()
    notes = [line for line in lines if not line.startswith("{")]
    assert notes == [
        "stopping: waiting up to 5 s for 1 run (signal again to exit immediately)",
        "stopped; 1 unfinished run will continue at the next start",
    ]
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert {record["pid"] for record in records if record["event"] == "request"} == pids
    assert not any(map(is_alive, pids))
    assert store.query("SELECT executor_id FROM executors") == []


def test_a_killed_process_is_replaced(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store)
    assert answering(server) == pids
    # Whichever process answers a scrape, it shows what all of them counted.
    scrapes = [scrape(server) for _ in range(20)]
    [counted] = {samples[COUNTED] for samples in scrapes}
    assert counted > REQUESTS
    ages = [samples["compozy_uptime_seconds"] for samples in scrapes]
    assert ages == sorted(ages)
    for number in range(6):
        server.ask("POST", f"{API}/workflows/two/executions", {"execution_id": f"r{number}"})
    until(lambda: store.query("SELECT count(*) FROM workflow_states WHERE status = 'RUNNING'") == [(6,)])
    killed = min(pids)
    os.kill(killed, signal.SIGKILL)
    for _ in range(20):
        assert scrape(server)[COUNTED] == counted
    record = rf"another one replaces it \[\S+\] exit_code=137 pause_s=0.5 pid={killed}\n"
    until(lambda: re.search(record, server.command.err))
    until(lambda: store.query("SELECT count(*) FROM workflow_states WHERE status <> 'SUCCESS'") == [(0,)])
    assert store.query("SELECT count(*) FROM workflow_states") == [(6,)]
    until(lambda: len(pids_of(server) - {killed}) == 2)
    samples = scrape(server)
    assert samples[COUNTED] > counted
    assert samples["compozy_http_requests_in_flight"] == 1
    assert samples['compozy_executions_ended_total{status="SUCCESS",workflow="two"}'] == 6
    server.command.send(signal.SIGTERM)
    assert server.command.wait().status == 0


def test_a_killed_server_leaves_no_process(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store)
    server.command.send(signal.SIGKILL)
    server.command.wait()
    until(lambda: not any(map(is_alive, pids)))
    assert store.query("SELECT executor_id FROM executors") == []


def test_a_second_signal_ends_all_processes(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store)
    server.ask("POST", f"{API}/workflows/slow/executions", {"execution_id": "mine"})
    until(lambda: store.query("SELECT status FROM workflow_states") == [("RUNNING",)])
    server.command.send(signal.SIGINT)
    server.command.until(lambda: "stopping: waiting" in server.command.err)
    server.command.send(signal.SIGINT)
    assert server.command.wait().status == 130
    until(lambda: not any(map(is_alive, pids)))


def test_a_process_that_cannot_start_ends_the_server(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store)
    (store.home / "workflows/two.yaml").write_text("id: two\ntasks: 1\n", encoding="utf-8")
    os.kill(min(pids), signal.SIGKILL)
    done = server.command.wait()
    assert done.status == 5
    assert done.err.count("workflows/two.yaml:2:8: ") == 5
    assert done.err.count("a server process cannot start, and the server ends") == 1
    assert "only this process uses the changed files" in done.err


def test_a_process_that_hangs_is_replaced(commands: Commands, store: Store) -> None:
    server, pids = start_two(commands, store, WATCHDOG_USEC="20000000")
    hanging = min(pids)
    os.kill(hanging, signal.SIGSTOP)
    until(lambda: "a server process does not respond and is killed" in server.command.err)
    until(lambda: not is_alive(hanging))
    # Its lease is still valid for a while.
    until(lambda: len(pids_of(server)) == 2 and hanging not in pids_of(server))
    assert is_alive(max(pids))
