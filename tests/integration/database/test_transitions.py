"""Requested transitions of runs that other processes execute: their order, and that none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.clock import now_ms
from compozy.database.claims import claim_pending
from compozy.database.database import Database
from compozy.database.executions import Execution, get_execution, insert_execution
from compozy.database.signals import Signal, send_signal
from compozy.database.status import Status
from compozy.database.tasks import NewTask, insert_task, list_tasks
from compozy.database.transitions import (
    PendingTransition,
    list_pending_transitions,
    pause_owned_run,
    request_cancel,
    request_pause,
    resume_run,
    suspend_run,
)
from compozy.errors import ConflictError
from tests.harness.databases import fresh, migrated, new_run

WHY: dict[str, Any] = {"code": "canceled", "message": "no more", "details": {}}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return a new database with the run `r`, which `me` executes."""
    with fresh(request.param, tmp_path) as place, migrated(place) as opened:
        with opened.write() as connection:
            assert insert_execution(connection, new_run("r"), owner="me")
            insert_task(connection, NewTask(workflow_exec_id="r", workflow_id="w", path="t"), Status.RUNNING)
        yield opened


def run(database: Database) -> Execution:
    with database.read() as connection:
        return get_execution(connection, "r")


def test_a_request_carries_its_reason(database: Database) -> None:
    with database.write() as connection:
        request_cancel(connection, "r", WHY)
    with database.read() as connection:
        assert list_pending_transitions(connection, "me") == {"r": PendingTransition(status=Status.CANCELED, error=WHY)}
        assert list_pending_transitions(connection, "other") == {}
    assert run(database).status is Status.RUNNING


def test_a_request_to_a_run_without_an_executor_takes_effect_immediately(database: Database) -> None:
    with database.write() as connection:
        request_pause(connection, "r")
        pause_owned_run(connection, "r", "me")
        assert request_cancel(connection, "r", WHY).error == WHY
        assert [task.status for task in list_tasks(connection, "r")] == [Status.CANCELED]
        with pytest.raises(ConflictError):
            request_pause(connection, "r")


def test_a_pause_is_held(database: Database) -> None:
    with database.write() as connection:
        request_pause(connection, "r")
        pause_owned_run(connection, "r", "other")
        assert get_execution(connection, "r").status is Status.RUNNING
        pause_owned_run(connection, "r", "me")
    found = run(database)
    assert (found.status, found.owner, found.requested) == (Status.PAUSED, None, None)


def test_a_cancel_that_arrives_while_the_run_pauses_is_executed(database: Database) -> None:
    with database.write() as connection:
        request_pause(connection, "r")
        request_cancel(connection, "r", WHY)
        request_pause(connection, "r")
        pause_owned_run(connection, "r", "me")
    found = run(database)
    assert (found.status, found.owner, found.error) == (Status.CANCELED, None, WHY)


def test_a_run_that_is_resumed_before_it_paused_continues(database: Database) -> None:
    with database.write() as connection:
        request_pause(connection, "r")
        resume_run(connection, "r")
        pause_owned_run(connection, "r", "me")
        assert claim_pending(connection, "you", journal_format=1, limit=1) == ["r"]
    assert run(database).status is Status.RUNNING


@pytest.mark.parametrize("what", ["cancel", "pause"])
def test_a_request_to_a_suspended_run_wakes_it(database: Database, what: str) -> None:
    with database.write() as connection:
        if what == "cancel":
            request_cancel(connection, "r", WHY)
        else:
            request_pause(connection, "r")
        suspend_run(connection, "r", "me", wake_ms=None, names={"go"})
        assert claim_pending(connection, "you", journal_format=1, limit=1) == ["r"]
        assert set(list_pending_transitions(connection, "you")) == {"r"}


def test_a_suspended_run_sleeps_until_its_time_or_its_signal(database: Database) -> None:
    with database.write() as connection:
        suspend_run(connection, "r", "me", wake_ms=now_ms() + 60_000, names={"go"})
        assert claim_pending(connection, "you", journal_format=1, limit=1) == []
        assert send_signal(connection, Signal(signal_id="s", workflow_exec_id="r", name="go"))
        assert claim_pending(connection, "you", journal_format=1, limit=1) == ["r"]


def test_a_signal_that_came_before_wakes_the_run(database: Database) -> None:
    with database.write() as connection:
        assert send_signal(connection, Signal(signal_id="s", workflow_exec_id="r", name="go"))
        suspend_run(connection, "r", "me", wake_ms=None, names={"go"})
        assert claim_pending(connection, "you", journal_format=1, limit=1) == ["r"]
