"""Admission of runs with limits: how many have a place, whatever ends them, and what a look reads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from compozy.clock import now_ms
from compozy.database import admission, executions
from compozy.database.admission import Admission, Waiting, admit, list_holders, look_at_waiting
from compozy.database.claims import claim_one, claim_pending, has_claimable
from compozy.database.database import Database
from compozy.database.executions import finish_execution, get_execution
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.database.transitions import request_cancel, request_pause, resume_run
from tests.integration.database.stored_runs import accept, explain, run_concurrently, store_many

ONE = Admission(group="w/eu", concurrency=1)
TWO = Admission(group="w/eu", concurrency=2)
SLOW = Admission(group="w/", rate=2, rate_period_ms=60_000)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each run that is accepted a later time."""
    times = iter(range(1000, 100_000))
    monkeypatch.setattr(executions, "now_ms", lambda: next(times))


def _claim(database: Database, limit: int = 9) -> list[str]:
    with database.write() as connection:
        return claim_pending(connection, "me", journal_format=1, limit=limit)


def _finish(database: Database, run_id: str, status: Status = Status.SUCCESS) -> None:
    with database.write() as connection:
        assert finish_execution(connection, run_id, status)


def _waiting(database: Database) -> list[str]:
    with database.read() as connection:
        query = sa.select(workflow_states.c.workflow_exec_id).where(workflow_states.c.held_ms.is_not(None))
        return sorted(connection.execute(query).scalars())


def test_a_run_waits_until_its_group_has_a_place(database: Database) -> None:
    accept(database, "a", "b", "c", admission=TWO)
    accept(database, "other", admission=Admission(group="w/us", concurrency=2))
    accept(database, "free")
    assert _waiting(database) == ["c"]
    assert _claim(database) == ["a", "b", "other", "free"]
    with database.write() as connection:
        assert not claim_one(connection, "c", "me", journal_format=1)
        assert not has_claimable(connection, journal_format=1)
        assert list_holders(connection, "w/eu", limit=9) == ["a", "b"]
    _finish(database, "a")
    assert _claim(database) == ["c"]


@pytest.mark.parametrize("end", [Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED])
def test_each_end_of_a_run_admits_the_next(database: Database, end: Status) -> None:
    accept(database, "a", "b", admission=ONE)
    assert _claim(database) == ["a"]
    _finish(database, "a", end)
    assert _claim(database) == ["b"]


def test_a_run_keeps_its_place_while_it_waits_and_is_paused_and_moves_to_another_process(database: Database) -> None:
    accept(database, "a", "b", admission=ONE)
    assert _claim(database) == ["a"]
    for aside in ({"status": "WAITING", "wake_ms": now_ms() + 60_000}, {"status": "RUNNING", "wake_ms": None}):
        with database.write() as connection:
            this = workflow_states.c.workflow_exec_id == "a"
            connection.execute(sa.update(workflow_states).where(this).values(owner=None, **aside))
            assert look_at_waiting(connection).groups == []
            assert admit(connection, "w/eu") == []
    assert _claim(database) == ["a"]
    with database.write() as connection:
        this = workflow_states.c.workflow_exec_id == "a"
        connection.execute(sa.update(workflow_states).where(this).values(owner=None))
        request_pause(connection, "a")
    assert _claim(database) == []
    with database.write() as connection:
        resume_run(connection, "a")
    assert _claim(database) == ["a"]


def test_a_waiting_run_can_be_paused_and_canceled(database: Database) -> None:
    accept(database, "a", "b", "c", "d", admission=ONE)
    assert _claim(database) == ["a"]
    with database.write() as connection:
        request_pause(connection, "b")
        request_cancel(connection, "c", {"code": "canceled", "message": "no"})
    _finish(database, "a")
    # The paused one does not wait for a place, and takes none.
    assert _claim(database) == ["d"]
    with database.write() as connection:
        resume_run(connection, "b")
    assert _claim(database) == []
    _finish(database, "d")
    assert _claim(database) == ["b"]


def test_runs_of_a_higher_priority_are_first(database: Database) -> None:
    accept(database, "a", admission=ONE)
    accept(database, "low", admission=ONE, priority=-1)
    accept(database, "b", "c", admission=ONE)
    accept(database, "high", admission=ONE, priority=5)
    order: list[str] = []
    while claimed := _claim(database):
        order += claimed
        _finish(database, claimed[0])
    assert order == ["a", "high", "b", "c", "low"]
    accept(database, "x", priority=-5)
    accept(database, "y", "z", queue="other")
    accept(database, "first", queue="third", priority=1)
    assert _claim(database, 3) == ["first", "y", "z"]
    assert _claim(database) == ["x"]


def test_the_limit_of_the_run_that_waits_counts(database: Database) -> None:
    """The limit in the file was raised, then lowered, while runs were open."""
    accept(database, "a", admission=ONE)
    accept(database, "b", "c", admission=TWO)
    assert _claim(database) == ["a", "b"]
    accept(database, "d", admission=ONE)
    _finish(database, "b")
    assert _claim(database) == ["c"]
    _finish(database, "a")
    assert _claim(database) == []
    _finish(database, "c")
    assert _claim(database) == ["d"]


def test_a_rate_counts_the_starts_of_its_period(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1_000_000]

    def read_clock_ms(connection: sa.Connection) -> int:
        del connection
        return moment[0]

    monkeypatch.setattr(admission, "read_clock_ms", read_clock_ms)
    accept(database, "a", "b", "c", "d", admission=SLOW)
    # Runs of another key share the rate of the workflow.
    accept(database, "e", admission=Admission(group="w/eu", concurrency=9, rate=2, rate_period_ms=60_000))
    assert _claim(database) == ["a", "b"]
    _finish(database, "a")
    assert _claim(database) == []
    moment[0] += 59_999
    with database.write() as connection:
        assert [admit(connection, group) for group in look_at_waiting(connection).groups] == [[], []]
        moment[0] += 1
        assert admit(connection, "w/") == ["c", "d"]
        assert admit(connection, "w/eu") == []
        moment[0] += 60_000
        assert admit(connection, "w/eu") == ["e"]


def test_a_place_that_no_end_has_given_is_found(database: Database) -> None:
    """As after a move out of the database, whose statement changes many runs."""
    accept(database, "a", "b", "c", admission=ONE)
    with database.write() as connection:
        this = workflow_states.c.workflow_exec_id == "a"
        connection.execute(sa.update(workflow_states).where(this).values(status="MOVED", owner=None))
        assert look_at_waiting(connection).groups == ["w/eu"]
        assert admit(connection, "w/eu") == ["b"]
        assert look_at_waiting(connection).groups == []


def test_one_look_finds_overdue_runs_and_free_places(database: Database) -> None:
    passed, later = now_ms() - 1, now_ms() + 60_000
    accept(database, "a", "b", "c", admission=ONE)
    accept(database, "over-2", admission=ONE, deadline_ms=passed)
    accept(database, "over-1", admission=ONE, deadline_ms=passed - 1)
    accept(database, "soon", admission=ONE, deadline_ms=later)
    accept(database, "holder", "next", admission=Admission(group="w/us", concurrency=1), deadline_ms=later)
    with database.write() as connection:
        assert look_at_waiting(connection).groups == []
        this = workflow_states.c.workflow_exec_id == "holder"
        connection.execute(sa.update(workflow_states).where(this).values(status="MOVED", owner=None))
        found = look_at_waiting(connection)
    assert (sorted(found.overdue), found.groups) == (["over-1", "over-2"], ["w/us"])


def test_a_transaction_that_is_rolled_back_admits_nothing(database: Database) -> None:
    accept(database, "a", "b", admission=ONE)

    def fail(connection: sa.Connection) -> None:
        finish_execution(connection, "a", Status.SUCCESS)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.write() as connection:
        fail(connection)
    assert _waiting(database) == ["b"]


def test_no_limit_is_exceeded_by_transactions_at_the_same_time(database: Database) -> None:
    """Six threads accept, end and admit runs of two groups; after each step the places are counted."""
    groups = [Admission(group="w/eu", concurrency=3), Admission(group="w/us", concurrency=1)]
    most = {each.group: 0 for each in groups}
    lock = threading.Lock()
    ended: list[str] = []

    def work(number: int) -> None:
        for turn in range(8):
            accept(database, f"{number}-{turn}", admission=groups[(number + turn) % 2])
            with database.write() as connection:
                claimed = claim_pending(connection, f"owner-{number}", journal_format=1, limit=2)
            with database.read() as connection:
                held = {each.group: len(list_holders(connection, each.group, limit=99)) for each in groups}
            with lock:
                most.update({group: max(most[group], count) for group, count in held.items()})
                ended.extend(claimed)
            for run_id in claimed:
                _finish(database, run_id)

    run_concurrently(6, work)
    while claimed := _admit_and_claim(database):
        for run_id in claimed:
            _finish(database, run_id)
        ended += claimed
    assert most == {"w/eu": 3, "w/us": 1}
    assert len(ended) == len(set(ended)) == 48


def _admit_and_claim(database: Database) -> list[str]:
    with database.write() as connection:
        for group in look_at_waiting(connection).groups:
            admit(connection, group)
    return _claim(database)


def test_looks_read_indexes_and_not_all_runs(database: Database) -> None:
    rate = {"rate_limit": 5, "rate_period_ms": 1000}
    limits: dict[str, Any] = {"admission_group": "w/eu", "concurrency_limit": 1, **rate}
    store_many(database, 3_000, **limits, held_ms=1)
    store_many(database, 3_000, prefix="s", status="SUCCESS", **limits, admitted_ms=1)
    accept(database, "a", admission=Admission(group="w/us", concurrency=1, rate=5, rate_period_ms=1000))
    statements: list[tuple[str, Any]] = []

    def note(_: sa.Connection, __: object, text: str, parameters: Any, *___: object) -> None:
        statements.append((text, parameters))

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", note)
        assert look_at_waiting(connection) == Waiting(overdue=[], groups=["w/eu"])
        assert len(admit(connection, "w/eu")) == 1
        assert not claim_one(connection, "r000005", "me", journal_format=1)
        assert sorted(claim_pending(connection, "me", journal_format=1, limit=9)) == ["a", "r000000"]
        finish_execution(connection, "a", Status.SUCCESS)
    plans = explain(database, [each for each in statements if "workflow_states" in each[0]])
    for plan in plans:
        assert "Seq Scan on workflow_states" not in plan, plan
        assert "SCAN workflow_states" not in plan.replace("SCAN workflow_states USING", ""), plan
        assert "TEMP B-TREE" not in plan, plan
    for name in ("held", "places", "admitted", "overdue"):
        assert any(f"ix_workflow_states_{name}" in plan for plan in plans), (name, plans)
    with database.read() as connection:
        assert get_execution(connection, "a").held_ms is None
