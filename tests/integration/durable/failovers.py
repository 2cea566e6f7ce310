"""A server and two workers that execute runs with every type of task while their database fails over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from signal import Signals
from typing import Any

import psycopg

from compozy.database.postgres_schemas import JOURNAL_SCHEMA
from tests.harness.forks import wait_for_file
from tests.harness.invariants import Findings, Snapshot, check_end, check_laps, normal_form, take_snapshot, watch
from tests.harness.ledger import serve_ledger
from tests.harness.processes import Command, Commands, other_process
from tests.harness.replicas import Replicas
from tests.harness.servers import API, Answer, Running, start_server
from tests.harness.storm import SIGNAL, SIGNALS

_STEP_S = 0.05
WORKERS = 2


class ReplicatedStore:
    """A database of two servers, read and changed on the one that a test says."""

    def __init__(self, home: Path, replicas: Replicas, dbname: str, section: dict[str, Any]) -> None:
        self.home = home
        self.section = section
        self.server = replicas.primary
        self._dbname = dbname

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the server."""
        with self.server.connect(self._dbname) as connection:
            try:
                return connection.execute(sql.format(journal=f"{JOURNAL_SCHEMA}.").encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def change(self, *statements: str) -> None:
        """Change the database."""
        with self.server.connect(self._dbname) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def damage(self) -> list[tuple[Any, ...]]:
        """Return nothing: PostgreSQL does not have such a check."""
        return []


class Fleet:
    """A server and workers, the runs that the server accepted, and what a client sees of them.

    Args:
        commands: starts the processes.
        store: their project and database.
    """

    def __init__(self, commands: Commands, store: ReplicatedStore) -> None:
        self._store = store
        self.accepted: set[str] = set()
        self._server: Running = start_server(commands, store.home)
        workers = [commands.start(store.home, "worker") for _ in range(WORKERS)]
        for worker in workers:
            worker.until(lambda worker=worker: "Worker ready" in worker.out)
        self._processes: list[Command] = [self._server.command, *workers]

    def submit(self, *runs: str) -> None:
        """Send runs, each until it is accepted."""
        for run_id in runs:
            self._insist(f"{API}/workflows/storm/executions", {"execution_id": run_id})
            self.accepted.add(run_id)

    def send_signals(self, *runs: str) -> None:
        """Send the signals that runs wait for, each until it is stored."""
        for run_id in runs:
            for number in SIGNALS:
                body = {"name": SIGNAL, "payload": {"n": number}, "id": f"{run_id}>{number}"}
                self._insist(f"{API}/executions/workflows/{run_id}/signals", body)

    def try_to_submit(self, run_id: str) -> Answer:
        """Send a run once."""
        return self._server.ask("POST", f"{API}/workflows/storm/executions", {"execution_id": run_id})

    def until_ready(self, status: int) -> float:
        """Wait until `/readyz` answers with this status, and return how many seconds that took."""
        began_s = time.monotonic()
        self.until(lambda: self._server.ask("GET", "/readyz").status == status)
        return time.monotonic() - began_s

    def until_ended(self) -> float:
        """Wait until all accepted runs have succeeded, and return how many seconds that took."""
        began_s = time.monotonic()
        query = "SELECT workflow_exec_id FROM workflow_states WHERE status = 'SUCCESS'"
        self.until(lambda: self.accepted <= {str(run) for (run,) in self._store.query(query)})
        return time.monotonic() - began_s

    def until(self, seen: Callable[[], bool]) -> None:
        """Wait until `seen` is true; all processes must be alive meanwhile."""
        while not seen():
            assert all(process.is_alive for process in self._processes), self.log
            time.sleep(_STEP_S)

    @property
    def log(self) -> str:
        """Return the output of all processes."""
        return "\n".join(process.out + process.err for process in self._processes)

    def stop(self, how: Signals) -> list[int]:
        """End all processes, and return their statuses."""
        for process in self._processes:
            process.send(how)
        return [process.wait().status for process in self._processes]

    def _insist(self, path: str, body: dict[str, Any]) -> None:
        while True:
            answer = self._server.ask("POST", path, body)
            if answer.status in {200, 201, 202, 409}:
                return
            assert answer.status == 503, answer.content
            time.sleep(_STEP_S)


class Storm:
    """A fleet whose runs are compared with an undisturbed one.

    Args:
        fleet: the processes.
        store: their database.
        ledger: the requests that the model server got.
    """

    def __init__(self, fleet: Fleet, store: ReplicatedStore, ledger: Path) -> None:
        self.fleet, self.store = fleet, store
        self._ledger = ledger
        watch(store, "postgres")
        self._start = self._look()
        fleet.submit("reference")
        fleet.send_signals("reference")
        fleet.until_ended()
        self._reference = normal_form(store, "reference")
        self._laps = [self._start]

    def recorded(self) -> int:
        """Return the number of recorded steps."""
        return int(self.store.query("SELECT count(*) FROM {journal}operation_outputs")[0][0])

    def look(self) -> None:
        """Note what is recorded."""
        self._laps.append(self._look())

    def check(self) -> list[str]:
        """Return the violations of the invariants, after all processes have ended."""
        findings = Findings()
        # A result that could not be recorded is lost if another process executes its run afterwards.
        check_laps([*self._laps, self._look()], findings, standstills=1 + self.fleet.log.count("Lease expired"))
        check_end(self.store, self.fleet.accepted, self._reference, self._look(), findings)
        findings.expect("I4", "Traceback" in self.fleet.log, False, "a traceback")
        return findings.faults

    def _look(self) -> Snapshot:
        return take_snapshot(self.store, self._ledger, int(time.time() * 1000))


@contextlib.contextmanager
def model_server(folder: Path) -> Generator[tuple[str, Path], None, None]:
    """Run a model server, and yield its port and the file with its requests."""
    ledger, port = folder / "ledger.txt", folder / "port"
    ledger.write_text("", encoding="utf-8")
    with other_process(serve_ledger, ledger, port, 0.03):
        yield wait_for_file(port), ledger
