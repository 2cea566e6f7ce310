"""Filters, pages and summaries of lists, on both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from compozy.database import executions
from compozy.database.database import Database
from compozy.database.executions import finish_execution, insert_execution
from compozy.database.lists import (
    MAX_MESSAGE,
    ExecutionFilter,
    ExecutionSummary,
    Position,
    count_executions,
    list_executions,
    list_ids,
    list_summaries,
)
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.database.trigger import Trigger
from tests.harness.databases import fresh, migrated, new_run

# Filters, and the runs of `filled` that they match, newest first.
FILTERS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "dcba"),
    ({"trigger": "rerun"}, "c"),
    ({"trigger": "schedule:nightly"}, "b"),
    ({"trigger": "schedule:other"}, ""),
    ({"trigger": "webhook:a"}, "d"),
    ({"parent": "a"}, "c"),
    ({"started_by": "ada"}, "ca"),
    ({"created_after_ms": 2000}, "dcb"),
    ({"created_before_ms": 2000}, "a"),
    ({"created_after_ms": 2000, "created_before_ms": 4000}, "cb"),
    ({"ids": ["a", "d", "none"]}, "da"),
    ({"text": "OPS 100%"}, "a"),
    ({"text": "0_"}, ""),
    ({"text": "r_f"}, "b"),
    ({"text": "NIGHT"}, "b"),
    ({"text": '"x\\y"'}, "b"),
    ({"text": "é" * 100}, "b"),
    ({"text": "secret"}, ""),
    ({"text": "a", "statuses": [Status.SUCCESS]}, "a"),
    ({"text": "%"}, "a"),
)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A new database."""
    with fresh(request.param, tmp_path) as place, migrated(place) as opened:
        yield opened


@pytest.fixture
def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Four runs: a to d, each a second later than the one before."""
    given: list[tuple[str, dict[str, Any]]] = [
        ("a", {"labels": {"team": "Ops 100%"}, "trigger": Trigger(type="api", by="ada")}),
        ("b", {"workflow_id": "Other_flow", "trigger": Trigger(type="schedule", id="nightly")}),
        ("c", {"rerun_of": "a", "trigger": Trigger(type="rerun", id="a", by="ada")}),
        ("d", {"trigger": Trigger(type="webhook", id="a")}),
    ]
    with database.write() as connection:
        for number, (run_id, values) in enumerate(given, start=1):
            monkeypatch.setattr(executions, "now_ms", lambda number=number: number * 1000)
            assert insert_execution(connection, new_run(run_id, **values), owner="me")
        message = f'cannot read "x\\y" {"é" * 400}'
        error = {"code": "tool_failed", "message": message, "details": {"task": "t"}}
        finish_execution(connection, "b", Status.FAILED, error=error)
        finish_execution(connection, "a", Status.SUCCESS, output={"text": "secret words"})
    return database


def test_filters(filled: Database) -> None:
    with filled.read() as connection:
        for wanted, ids in FILTERS:
            chosen = ExecutionFilter(**wanted)
            assert list_ids(connection, chosen, limit=9) == list(ids), wanted
            assert [run.workflow_exec_id for run in list_summaries(connection, chosen, limit=9)] == list(ids)
            assert [run.workflow_exec_id for run in list_executions(connection, chosen, limit=9)] == list(ids)
            assert count_executions(connection, chosen) == len(ids)


def test_a_summary_shortens_the_error(filled: Database) -> None:
    with filled.read() as connection:
        (run,) = list_summaries(connection, ExecutionFilter(statuses=[Status.FAILED]), limit=9)
    assert run.error is not None
    assert set(run.error) == {"code", "message"}
    assert (len(run.error["message"]), run.error["message"][-2:]) == (MAX_MESSAGE, "é…")


async def test_pages_are_stable_while_runs_arrive(database: Database) -> None:
    with database.write() as connection:
        for number in range(40):
            assert insert_execution(connection, new_run(f"old-{number:02}"), owner=None)
    is_done = asyncio.Event()

    def add(number: int) -> None:
        with database.write() as connection:
            assert insert_execution(connection, new_run(f"new-{number:03}"), owner=None)

    async def add_until_done() -> None:
        for number in range(200):
            if is_done.is_set():
                return
            await asyncio.to_thread(add, number)

    adding = asyncio.create_task(add_until_done())
    seen: list[str] = []
    before: Position | None = None
    while True:
        page = await database.read_async(lambda c, before=before: list_summaries(c, limit=3, before=before))
        if not page:
            break
        seen += [run.workflow_exec_id for run in page]
        before = (page[-1].created_ms, page[-1].workflow_exec_id)
    is_done.set()
    await adding
    assert len(seen) == len(set(seen))
    assert {run_id for run_id in seen if run_id.startswith("old")} == {f"old-{number:02}" for number in range(40)}


def test_a_page_of_summaries_reads_no_input_output_or_definition(database: Database) -> None:
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        list_summaries(connection, ExecutionFilter(text="x", labels=["a"], trigger="b:c"), limit=9)
    statement, *costs = asked
    # With a page of runs comes one sum of their costs.
    assert len(costs) == 1
    big = {"input", "output", "definition", "kept", "usage", "moved"}
    assert not [name for name in big if f"{workflow_states.name}.{name}" in statement]


def test_an_index_of_sqlite_has_the_columns_of_summaries(tmp_path: Path) -> None:
    """The others are behind the input, the output and the definition of a row."""
    with fresh("sqlite", tmp_path) as place, migrated(place) as database, database.read() as connection:
        index = connection.exec_driver_sql("PRAGMA index_info(ix_workflow_states_list)").mappings()
        indexed = {row["name"] for row in index}
    elsewhere = {"error", "labels", "cost", "unpriced_requests"}
    columns = {column.name for column in fields(ExecutionSummary)} - elsewhere - {"trigger"}
    assert columns | {"trigger_type", "trigger_id", "started_by"} == indexed
