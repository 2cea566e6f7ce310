"""Times of lists of executions over HTTP, with few and many stored executions: `python -m tests.bench.lists`.

While other clients post runs, one client lists the latest executions. The ratio compares the p95 with 10,000 stored
executions with that of 100, on servers that are measured one after the other. Only the ratio is meaningful.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executions import NewExecution, finish_execution, insert_execution
from compozy.database.status import Status
from tests.bench.measured import measured_server
from tests.bench.report import Row, add_json, compare, report
from tests.bench.served import post_runs, serving
from tests.harness.postgres import Server
from tests.harness.servers import API, ask

LENGTHS = (100, 10_000)
_AT_ONCE = 500
_OUTPUT = {"text": "An order that was shipped on Monday. " * 25}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The times of lists with this number of stored executions."""

    database: str
    executions: int
    p50_ms: float
    p95_ms: float
    kilobytes: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=("file", "postgres"), default=["file", "postgres"])
    parser.add_argument("--stored", nargs=2, type=int, default=LENGTHS, help="few and many stored executions")
    parser.add_argument("--lists", type=int, default=400, help="lists on each server")
    parser.add_argument("--posters", type=int, default=4, help="clients that post runs meanwhile")
    add_json(parser)
    arguments = parser.parse_args()
    rows = measure(arguments.kinds, arguments.stored, lists=arguments.lists, posters=arguments.posters)
    compared: list[Row] = []
    for kind in arguments.kinds:
        few, many = (asdict(row) for row in rows if row.database == kind)
        counts = {"few": few["executions"], "many": many["executions"]}
        compared.append({"database": kind, **counts, **compare(few, many, "p50_ms", "p95_ms")})
    report(compared, arguments.json)


def measure(kinds: list[str], stored: Sequence[int] = LENGTHS, *, lists: int, posters: int) -> list[Listed]:
    """Return the times for each kind of database and each number of stored executions."""
    with measured_server(kinds) as server:
        return [_measure(kind, server, length, lists, posters) for kind in kinds for length in stored]


def _measure(kind: str, server: Server | None, length: int, lists: int, posters: int) -> Listed:
    with serving(kind, server, fill=_filling(length)) as served:
        port = served.port
        ended = threading.Event()
        threads = [threading.Thread(target=_post, args=(port, ended)) for _ in range(posters)]
        for thread in threads:
            thread.start()
        times_ms: list[float] = []
        size = 0
        try:
            for _ in range(lists):
                began_s = time.monotonic()
                answer = ask(port, "GET", f"{API}/executions/workflows?limit=100")
                times_ms.append((time.monotonic() - began_s) * 1000)
                size = max(size, len(answer.content))
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    return Listed(
        database=kind,
        executions=length,
        p50_ms=round(statistics.median(times_ms), 1),
        p95_ms=round(statistics.quantiles(times_ms, n=20)[18], 1),
        kilobytes=round(size / 1000, 1),
    )


def _post(port: int, ended: threading.Event) -> None:
    while not ended.is_set():
        post_runs(port, 1)


def _filling(length: int) -> Callable[[Database], None]:
    def fill(database: Database) -> None:
        for first in range(0, length, _AT_ONCE):
            with database.write() as connection:
                for number in range(first, min(first + _AT_ONCE, length)):
                    _insert(connection, number)

    return fill


def _insert(connection: sa.Connection, number: int) -> None:
    new = NewExecution(
        workflow_exec_id=f"stored-{number:05}",
        workflow_id="echo",
        input={"number": number},
        definition={"workflow": {"id": "echo"}},
        journal_format=1,
    )
    insert_execution(connection, new, owner="elsewhere")
    finish_execution(connection, new.workflow_exec_id, Status.SUCCESS, output=_OUTPUT)


if __name__ == "__main__":
    main()
