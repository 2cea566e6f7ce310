"""The work of `day.py`: two kinds of run, the site that one of them asks, and the clients that start runs."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.harness.projects import write_project
from tests.harness.servers import API

PREFIX = "day-"
_PRICE = 7
# Runs whose first request is refused: those with an even number.
_FLAKY_EVERY = 2
_CLIENTS = 8
_AGAIN_S = 0.1
_PATH = f"{API}/workflows/day/executions"
_TIMEOUT_S = 60.0
# From the first attempt of a request to its confirmation.
_ACCEPTED_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """A kind of run: its workflow `day` with those that it calls, and the output of each run by its number."""

    workflows: dict[str, dict[str, Any]]
    output: Callable[[int], dict[str, Any]]


_MIXED: dict[str, dict[str, Any]] = {
    "leaf": {"tasks": [{"id": "one", "with": {"text": "leaf"}}], "output": {"text": "{{ .tasks.one.output.text }}"}},
    "day": {
        "tasks": [
            {"id": "begin", "with": {"number": "{{ .input.number }}"}, "sleep": "200ms"},
            {
                "id": "fetch",
                "tool": "price",
                "with": {"run": "{{ .workflow.exec_id }}"},
                "config": {"retry_policy": {"initial_interval": "100ms", "maximum_attempts": 5}},
            },
            {
                "id": "each",
                "type": "collection",
                "items": ["a", "b", "c"],
                "task": {"id": "item-{{ .index }}", "with": {"item": "{{ .item }}"}},
            },
            {"id": "call", "type": "workflow", "workflow": "leaf"},
            {"id": "gate", "type": "wait", "wait_for": "never", "timeout": "300ms", "on_timeout": "sum"},
            {"id": "sum", "type": "aggregate", "outputs": {"price": "{{ .tasks.fetch.output.price }}"}},
        ],
        "output": {
            "price": "{{ .tasks.sum.output.price }}",
            "items": "{{ .tasks.each.output.results }}",
            "leaf": "{{ .tasks.call.output.text }}",
        },
    },
}
# Most of the time of a run is its pause, so that a kill interrupts several runs.
_SMALL: dict[str, dict[str, Any]] = {
    "day": {
        "tasks": [
            {
                "id": "begin",
                "with": {"number": "{{ .input.number }}"},
                "sleep": "200ms",
                "on_success": {"next": "choose"},
            },
            {
                "id": "choose",
                "type": "router",
                "condition": "tasks.begin.output.number % 2 == 0 ? 'even' : 'odd'",
                "routes": {
                    "even": {"id": "half", "with": {"of": "{{ .input.number }}"}, "on_success": {"next": "reply"}},
                    "odd": "reply",
                },
            },
            {"id": "reply", "with": {"text": "{{ .input.number }} is {{ .tasks.choose.output.route_taken }}"}},
        ],
        "output": {"text": "{{ .tasks.reply.output.text }}"},
    },
}
WORKS: Mapping[str, Work] = {
    "mixed": Work(
        workflows=_MIXED,
        output=lambda _: {"price": _PRICE, "items": [{"item": item} for item in "abc"], "leaf": "leaf"},
    ),
    "small": Work(workflows=_SMALL, output=lambda number: {"text": f"{number} is {'odd' if number % 2 else 'even'}"}),
}
"""Name of each kind of run -> the kind."""


@dataclass
class Site:
    """The site that each run asks for a price, and its requests by run."""

    port: int = 0
    seen: Counter[str] = field(default_factory=Counter[str])

    def asked_again(self) -> set[str]:
        """Return the runs that asked more often than an undisturbed run does."""
        return {run for run, count in self.seen.items() if count > (2 if _is_flaky(run) else 1)}


@contextmanager
def run_site() -> Generator[Site, None, None]:
    """Answer requests for prices while the block lasts; the first one of some runs is refused."""
    site, lock = Site(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            run = self.path.rpartition("/")[2]
            with lock:
                site.seen[run] += 1
                is_refused = site.seen[run] == 1 and _is_flaky(run)
            content = json.dumps({"price": _PRICE}).encode()
            self.send_response(503 if is_refused else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 200

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that were killed."""

    server = Server(("127.0.0.1", 0), Handler)
    site.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_day(folder: Path, database: dict[str, Any], work: Work, site: Site) -> None:
    """Write the project of a day into `folder`."""
    tool = {
        "id": "price",
        "input": {"type": "object", "properties": {"run": {"type": "string"}}, "required": ["run"]},
        "http": {"url": f"http://localhost:{site.port}/price/{{{{ .input.run }}}}"},
    }
    runtime = {"native_tools": {"private_hosts": ["localhost"]}, "max_concurrent_workflows": 50}
    write_project(folder, work.workflows, database=database, runtime=runtime, tools=[tool])


class Clients:
    """Clients that start runs at a steady rate, each until a server confirms that it accepted the run.

    Args:
        ports: returns the ports of the servers at the moment.
    """

    def __init__(self, ports: Callable[[], Sequence[int]]) -> None:
        self._ports = ports
        self._connections: dict[tuple[int, int], http.client.HTTPConnection] = {}
        self.accepted: set[str] = set()
        self.unconfirmed: set[str] = set()

    def start_runs(self, count: int, interval_s: float) -> None:
        """Start `count` runs, one every `interval_s`, and return when all were accepted."""
        began_s = time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for number in range(count):
                time.sleep(max(0.0, began_s + number * interval_s - time.monotonic()))
                pool.submit(self._start_run, number)
        for connection in self._connections.values():
            connection.close()

    def _start_run(self, number: int) -> None:
        run_id = f"{PREFIX}{number:06}"
        ends_s = time.monotonic() + _ACCEPTED_S
        attempt = number
        while time.monotonic() < ends_s:
            ports = self._ports()
            if self._is_accepted(ports[attempt % len(ports)], run_id, number):
                self.accepted.add(run_id)
                return
            attempt += 1
            time.sleep(_AGAIN_S)
        self.unconfirmed.add(run_id)

    def _is_accepted(self, port: int, run_id: str, number: int) -> bool:
        body = json.dumps({"execution_id": run_id, "input": {"number": number}})
        connection = self._connection(port)
        try:
            connection.request("POST", _PATH, body=body, headers={"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            # The next request connects again.
            connection.close()
            return False
        # It exists: the answer to an earlier attempt was lost.
        return answer.status in {200, 201, 202, 409}

    def _connection(self, port: int) -> http.client.HTTPConnection:
        """Return the connection of this thread to a port; it stays open between requests."""
        place = threading.get_ident(), port
        if place not in self._connections:
            self._connections[place] = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        return self._connections[place]


def list_wrong(rows: Collection[tuple[str, str, Any]], accepted: set[str], work: Work) -> list[str]:
    """Return the accepted runs that are missing, did not succeed, or have another output.

    Args:
        rows: the ID, status and output of each run.
        accepted: the runs that were confirmed to a client.
        work: the kind of run.
    """
    right = {run for run, status, output in rows if status == "SUCCESS" and output == work.output(_number(run))}
    return sorted(accepted - right)


def _is_flaky(run: str) -> bool:
    return _number(run) % _FLAKY_EVERY == 0


def _number(run: str) -> int:
    return int(run.removeprefix(PREFIX))
