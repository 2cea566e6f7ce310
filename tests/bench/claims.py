"""Times of claims when few and many runs wait: `python -m tests.bench.claims`.

A process claims ten runs, again and again, while a number of runs wait in its queue, in another queue and for a place
in one of a hundred groups. The ratio compares the median time of a claim when many wait with that when few wait. The
looks for places are timed as well. Few and many alternate; only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from compozy.database.admission import look_at_waiting
from compozy.database.claims import claim_pending, has_claimable
from compozy.database.database import Database
from compozy.database.tables import workflow_states
from tests.bench.measured import measured_server, new_place
from tests.bench.report import Row, add_json, compare, report
from tests.harness.postgres import Server

_CLAIMED = 10
_GROUPS = 100
_AT_ONCE = 5000


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """Median times with so many runs that wait in each way."""

    database: str
    waiting: int
    claim_ms: float
    look_ms: float
    place_ms: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=("file", "postgres"), default=["file", "postgres"])
    parser.add_argument("--waiting", nargs=2, type=int, default=[1_000, 100_000], help="few and many runs that wait")
    parser.add_argument("--claims", type=int, default=60)
    add_json(parser)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with measured_server(arguments.kinds) as server:
        for kind in arguments.kinds:
            few, many = (asdict(row) for row in measure(kind, server, arguments.waiting, arguments.claims))
            counts = {"few": few["waiting"], "many": many["waiting"]}
            rows.append({"database": kind, **counts, **compare(few, many, "claim_ms", "look_ms", "place_ms")})
    report(rows, arguments.json)


def measure(kind: str, server: Server | None, waiting: list[int], claims: int) -> list[Claimed]:
    """Return the times for each number of runs."""
    times: dict[int, dict[str, list[float]]] = {}
    with new_place(kind, server) as few, new_place(kind, server) as many:
        places = dict(zip(waiting, (few, many), strict=True))
        for count, database in places.items():
            times[count] = {"claim": [], "look": [], "place": []}
            _fill(database, count)
        for _ in range(claims):
            for count, database in places.items():
                _claim(database, times[count])
    return [
        Claimed(
            database=kind,
            waiting=count,
            **{f"{name}_ms": statistics.median(found) for name, found in times[count].items()},
        )
        for count in waiting
    ]


def _claim(database: Database, times: dict[str, list[float]]) -> None:
    with database.write() as connection:
        known: dict[str, Any] = {"journal_format": 1, "queues": ("mine",)}
        assert _timed(times["look"], lambda: has_claimable(connection, **known))
        _timed(times["place"], lambda: look_at_waiting(connection))
        claimed = _timed(times["claim"], lambda: claim_pending(connection, "me", limit=_CLAIMED, **known))
        assert len(claimed) == _CLAIMED
        these = workflow_states.c.workflow_exec_id.in_(claimed)
        connection.execute(sa.update(workflow_states).where(these).values(status="PENDING", owner=None))


def _timed(times: list[float], call: Callable[[], Any]) -> Any:
    began_s = time.perf_counter()
    result = call()
    times.append((time.perf_counter() - began_s) * 1000)
    return result


def _fill(database: Database, count: int) -> None:
    row: dict[str, Any] = {
        "workflow_id": "w",
        "journal_format": 1,
        "definition": {},
        "updated_ms": 1,
        "status": "PENDING",
    }
    for first in range(0, count, _AT_ONCE):
        rows: list[dict[str, Any]] = []
        for number in range(first, min(first + _AT_ONCE, count)):
            base = {**row, "created_ms": number, "admission_group": None, "concurrency_limit": None, "held_ms": None}
            group = {"admission_group": f"w/{number % _GROUPS}", "concurrency_limit": 1, "held_ms": 1}
            rows += [
                {**base, "workflow_exec_id": f"m{number:06}", "queue": "mine"},
                {**base, "workflow_exec_id": f"o{number:06}", "queue": "other"},
                {**base, **group, "workflow_exec_id": f"h{number:06}", "queue": "mine"},
            ]
        with database.write() as connection:
            connection.execute(sa.insert(workflow_states), rows)
    with database.write() as connection:
        # Each group has its one place taken.
        holders = [
            {**row, "status": "WAITING", "created_ms": 0, "workflow_exec_id": f"p{number:03}", "wake_ms": 1 << 50}
            | {"admission_group": f"w/{number}", "concurrency_limit": 1, "queue": "mine"}
            for number in range(_GROUPS)
        ]
        connection.execute(sa.insert(workflow_states), holders)
        connection.exec_driver_sql("ANALYZE workflow_states")


if __name__ == "__main__":
    main()
