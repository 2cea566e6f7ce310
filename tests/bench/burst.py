"""Measures the cost of a burst of requests on each database: `make bench`, or `python -m tests.bench.burst`.

32 clients post 1,000 runs of one task that does nothing, as fast as they are accepted, while the server executes them.
Another client lists the runs all the time. SQLite and PostgreSQL alternate. Only the ratios are meaningful.
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
from tests.bench.served import post_runs, serving
from tests.harness.postgres import Server
from tests.harness.servers import API, ask

_LOOK_S = 0.02
_MS = 1000


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
            of_file, of_server = (
                _round(kind, server, arguments.posts, arguments.clients, f"{number + 1} of {arguments.rounds}")
                for kind in ("file", "postgres")
            )
            for row in (of_file, of_server):
                rows.append({**row, "times_file": round(row["accepted_per_s"] / of_file["accepted_per_s"], 2)})
    print_rows(rows)
    report(medians(rows, "database"), arguments.json)


def _round(kind: str, server: Server | None, posts: int, clients: int, number: str) -> dict[str, Any]:
    announce(f"{kind}, round {number}")
    with serving(kind, server) as served:
        port = served.port
        ended = threading.Event()
        posted: list[float] = []
        listed: list[float] = []
        lister = threading.Thread(target=_list, args=(port, listed, ended))
        lister.start()
        began_s = time.monotonic()
        try:
            with ThreadPoolExecutor(clients) as pool:
                for part in pool.map(post_runs, [port] * clients, _shares(posts, clients)):
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


def _list(port: int, times: list[float], ended: threading.Event) -> None:
    while not ended.is_set():
        began_s = time.monotonic()
        if ask(port, "GET", f"{API}/executions/workflows?limit=20").status == 200:
            times.append(time.monotonic() - began_s)
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main()
