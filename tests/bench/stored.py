"""The rows of the runs of a benchmark, read without the program."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from compozy.config.settings import DatabaseSettings
from compozy.database.postgres import connection_parameters
from compozy.database.postgres_schemas import JOURNAL_SCHEMA

_UNFINISHED = "SELECT count(*) FROM workflow_states WHERE finished_ms IS NULL"
_RUNS = "SELECT workflow_exec_id, status, output, created_ms, finished_ms FROM workflow_states"
# Steps that are recorded once for each task.
_TWICE = """\
SELECT workflow_uuid, function_name FROM {journal}operation_outputs
WHERE function_name LIKE '%.end' GROUP BY workflow_uuid, function_name HAVING count(*) > 1"""
_HELD = """\
SELECT w.workflow_exec_id FROM workflow_states w JOIN executors e ON e.executor_id = w.owner WHERE e.pid = {pid}"""
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Run:
    """A stored run, with times in milliseconds since 1970."""

    run_id: str
    status: str
    output: Any
    created_ms: int
    finished_ms: int | None

    @property
    def seconds(self) -> float:
        """Return the time from the acceptance to the end."""
        return ((self.finished_ms or self.created_ms) - self.created_ms) / 1000


class Stored:
    """The rows of a database.

    Args:
        settings: the database.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def runs(self) -> list[Run]:
        """Return all runs."""
        return [
            Run(run_id=run, status=status, output=_parse(output), created_ms=created_ms, finished_ms=finished_ms)
            for run, status, output, created_ms, finished_ms in self._query(_RUNS)
        ]

    def count_unfinished(self) -> int:
        """Return the number of runs that have not ended."""
        return int(self._query(_UNFINISHED)[0][0])

    def runs_of(self, pid: int) -> set[str]:
        """Return the runs that a process executes."""
        return {str(run) for (run,) in self._query(_HELD.replace("{pid}", str(pid)))}

    def steps_recorded_twice(self) -> list[str]:
        """Return run and name of the ends of tasks that were recorded more than once."""
        return [f"{run} {name}" for run, name in self._query(_TWICE)]

    def size_mib(self) -> float:
        """Return the size of the database, with its log."""
        file = self._settings.file
        if file is None:
            return int(self._query("SELECT pg_database_size(current_database())")[0][0]) / _MIB
        return sum(path.stat().st_size for path in (file, Path(f"{file}-wal")) if path.exists()) / _MIB

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        file = self._settings.file
        if file is None:
            with psycopg.connect(**connection_parameters(self._settings), autocommit=True) as connection:
                return connection.execute(sql.replace("{journal}", f"{JOURNAL_SCHEMA}.").encode()).fetchall()
        with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection:
            return connection.execute(sql.replace("{journal}", "")).fetchall()


def _parse(output: str | None) -> Any:
    return None if output is None else json.loads(output)
