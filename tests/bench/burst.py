"""Measures the cost of a burst of requests on each database: `make bench`, or `python -m tests.bench.burst`.

32 clients post 1,000 runs of one task that does nothing, as fast as they are accepted, while the server executes them.
Another client lists the runs all the time. SQLite and PostgreSQL alternate. Only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench.measured import measured_server
from tests.harness.postgres import Server, database_on
from tests.harness.projects import DATABASE, write_project
from tests.harness.servers import API, ask, free_port

_WORKFLOW = {"tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}]}
_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()", "start"]
_LOOK_S = 0.02
_READY_S = 60.0
_MS = 1000


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=1000, help="runs that are posted in each round")
    parser.add_argument("--clients", type=int, default=32, help="clients that post concurrently")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with measured_server(["postgres"]) as server:
        for _ in range(arguments.rounds):
            of_file = _round("file", server, arguments.posts, arguments.clients)
            of_server = _round("postgres", server, arguments.posts, arguments.clients)
            for row in (of_file, of_server):
                rows.append({**row, "times_file": round(row["accepted_per_s"] / of_file["accepted_per_s"], 2)})
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("  ".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{value:>14}" for value in row.values()))


def _round(kind: str, server: Server | None, posts: int, clients: int) -> dict[str, Any]:
    with _serving(kind, server) as port:
        ended = threading.Event()
        posted: list[float] = []
        listed: list[float] = []
        lister = threading.Thread(target=_list, args=(port, listed, ended))
        lister.start()
        began_s = time.monotonic()
        try:
            with ThreadPoolExecutor(clients) as pool:
                for part in pool.map(_post, [port] * clients, _shares(posts, clients)):
                    posted.extend(part)
            took_s = time.monotonic() - began_s
        finally:
            ended.set()
            lister.join()
        return {
            "database": kind,
            "accepted_per_s": round(posts / took_s, 1),
            "post_p50_ms": round(statistics.median(posted) * _MS),
            "post_p99_ms": round(statistics.quantiles(posted, n=100)[98] * _MS),
            "list_p50_ms": round(statistics.median(listed) * _MS),
            "list_max_ms": round(max(listed) * _MS),
        }


def _shares(posts: int, clients: int) -> list[int]:
    return [posts // clients + (number < posts % clients) for number in range(clients)]


def _post(port: int, count: int) -> list[float]:
    times: list[float] = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_S)) as connection:
        for number in range(count):
            began_s = time.monotonic()
            body = json.dumps({"input": {"number": number}})
            headers = {"content-type": "application/json"}
            connection.request("POST", f"{API}/workflows/echo/executions", body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in {200, 201, 202}:
                raise RuntimeError(f"a post was answered with {answer.status}: {content[:200]!r}")
            times.append(time.monotonic() - began_s)
    return times


def _list(port: int, times: list[float], ended: threading.Event) -> None:
    while not ended.is_set():
        began_s = time.monotonic()
        if ask(port, "GET", f"{API}/executions/workflows?limit=20").status == 200:
            times.append(time.monotonic() - began_s)
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def _serving(kind: str, server: Server | None) -> Generator[int, None, None]:
    """Serve a project on a new database of this kind and yield the port."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database: dict[str, Any] = DATABASE
        if kind == "postgres":
            assert server is not None
            database = stack.enter_context(database_on(server)).model_dump(mode="json", exclude_unset=True)
        port = free_port()
        write_project(folder, {"echo": _WORKFLOW}, database=database, server={"port": port})
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen([*_COMMAND, f"--port={port}"], cwd=folder, stdout=log, stderr=log)
        try:
            _until_ready(port, process)
            # The first run imports the libraries of models.
            _post(port, 1)
            yield port
        finally:
            process.terminate()
            process.wait()


def _until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + _READY_S
    while time.monotonic() < ends_s and process.poll() is None:
        with contextlib.suppress(OSError):
            if ask(port, "GET", "/readyz").status == 200:
                return
        time.sleep(_LOOK_S)
    raise RuntimeError("the server did not become ready")


if __name__ == "__main__":
    main()
