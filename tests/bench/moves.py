"""Measures time and memory of moving many runs between databases: `python -m tests.bench.moves`.

Runs of two tasks are stored with their journals, exported from SQLite, imported into PostgreSQL, exported there and
imported into SQLite again. The two documents must be identical. Each step is a separate process, whose peak resident
size is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.facts import claim_for_project
from compozy.database.migrate import migrate_up
from compozy.durable.journal import make_journal
from compozy.transfer.document import read_header
from compozy.transfer.export import RunFilter, export_rows
from compozy.transfer.load import ImportOptions, import_rows
from compozy.transfer.sections import list_sections
from tests.bench.measured import measured_server, new_place
from tests.bench.report import Row, add_json, report

_AT_ONCE = 2000


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    add_json(parser)
    parser.add_argument("--step", nargs=3, metavar=("VERB", "SETTINGS", "FILE"), help="be one of the steps")
    arguments = parser.parse_args()
    if arguments.step:
        _step(*arguments.step, runs=arguments.runs)
        return
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        measured_server(["postgres"]) as server,
        new_place("postgres", server) as postgres,
    ):
        place = Path(folder)
        source, target = (_file(place / f"{name}.db") for name in ("a", "b"))
        first, second = place / "1.json", place / "2.json"
        theirs = postgres.settings.model_dump_json(exclude_unset=True)
        for name, verb, settings, file in (
            ("an empty import, to compare", "nothing", source, first),
            ("stored in SQLite", "fill", source, first),
            ("SQLite to document", "export", source, first),
            ("document to PostgreSQL", "import", theirs, first),
            ("PostgreSQL to document", "export", theirs, second),
            ("document to SQLite", "import", target, second),
        ):
            taken = _measure(verb, settings, file, arguments.runs)
            size = file.stat().st_size / 2**20 if file.exists() else 0.0
            rows.append({"step": name, "runs": arguments.runs, **taken, "document_mib": round(size)})
        report(rows, arguments.json)
        if _body(first) != _body(second):
            raise SystemExit("the two documents differ")


def _file(path: Path) -> str:
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path)}).model_dump_json(exclude_unset=True)


def _measure(verb: str, settings: str, file: Path, runs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.moves", "--runs", str(runs), "--step", verb, settings, str(file)]
    taken: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return taken


def _body(path: Path) -> str:
    with path.open("rb") as file:
        file.readline()
        return hashlib.file_digest(file, "sha256").hexdigest()


def _step(verb: str, settings: str, file: str, *, runs: int) -> None:
    database = open_database(DatabaseSettings.model_validate_json(settings))
    migrate_up(database)
    make_journal(database)
    with database.write() as connection:
        claim_for_project(connection, "bench", database.location)
    began_s = time.perf_counter()
    if verb == "fill":
        _fill(database, runs)
    elif verb == "export":
        with Path(file).open("wb") as out:
            export_rows(database, out, RunFilter(), move_id=None)
    elif verb == "import":
        with Path(file).open("rb") as source:
            import_rows(database, source, read_header(source), ImportOptions())
    took_s = time.perf_counter() - began_s
    resident_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(took_s, 1), "resident_mib": round(resident_mib)}))


def _fill(database: Database, runs: int) -> None:
    tables = {section.name: section.table for section in list_sections(database)}
    for start in range(0, runs, _AT_ONCE):
        rows: dict[str, list[dict[str, Any]]] = {}
        for number in range(start, min(start + _AT_ONCE, runs)):
            for name, row in _rows_of(f"run-{number:07}", 1_790_000_000_000 + number):
                rows.setdefault(name, []).append(row)
        with database.write() as connection:
            for name, many in rows.items():
                connection.execute(sa.insert(tables[name]), many)


def _rows_of(run_id: str, at_ms: int) -> list[tuple[str, dict[str, Any]]]:
    text = "The parcel has been on its way for three weeks, and nobody knows where it is. " * 3
    workflow = {"id": "w", "tasks": [{"id": name, "prompt": text} for name in ("one", "two")]}
    end = {"status": "SUCCESS", "attempts": 1, "output": {"text": text}}
    run = {"workflow_exec_id": run_id, "workflow_id": "w", "status": "SUCCESS", "journal_format": 1}
    times = {"created_ms": at_ms, "started_ms": at_ms, "finished_ms": at_ms + 900, "updated_ms": at_ms + 900}
    entry = {"workflow_uuid": run_id, "status": "SUCCESS", "name": "compozy.run", "priority": 0}
    flags = dict.fromkeys(("was_forked_from", "rate_limited", "is_debounced"), False)
    rows: list[tuple[str, dict[str, Any]]] = [
        ("workflow_states", {**run, **times, "input": {"n": 1}, "output": end, "definition": {"workflow": workflow}}),
        ("journal.workflow_status", {**entry, **flags, "created_at": at_ms, "updated_at": at_ms}),
    ]
    for number, name in enumerate(("one", "two")):
        task = {"task_exec_id": f"{run_id}/{name}", "workflow_exec_id": run_id, "workflow_id": "w", "task_id": name}
        task |= {"position": number, "execution_type": "basic", **end, **times}
        rows.append(("task_states", task))
        for place, step in enumerate(("model.request", "end")):
            stored = {"workflow_uuid": run_id, "function_id": 2 * number + place + 1, "retention_timestamp": at_ms}
            stored |= {"function_name": f"{name}.{step}", "output": json.dumps(end), "serialization": "compozy_json"}
            rows.append(("journal.operation_outputs", stored))
    return rows


if __name__ == "__main__":
    main()
