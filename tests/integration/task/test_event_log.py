"""The event log of runs: its events, their order, and how it is read."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy.event import listen

from compozy.database.database import Database
from compozy.database.events import NewEvent, append_events, list_events, list_last_numbers
from compozy.database.executions import insert_execution, lock_execution
from compozy.errors import NotFoundError
from compozy.workflow.events import read_events, read_new_events
from tests.harness.databases import new_run
from tests.harness.runs import Flows, Ran, check_run

GATE = """
    tasks:
      - {id: first, prompt: one}
      - {id: gate, type: wait, wait_for: go}
"""


def events_of(ran: Ran) -> list[tuple[str, str | None, str]]:
    """Return kind, task and state of the events of a run."""
    return [(event.kind, event.path, event.data.get("status") or event.data["state"]) for event in ran.events]


async def test_the_log_has_all_events_in_order(flows: Flows) -> None:
    run_id = await flows.start(GATE)
    await flows.until_waiting(run_id, "gate")
    await flows.signal(run_id, "go", {"n": 1})
    ran = await flows.ended(run_id)
    check_run(ran)
    expected = [
        ("workflow_status", None, "RUNNING"),
        ("task_status", "first", "RUNNING"),
        ("task_status", "first", "SUCCESS"),
        ("task_status", "gate", "RUNNING"),
        ("task_status", "gate", "WAITING"),
        ("signal", None, "sent"),
        ("signal", "gate", "taken"),
        ("task_status", "gate", "SUCCESS"),
        ("workflow_status", None, "SUCCESS"),
    ]
    # On a busy machine the run may be shown as WAITING in between.
    shown = [event for event in events_of(ran) if event != ("workflow_status", None, "WAITING")]
    assert [event for number, event in enumerate(shown) if event not in shown[:number]] == expected
    waiting = next(event for event in ran.events if event.data.get("status") == "WAITING")
    assert waiting.data["waits_for"] == "go"
    assert ran.events[1].data == {"status": "RUNNING", "type": "basic", "attempts": 1}


async def test_errors_are_named_and_never_long(flows: Flows) -> None:
    ran = await flows.run({"tasks": [{"id": "a", "prompt": "fail: " + "x" * 5000}]})
    check_run(ran)
    for event in ran.events[-2:]:
        assert event.data["error"]["code"] == "model"
        assert len(event.data["error"]["message"]) < 600


async def test_a_canceled_run_logs_the_end_of_its_tasks(flows: Flows) -> None:
    run_id = await flows.start({"tasks": [{"id": "a", "prompt": "hang: x"}]})
    await flows.until(run_id, lambda ran: ran.states == {"a": "RUNNING"})
    await flows.runtime.cancel(run_id)
    ran = await flows.read(run_id)
    check_run(ran)
    assert events_of(ran)[-2:] == [("task_status", "a", "CANCELED"), ("workflow_status", None, "CANCELED")]


def test_writers_at_the_same_time_leave_no_gap(database: Database) -> None:
    with database.write() as connection:
        insert_execution(connection, new_run("r"), owner=None)

    def work(number: int) -> None:
        for turn in range(10):
            with database.write() as connection:
                lock_execution(connection, "r")
                append_events(
                    connection, "r", [NewEvent(kind="signal", data={"by": number, "turn": turn})] * (1 + turn % 3)
                )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    with database.read() as connection:
        events = list_events(connection, "r", after=0, limit=sys.maxsize)
    assert [event.seq for event in events] == list(range(1, 2 + 4 * 19))
    for number in range(4):
        assert [event.data["turn"] for event in events if event.data.get("by") == number] == sorted(
            turn for turn in range(10) for _ in range(1 + turn % 3)
        )


async def test_pages_follow_one_another(flows: Flows, database: Database) -> None:
    ran = await flows.run({"tasks": [{"id": f"t{number}", "prompt": "x"} for number in range(3)]})
    run_id = ran.run.workflow_exec_id
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = await database.read_async(partial(read_events, execution_id=run_id, after=after, limit=3))
        assert page["status"] == "SUCCESS"
        seen += [event["seq"] for event in page["events"]]
        after = page["next_after"]
    assert seen == [event.seq for event in ran.events]
    with pytest.raises(NotFoundError):
        await database.read_async(partial(read_events, execution_id="none", after=0))


def test_one_query_reads_the_pages_of_many_positions(database: Database) -> None:
    with database.write() as connection:
        for run_id in ("long", "short"):
            insert_execution(connection, new_run(run_id), owner=None)
        append_events(connection, "long", [NewEvent(kind="signal", data={"turn": turn}) for turn in range(100)])
    # More positions than one query takes, some of the same run, and some that have no events.
    positions = [("long", after) for after in range(103)] + [("short", 0), ("short", 1), ("none", 0)]
    with database.read() as connection:
        pages = read_new_events(connection, positions, limit=7)
        expected = {
            (run_id, after): read_events(connection, run_id, after=after, limit=7) for run_id, after in positions[:-1]
        }
        assert pages == {**expected, ("none", 0): None}
        assert list_last_numbers(connection, ["long", "none", "short"]) == {"long": 101, "short": 1}


def test_the_events_of_a_transaction_are_one_statement(database: Database) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    listen(database.engine, "before_cursor_execute", note)
    with database.write() as connection:
        for run_id in ("a", "b"):
            insert_execution(connection, new_run(run_id), owner=None)
            append_events(connection, run_id, [NewEvent(kind="signal", data={"state": "sent"})])
    assert sum("INSERT INTO execution_events" in statement for statement in statements) == 1
    with database.read() as connection:
        assert [[event.seq for event in list_events(connection, run, after=0, limit=9)] for run in "ab"] == [[1, 2]] * 2


def test_a_transaction_that_fails_leaves_no_events_to_the_next(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        _accept_and_fail(database, "a")
    with database.write() as connection:
        insert_execution(connection, new_run("b"), owner=None)
    with database.read() as connection:
        assert list_last_numbers(connection, ["a", "b"]) == {"b": 1}


def _accept_and_fail(database: Database, run_id: str) -> None:
    with database.write() as connection:
        insert_execution(connection, new_run(run_id), owner=None)
        raise ZeroDivisionError
