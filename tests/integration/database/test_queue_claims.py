"""Claims by queue: who takes which run, and what a claim reads when many runs wait."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from compozy.clock import now_ms
from compozy.database import executions
from compozy.database.claims import claim_pending, has_claimable, list_unserved_queues, list_waiting_queues
from compozy.database.database import Database
from compozy.database.executors import insert_executor, list_executors
from compozy.database.tables import workflow_states
from compozy.transfer.sections import all_sections
from tests.integration.database.stored_runs import accept, explain, store_many

MANY = 3_000
USES_INDEX = re.compile("ix_workflow_states_(claim|wake)|workflow_states_(pkey|1)|PRIMARY KEY")


def _claim(connection: sa.Connection, *queues: str, limit: int = 9) -> list[str]:
    return claim_pending(connection, "me", journal_format=1, limit=limit, queues=queues)


def test_a_process_claims_runs_of_its_queues_only(database: Database) -> None:
    accept(database, "a", queue="one")
    accept(database, "b", queue="two")
    accept(database, "c")
    with database.write() as connection:
        assert not has_claimable(connection, journal_format=1, queues=["three"])
        assert _claim(connection, "three") == []
        assert has_claimable(connection, journal_format=1, queues=["three", "two"])
        assert _claim(connection, "three", "two") == ["b"]
        assert list_waiting_queues(connection) == ["default", "one"]
        assert sorted(_claim(connection)) == ["a", "c"]
        assert list_waiting_queues(connection) == []


def test_runs_of_several_queues_are_claimed_in_the_order_of_their_acceptance(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, run_id in enumerate(["z", "m", "a", "q"]):
        monkeypatch.setattr(executions, "now_ms", lambda number=number: 1000 + number)
        accept(database, run_id, queue=f"queue-{number % 2}")
    with database.write() as connection:
        assert _claim(connection, limit=3) == ["z", "m", "a"]
        assert _claim(connection, "queue-0", "queue-1") == ["q"]


def test_a_suspended_run_of_another_queue_is_left_to_its_process(database: Database) -> None:
    accept(database, "a", owner="dead", queue="other")
    aside: dict[str, Any] = {"status": "WAITING", "owner": None, "wake_ms": now_ms()}
    with database.write() as connection:
        connection.execute(sa.update(workflow_states).values(**aside))
        assert _claim(connection, "mine") == []
        assert _claim(connection, "other") == ["a"]


def test_queues_that_no_process_serves_are_named(database: Database) -> None:
    for queue in ("gpu", "mail", "default"):
        accept(database, f"run-{queue}", queue=queue)
    with database.write() as connection:
        assert list_unserved_queues(connection) == []
        insert_executor(connection, "w1", role="worker", lease_ms=60_000, queues=["mail"])
        insert_executor(connection, "gone", role="worker", lease_ms=-1, queues=["gpu"])
        assert list_unserved_queues(connection) == ["default", "gpu"]
        assert [row.queues for row in list_executors(connection)] == [["mail"]]
        insert_executor(connection, "w2", role="server", lease_ms=60_000)
        assert list_unserved_queues(connection) == []


def test_a_claim_reads_indexes_and_not_all_waiting_runs(database: Database) -> None:
    """The plans of a claim with many runs that wait in another queue, or are suspended for long."""
    store_many(database, MANY, queue="other")
    store_many(database, MANY, queue="mine", prefix="s", status="WAITING", wake_ms=now_ms() + 3_600_000)
    accept(database, "a", queue="mine")
    statements: list[tuple[str, Any]] = []

    def note(_: sa.Connection, __: object, text: str, parameters: Any, *___: object) -> None:
        statements.append((text, parameters))

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", note)
        assert has_claimable(connection, journal_format=1, queues=["mine"])
        assert list_waiting_queues(connection) == ["mine", "other"]
        assert _claim(connection, "mine") == ["a"]
        assert len(_claim(connection)) == 9
    plans = explain(database, [each for each in statements if "workflow_states" in each[0]])
    for plan in plans:
        assert USES_INDEX.search(plan), plan
        assert "Seq Scan on workflow_states" not in plan, plan
        assert "TEMP B-TREE" not in plan, plan
    assert any("ix_workflow_states_claim" in plan for plan in plans)
    assert any("ix_workflow_states_wake" in plan for plan in plans)


def test_a_run_in_a_document_of_an_earlier_version_is_in_the_default_queue() -> None:
    [section] = [section for section in all_sections() if section.table is workflow_states]
    row: dict[str, Any] = {
        "workflow_exec_id": "r",
        "workflow_id": "w",
        "status": "PENDING",
        "journal_format": 1,
        "definition": {},
    }
    times = {"created_ms": 1, "updated_ms": 1}
    assert section.from_row({**row, **times})["queue"] == "default"
    assert section.from_row({**row, **times})["priority"] == 0
    assert section.from_row({**row, **times, "queue": "gpu"})["queue"] == "gpu"
