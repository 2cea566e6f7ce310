"""Starts many concurrent runs over HTTP from one process, and records when each was accepted, started and finished."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from compozy.client import Client
from compozy.errors import CompozyError, RunError

# How long a single run may take before the benchmark gives up.
LONGEST_RUN_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """A workflow and its input, executed repeatedly."""

    workflow_id: str
    given: Any


@dataclass(frozen=True, kw_only=True)
class RunTimes:
    """The times of one run as recorded by the server, in ms since 1970."""

    accepted_ms: int
    started_ms: int
    finished_ms: int

    @property
    def latency_ms(self) -> int:
        """Return the time from acceptance to end."""
        return self.finished_ms - self.accepted_ms


@dataclass(kw_only=True)
class Volley:
    """The outcome of some runs: the times of the successful ones, and the errors of the others."""

    times: list[RunTimes] = field(default_factory=list[RunTimes])
    faults: list[CompozyError] = field(default_factory=list[CompozyError])


def drive(server: Client, job: Job, *, runs: int, at_once: int) -> Volley:
    """Execute a job `runs` times, `at_once` of them concurrently; after an error no further run is started."""
    return _Drive(server, job, runs).go(at_once)


class _Drive:
    """Threads that each execute one run after the other, until all are done."""

    def __init__(self, server: Client, job: Job, runs: int) -> None:
        self._server = server
        self._job = job
        self._left = runs
        self._turn = threading.Lock()
        self._volley = Volley()

    def go(self, at_once: int) -> Volley:
        """Execute all runs and return their outcome."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(min(at_once, self._left))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._volley

    def _work(self) -> None:
        client = Client(url=self._server.url, api_key=self._server.api_key, timeout_s=LONGEST_RUN_S + 10.0)
        try:
            while self._take():
                self._note(_run_once(client, self._job))
        finally:
            client.close()

    def _take(self) -> bool:
        with self._turn:
            if self._left == 0 or self._volley.faults:
                return False
            self._left -= 1
            return True

    def _note(self, found: RunTimes | CompozyError) -> None:
        with self._turn:
            if isinstance(found, RunTimes):
                self._volley.times.append(found)
            else:
                self._volley.faults.append(found)


def _run_once(client: Client, job: Job) -> RunTimes | CompozyError:
    body = {"input": job.given, "timeout": LONGEST_RUN_S}
    try:
        run = client.post("workflows", job.workflow_id, "executions", "sync", body=body)
    except CompozyError as error:
        return error
    if run["status"] != "SUCCESS":
        failure: dict[str, Any] = run["error"] or {"message": "no error was recorded"}
        return RunError(f"execution {run['execution_id']} ended as {run['status']}: {failure['message']}")
    accepted, started, finished = (_to_ms(run[key]) for key in ("created_at", "started_at", "finished_at"))
    return RunTimes(accepted_ms=accepted, started_ms=started, finished_ms=finished)


def _to_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
