"""Claims and releases of runs: their order, concurrent writers, and dead processes."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database import executions, executors
from compozy.database.claims import claim_one, claim_pending, has_claimable
from compozy.database.database import Database
from compozy.database.executions import (
    finish_execution,
    get_execution,
    get_status,
    insert_execution,
    lock_execution,
    release_run,
    release_runs,
)
from compozy.database.executors import (
    delete_executor,
    has_expired_executors,
    insert_executor,
    list_executor_ids,
    list_live_executors,
    reap_expired_executors,
    renew_lease,
)
from compozy.database.lists import list_executions
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.database.tasks import (
    TaskEnd,
    finish_task,
    list_tasks,
)
from tests.harness.databases import migrated, new_run
from tests.integration.database.stored_runs import accept, run_concurrently


def test_one_of_many_concurrent_acceptances_counts(database: Database) -> None:
    accepted: list[int] = []

    def work(number: int) -> None:
        with database.write() as connection:
            if insert_execution(connection, new_run("same", input={"n": number}), owner=None):
                accepted.append(number)

    run_concurrently(8, work)
    with database.read() as connection:
        assert [get_execution(connection, "same").input["n"]] == accepted


def test_runs_are_claimed_in_the_order_of_their_acceptance(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["z", "m", "a", "q"]
    for number, run_id in enumerate(ids):
        monkeypatch.setattr(executions, "now_ms", lambda number=number: 1000 + number)
        accept(database, run_id)
    with database.write() as connection:
        assert claim_pending(connection, "me", journal_format=1, limit=3) == ["z", "m", "a"]
        assert has_claimable(connection, journal_format=1)
        assert claim_pending(connection, "me", journal_format=1, limit=3) == ["q"]
        assert not has_claimable(connection, journal_format=1)
        assert claim_pending(connection, "me", journal_format=1, limit=3) == []


@pytest.mark.parametrize("claim", ["pending", "one"])
def test_a_claim_starts_the_run_and_its_first_task(database: Database, claim: str) -> None:
    accept(database, "a")
    with database.write() as connection:
        if claim == "pending":
            assert claim_pending(connection, "me", journal_format=1, limit=1) == ["a"]
        else:
            assert claim_one(connection, "a", "me", journal_format=1)
        run, (task,) = get_execution(connection, "a"), list_tasks(connection, "a")
        assert (run.status, run.owner, run.started_ms is not None) == (Status.RUNNING, "me", True)
        assert (task.status, task.started_ms is not None) == (Status.RUNNING, True)
        assert finish_task(connection, "a/t", TaskEnd(status=Status.SUCCESS, attempts=1))


def test_runs_that_may_not_be_claimed(database: Database) -> None:
    accept(database, "owned", owner="other")
    accept(database, "ended", owner="x")
    accept(database, "newer", journal_format=2)
    accept(database, "paused")
    with database.write() as connection:
        assert finish_execution(connection, "ended", Status.SUCCESS)
        connection.execute(
            sa.update(workflow_states).where(workflow_states.c.workflow_exec_id == "paused").values(status="PAUSED")
        )
        before = [get_execution(connection, run_id) for run_id in ("owned", "ended", "newer", "paused")]
        assert not has_claimable(connection, journal_format=1)
        assert claim_pending(connection, "me", journal_format=1, limit=10) == []
        for run_id in ("owned", "ended", "newer", "paused", "unknown"):
            assert not claim_one(connection, run_id, "me", journal_format=1)
        assert [get_execution(connection, run_id) for run_id in ("owned", "ended", "newer", "paused")] == before


def test_a_waiting_run_is_resumed_at_its_time(database: Database) -> None:
    accept(database, "a", owner="dead")
    with database.write() as connection:
        aside: dict[str, Any] = {"status": "WAITING", "owner": None, "started_ms": 7}
        connection.execute(sa.update(workflow_states).values(**aside, wake_ms=now_ms() + 60_000))
        assert not has_claimable(connection, journal_format=1)
        assert claim_pending(connection, "me", journal_format=1, limit=9) == []
        connection.execute(sa.update(workflow_states).values(wake_ms=now_ms()))
        assert has_claimable(connection, journal_format=1)
        assert claim_pending(connection, "me", journal_format=1, limit=9) == ["a"]
        run = get_execution(connection, "a")
    assert (run.status, run.owner, run.started_ms, run.wake_ms) == (Status.RUNNING, "me", 7, None)


def test_a_suspended_run_can_be_claimed_by_its_id_before_its_time(database: Database) -> None:
    accept(database, "a", owner="dead")
    with database.write() as connection:
        aside: dict[str, Any] = {"status": "WAITING", "owner": None, "wake_ms": now_ms() + 60_000}
        connection.execute(sa.update(workflow_states).values(**aside))
        assert claim_one(connection, "a", "me", journal_format=1)
        run = get_execution(connection, "a")
    assert (run.status, run.owner, run.wake_ms) == (Status.RUNNING, "me", None)


def test_threads_share_the_waiting_runs_without_any_twice(database: Database) -> None:
    accept(database, *(f"run-{number:02}" for number in range(40)))
    taken: list[tuple[str, int]] = []

    def work(number: int) -> None:
        while True:
            with database.write() as connection:
                ids = claim_pending(connection, f"owner-{number}", journal_format=1, limit=3)
            if not ids:
                return
            taken.extend((run_id, number) for run_id in ids)

    run_concurrently(6, work)
    assert sorted(run_id for run_id, _ in taken) == [f"run-{number:02}" for number in range(40)]
    with database.read() as connection:
        owners = {run.workflow_exec_id: run.owner for run in list_executions(connection, limit=100)}
    assert owners == {run_id: f"owner-{number}" for run_id, number in taken}


def test_two_engines_on_one_file_share_the_runs_too(database: Database, place: DatabaseSettings) -> None:
    accept(database, *(f"run-{number:02}" for number in range(30)))
    with migrated(place) as second:
        taken: list[str] = []

        def work(number: int) -> None:
            chosen = (database, second)[number % 2]
            for run in range(30):
                with chosen.write() as connection:
                    if claim_one(connection, f"run-{run:02}", f"owner-{number}", journal_format=1):
                        taken.append(f"run-{run:02}")

        run_concurrently(4, work)
    assert sorted(taken) == [f"run-{number:02}" for number in range(30)]


def test_reading_and_then_writing_loses_no_update(database: Database, place: DatabaseSettings) -> None:
    accept(database, "counter", owner="me")
    with database.write() as connection:
        connection.execute(sa.update(workflow_states).values(input={"n": 0}))
    with migrated(place) as second:

        def work(number: int) -> None:
            for _ in range(20):
                with (database, second)[number % 2].write() as connection:
                    count = lock_execution(connection, "counter").input["n"]
                    connection.execute(sa.update(workflow_states).values(input={"n": count + 1}))

        run_concurrently(6, work)
    with database.read() as connection:
        assert get_execution(connection, "counter").input == {"n": 120}


def test_a_transaction_that_fails_stores_nothing(database: Database) -> None:
    def half_of_it() -> None:
        with database.write() as connection:
            insert_execution(connection, new_run("a"), owner=None)
            raise KeyError("between two writes")

    with pytest.raises(KeyError):
        half_of_it()
    with database.write() as connection:
        assert get_status(connection, "a") is None


def test_only_runs_of_dead_processes_are_released(database: Database) -> None:
    with database.write() as connection:
        for name, lease_ms in (("dead", -1), ("alive", 60_000), ("renewed", -1)):
            insert_executor(connection, name, role="run", lease_ms=lease_ms)
    for owner in ("dead", "alive", "renewed", "unknown"):
        accept(database, f"of-{owner}", f"ended-of-{owner}", owner=owner)
        with database.write() as connection:
            connection.execute(
                sa.update(workflow_states)
                .where(workflow_states.c.workflow_exec_id == f"ended-of-{owner}")
                .values(status="SUCCESS")
            )
    with database.write() as connection:
        assert renew_lease(connection, "renewed", lease_ms=60_000)
        assert has_expired_executors(connection)
        assert reap_expired_executors(connection).runs == 2
        assert not has_expired_executors(connection)
        assert list_executor_ids(connection) == ["alive", "renewed"]
        owners = {run.workflow_exec_id: run.owner for run in list_executions(connection, limit=99)}
        assert not renew_lease(connection, "dead", lease_ms=10)
        assert reap_expired_executors(connection).runs == 0
    # Ended runs keep their rows. Runs of unknown owners are released as well.
    freed = {"of-dead", "of-unknown"}
    assert owners == {run_id: None if run_id in freed else run_id.rpartition("-")[2] for run_id in owners}


def test_leases_use_one_clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL, a process whose clock is an hour off is neither dead nor immortal."""
    if database.driver.name == "postgres":
        monkeypatch.setattr(executors, "now_ms", lambda: now_ms() - 3_600_000)
    with database.write() as connection:
        insert_executor(connection, "me", role="worker", lease_ms=60_000)
        assert not has_expired_executors(connection)
        assert list_live_executors(connection) == [f"worker on {socket.gethostname()}, pid {os.getpid()}"]
        assert renew_lease(connection, "me", lease_ms=-1)
        assert has_expired_executors(connection)
        assert list_live_executors(connection) == []


def test_the_only_owner_of_a_file_reaps_all_other_executors(database: Database) -> None:
    for name in ("me", "other"):
        with database.write() as connection:
            insert_executor(connection, name, role="run", lease_ms=60_000)
        accept(database, f"of-{name}", owner=name)
    with database.write() as connection:
        assert reap_expired_executors(connection, except_id="me").runs == 1
        assert list_executor_ids(connection) == ["me"]
        assert get_execution(connection, "of-me").owner == "me"
        assert get_execution(connection, "of-other").owner is None
        delete_executor(connection, "me")
        assert list_executor_ids(connection) == []


def test_releasing_runs(database: Database) -> None:
    accept(database, "a", "b", "c", owner="me")
    accept(database, "d", owner="other")
    with database.write() as connection:
        finish_execution(connection, "c", Status.SUCCESS)
        release_run(connection, "a", "other")
        assert get_execution(connection, "a").owner == "me"
        release_run(connection, "a", "me")
        assert get_execution(connection, "a").owner is None
        assert release_runs(connection, "me") == 1
        assert {run.workflow_exec_id: run.owner for run in list_executions(connection, limit=9)} == {
            "a": None,
            "b": None,
            "c": None,
            "d": "other",
        }
