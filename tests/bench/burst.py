"""Measures the cost of a burst of requests on each database: `make bench`, or `python -m tests.bench.burst`.

32 clients post 1,000 runs of one task that does nothing, as fast as they are accepted, while the server executes them.
Each post has a new connection, since a server of several processes shares connections, not requests. Another client
lists the runs all the time. The servers alternate: one on SQLite, one on PostgreSQL, and one of two processes on
PostgreSQL. Only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.measured import measured_server
from tests.bench.report import add_json, announce, medians, print_rows, report
from tests.bench.served import post_runs, serving, wait_for_ends
from tests.harness.postgres import Server
from tests.harness.servers import API, ask

_LOOK_S = 0.02
_MS = 1000
# Name -> its database and processes.
_SERVERS = {"file": ("file", 1), "postgres": ("postgres", 1), "postgres-2": ("postgres", 2)}


def main() -> None:
    """Measure, and print a table of the rounds and one of their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=1000, help="runs that are posted in each round")
    parser.add_argument("--clients", type=int, default=32, help="clients that post concurrently")
    parser.add_argument("--rounds", type=int, default=2)
    add_json(parser)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with measured_server(["postgres"]) as server:
        for number in range(arguments.rounds):
            of_server = {
                name: _round(name, server, arguments.posts, arguments.clients, f"{number + 1} of {arguments.rounds}")
                for name in _SERVERS
            }
            accepted, ended = of_server["file"]["accepted_per_s"], of_server["postgres"]["ended_per_s"]
            rows += [
                {
                    **row,
                    "times_file": round(row["accepted_per_s"] / accepted, 2),
                    "times_postgres": round(row["ended_per_s"] / ended, 2),
                }
                for row in of_server.values()
            ]
    print_rows(rows)
    report(medians(rows, "database"), arguments.json)


def _round(name: str, server: Server | None, posts: int, clients: int, number: str) -> dict[str, Any]:
    announce(f"{name}, round {number}")
    kind, processes = _SERVERS[name]
    with serving(kind, server, processes=processes) as served:
        port = served.port
        ended = threading.Event()
        posted: list[float] = []
        listed: list[float] = []
        lister = threading.Thread(target=_list, args=(port, listed, ended))
        lister.start()
        began_s = time.monotonic()
        try:
            with ThreadPoolExecutor(clients) as pool:
                for times in pool.map(post_runs, [port] * posts, [1] * posts):
                    posted.extend(times)
            took_s = time.monotonic() - began_s
        finally:
            ended.set()
            lister.join()
        wait_for_ends(port)
        return {
            "database": name,
            "accepted_per_s": round(posts / took_s, 1),
            "ended_per_s": round(posts / (time.monotonic() - began_s), 1),
            "post_p50_ms": round(statistics.median(posted) * _MS),
            "post_p99_ms": round(statistics.quantiles(posted, n=100)[98] * _MS),
            "list_p50_ms": round(statistics.median(listed) * _MS),
            "list_max_ms": round(max(listed) * _MS),
        }


def _list(port: int, times: list[float], ended: threading.Event) -> None:
    while not ended.is_set():
        began_s = time.monotonic()
        if ask(port, "GET", f"{API}/executions/workflows?limit=20").status == 200:
            times.append(time.monotonic() - began_s)
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main()
