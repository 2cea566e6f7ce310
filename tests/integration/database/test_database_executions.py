"""Rows of runs, tasks and executors: stored values, claims, and concurrent writers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database import executions, executors
from compozy.database.claims import claim_one, claim_pending, has_claimable
from compozy.database.database import Database
from compozy.database.executions import (
    check_execution_id,
    count_by_status,
    finish_execution,
    get_execution,
    get_status,
    insert_execution,
    list_foreign_format,
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
from compozy.database.facts import claim_for_project, get_project
from compozy.database.lists import ExecutionFilter, count_executions, list_executions, list_summaries
from compozy.database.status import Status
from compozy.database.tables import task_states, workflow_states
from compozy.database.tasks import (
    NewTask,
    TaskEnd,
    end_open_below,
    end_open_tasks,
    finish_task,
    insert_pending_tasks,
    insert_task,
    list_tasks,
    restore_task_end,
    start_task,
)
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import DatabaseError, NotFoundError, UsageError
from tests.harness.databases import fresh, migrated, new_run


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Return settings of a new database of each driver."""
    with fresh(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def database(place: DatabaseSettings) -> Iterator[Database]:
    """Return the database, open and with its tables."""
    with migrated(place) as opened:
        yield opened


def accept(database: Database, *run_ids: str, owner: str | None = None, **more: Any) -> None:
    for run_id in run_ids:
        with database.write() as connection:
            assert insert_execution(connection, new_run(run_id, **more), owner=owner)
            task = NewTask(workflow_exec_id=run_id, workflow_id="w", path="t")
            insert_task(connection, task, Status.RUNNING if owner else Status.PENDING)


def run_concurrently(count: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` in threads that start together, and raise any exception of them."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def body(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_an_accepted_run_is_read_back_unchanged(database: Database) -> None:
    document = {"z": 1, "a": "ü\0\ud800🎈"}
    wanted: dict[str, Any] = {"input": document, "definition": {"workflow": {"id": "w"}}, "deadline_ms": 5}
    accept(database, "waiting", **wanted)
    accept(database, "running", owner="me", **wanted)
    with database.read() as connection:
        waiting, running = (get_execution(connection, run_id) for run_id in ("waiting", "running"))
    assert (waiting.status, waiting.owner, waiting.started_ms) == (Status.PENDING, None, None)
    assert (running.status, running.owner, running.started_ms) == (Status.RUNNING, "me", running.created_ms)
    for run in (waiting, running):
        assert (run.input, run.definition, run.deadline_ms, run.journal_format) == (*wanted.values(), 1)
        assert list(run.input) == ["z", "a"]
        assert (run.output, run.error, run.usage, run.finished_ms, run.parent_exec_id) == (None,) * 5


def test_a_second_run_with_the_same_id_changes_nothing(database: Database) -> None:
    accept(database, "a", input={"n": 1})
    with database.write() as connection:
        assert not insert_execution(connection, new_run("a", input={"n": 2}, workflow_id="other"), owner="me")
    with database.read() as connection:
        run = get_execution(connection, "a")
    assert (run.input, run.workflow_id, run.owner, run.status) == ({"n": 1}, "w", None, Status.PENDING)


def test_one_of_many_concurrent_acceptances_counts(database: Database) -> None:
    accepted: list[int] = []

    def work(number: int) -> None:
        with database.write() as connection:
            if insert_execution(connection, new_run("same", input={"n": number}), owner=None):
                accepted.append(number)

    run_concurrently(8, work)
    with database.read() as connection:
        assert [get_execution(connection, "same").input["n"]] == accepted


TEXT = st.text(st.characters(codec=None, categories=None))
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)
JSON_VALUES: list[Any] = [
    "text",
    "Grüße 🎈 \u2028 \x7f",
    "NUL \0 and half \ud83d a pair \udc88",
    {"b": {"z": 1, "a": 2}, "a": [1.5, -0.0, 10**40, True, None]},
    {"": "", "\0": "\0"},
    "x" * 3_000_000,
    [],
    {},
    0,
    False,
]


@pytest.mark.parametrize("value", JSON_VALUES, ids=lambda value: repr(value)[:30])
def test_json_in_every_column(database: Database, value: Any) -> None:
    accept(database, "a", owner="me", input=value, definition={"v": value})
    end = TaskEnd(
        status=Status.SUCCESS, attempts=2, input=value, output=value, error={"v": value}, usage=[{"v": value}]
    )
    with database.write() as connection:
        assert finish_task(connection, "a/t", end)
        assert finish_execution(connection, "a", Status.SUCCESS, output=value, error={"v": value}, usage=[{"v": value}])
    with database.read() as connection:
        run, (task,) = get_execution(connection, "a"), list_tasks(connection, "a")
        kind = "typeof" if database.driver.name == "sqlite" else "pg_typeof"
        texts = connection.exec_driver_sql(
            f"SELECT {kind}(input), {kind}(output), {kind}(error) FROM task_states"
        ).one()
    assert [run.input, run.output, task.input, task.output] == [value] * 4
    assert repr(task.output) == repr(value)
    assert [run.definition, run.error, task.error] == [{"v": value}] * 3
    assert run.usage == task.usage == [{"v": value}]
    assert set(texts) == {"text"}


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d", "\udc88"])
def test_names_that_cannot_be_stored_are_refused(database: Database, text: str) -> None:
    with pytest.raises(UsageError, match="cannot be stored"):
        accept(database, "a", workflow_id=text)
    with database.read() as connection:
        assert get_status(connection, "a") is None
    accept(database, "a", workflow_id="ü 🎈\ufffd")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JSON)
def test_both_databases_accept_the_text_as_json(database: Database, value: Any) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(workflow_states))
        insert_execution(connection, new_run("a", input=value), owner=None)
        assert repr(get_execution(connection, "a").input) == repr(value)


def test_a_deep_value_is_stored(database: Database) -> None:
    value: Any = 1
    for _ in range(100):
        value = [{"k": value}]
    accept(database, "a", input=value)
    with database.read() as connection:
        assert get_execution(connection, "a").input == value


# The messages of the two databases.
REFUSED = "constraint failed|cannot store TEXT|violates [a-z -]+constraint|invalid input syntax|is of type bigint"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("workflow_states", "input", "not json"),
        ("workflow_states", "usage", "{}"),
        ("workflow_states", "status", "DONE"),
        ("workflow_states", "definition", None),
        ("workflow_states", "created_ms", "soon"),
        ("workflow_states", "parent_exec_id", "nobody"),
        ("task_states", "output", "{"),
        ("task_states", "workflow_exec_id", "nobody"),
        ("task_states", "usage", "1"),
    ],
)
def test_the_tables_refuse_invalid_rows(database: Database, table: str, column: str, value: Any) -> None:
    accept(database, "a")
    with pytest.raises(DatabaseError, match=REFUSED), database.write() as connection:
        connection.execute(sa.text(f"UPDATE {table} SET {column} = :value"), {"value": value})


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
        assert [run.workflow_exec_id for run in list_foreign_format(connection, journal_format=1, limit=9)] == ["newer"]


def test_a_run_that_waited_runs_again_once_its_time_has_come(database: Database) -> None:
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


def test_lists_are_newest_first_and_filtered(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (run_id, workflow) in enumerate([("c", "x"), ("a", "y"), ("b", "x"), ("d", "x")]):
        # The last two are of the same millisecond: their IDs decide.
        monkeypatch.setattr(executions, "now_ms", lambda number=number: min(number, 2))
        accept(database, run_id, workflow_id=workflow, owner="me")
    with database.write() as connection:
        finish_execution(connection, "b", Status.FAILED, error={"code": "x"})

        def found(**filters: Any) -> list[str]:
            limit, wanted = filters.pop("limit", 10), ExecutionFilter(**filters)
            full = [run.workflow_exec_id for run in list_executions(connection, wanted, limit=limit)]
            assert [run.workflow_exec_id for run in list_summaries(connection, wanted, limit=limit)] == full
            assert count_executions(connection, wanted) >= len(full)
            return full

        assert found() == ["d", "b", "a", "c"]
        assert found(limit=2) == ["d", "b"]
        assert found(workflow_id="x") == ["d", "b", "c"]
        assert found(workflow_id="X") == []
        assert found(statuses=[Status.RUNNING]) == ["d", "a", "c"]
        assert found(statuses=[Status.FAILED, Status.CANCELED]) == ["b"]
        assert found(workflow_id="y", statuses=[Status.FAILED]) == []
        assert count_by_status(connection) == {Status.RUNNING: 3, Status.FAILED: 1}


def test_lists_are_filtered_by_labels(database: Database) -> None:
    labels = {"a": {"team": "ops", "env": "prod"}, "b": {"team": "ops", "env": "a=b"}, "c": {}}
    with database.write() as connection:
        for run_id, given in labels.items():
            assert insert_execution(connection, new_run(run_id, labels=given), owner=None)

        def found(*wanted: str) -> list[str]:
            return sorted(
                run.workflow_exec_id for run in list_executions(connection, ExecutionFilter(labels=wanted), limit=10)
            )

        assert {run_id: get_execution(connection, run_id).labels for run_id in labels} == labels
        assert found("team") == found("team=ops") == ["a", "b"]
        assert found("team=ops", "env=prod") == ["a"]
        assert found("env=a=b") == ["b"]
        assert found("team=") == found("Team") == found("team=dev") == []


def test_a_run_records_what_started_it(database: Database) -> None:
    trigger = Trigger(type=TriggerType.WEBHOOK, id="orders", by="Ada")
    with database.write() as connection:
        new = new_run("a", trigger=trigger, traceparent="00-1-2-01")
        assert insert_execution(connection, new_run("b"), owner=None)
        assert insert_execution(connection, new, owner=None)
        known = get_execution(connection, "a")
        assert (known.trigger, known.traceparent) == (trigger, "00-1-2-01")
        assert get_execution(connection, "b").trigger is None


def test_an_unknown_run_is_named(database: Database) -> None:
    with (
        database.read() as connection,
        pytest.raises(NotFoundError, match="execution 'x; DROP' not found in this database"),
    ):
        get_execution(connection, "x; DROP")


def test_the_end_of_a_run_releases_it_and_is_written_once(database: Database) -> None:
    accept(database, "a", owner="me")
    with database.write() as connection:
        assert finish_execution(connection, "a", Status.FAILED, error={"code": "c"}, usage=[{"n": 1}])
        first = get_execution(connection, "a")
        assert (first.status, first.owner, first.error, first.usage) == (Status.FAILED, None, {"code": "c"}, [{"n": 1}])
        assert first.finished_ms is not None
        assert not finish_execution(connection, "a", Status.SUCCESS, output="late")
        assert not finish_execution(connection, "nobody", Status.SUCCESS)
        assert get_execution(connection, "a") == first


def test_tasks_are_in_the_order_of_their_start(database: Database) -> None:
    accept(database, "a", owner="me")
    with database.write() as connection:
        for path in ("z", "b", "a"):
            insert_task(connection, NewTask(workflow_exec_id="a", workflow_id="w", path=path), Status.RUNNING)
        assert finish_task(connection, "a/b", TaskEnd(status=Status.SUCCESS, attempts=3, output={"x": 1}))
        assert not finish_task(connection, "a/b", TaskEnd(status=Status.FAILED, attempts=9))
        end_open_tasks(connection, "a", Status.CANCELED)
        tasks = list_tasks(connection, "a")
    assert [(task.task_exec_id, task.status.value) for task in tasks] == [
        ("a/t", "CANCELED"),
        ("a/z", "CANCELED"),
        ("a/b", "SUCCESS"),
        ("a/a", "CANCELED"),
    ]
    assert (tasks[2].attempts, tasks[2].output) == (3, {"x": 1})
    assert all(task.finished_ms is not None for task in tasks)


def test_a_task_starts_once_whether_it_was_stored_before_or_not(database: Database) -> None:
    accept(database, "a", owner="me")
    tasks = [NewTask(workflow_exec_id="a", workflow_id="w", path=path, parent="t") for path in ("t/x", "t/y", "t/z")]
    with database.write() as connection:
        insert_pending_tasks(connection, tasks[:2])
        for task in (tasks[1], tasks[1], tasks[2], tasks[2]):
            start_task(connection, task)
        insert_pending_tasks(connection, tasks)
    with database.read() as connection:
        stored = [(task.path, task.position, task.status, task.attempts) for task in list_tasks(connection, "a")]
    assert stored == [
        ("t", 0, Status.RUNNING, 1),
        ("t/x", 1, Status.PENDING, 0),
        ("t/y", 2, Status.RUNNING, 1),
        ("t/z", 3, Status.RUNNING, 1),
    ]


def test_open_tasks_of_a_container_end_with_it_and_no_others(database: Database) -> None:
    accept(database, "a", owner="me")
    with database.write() as connection:
        for path in ("c", "c/x", "c/x/y", "c@2/x", "cc", "d/c"):
            insert_task(connection, NewTask(workflow_exec_id="a", workflow_id="w", path=path), Status.RUNNING)
        end_open_below(connection, "a", "c")
        ended = [task.path for task in list_tasks(connection, "a") if task.status is Status.CANCELED]
    assert ended == ["c/x", "c/x/y", "c@2/x"]


def test_the_journal_keeps_the_end_of_a_task_as_json() -> None:
    end = TaskEnd(status=Status.FAILED, attempts=2, error={"code": "x"}, usage=[{"n": 1}], input={"a": 1})
    stored = {"status": "FAILED", "attempts": 2, "error": {"code": "x"}, "usage": [{"n": 1}], "input": {"a": 1}}
    assert restore_task_end({**stored, "output": None}) == end
    assert restore_task_end(stored).status is Status.FAILED


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


def test_a_database_belongs_to_one_project(database: Database) -> None:
    with database.write() as connection:
        assert get_project(connection) is None
        claim_for_project(connection, "mine", "./x.db")
        claim_for_project(connection, "mine", "./x.db")
        with pytest.raises(DatabaseError, match=r"\./x\.db belongs to the project 'mine', not to 'yours'") as caught:
            claim_for_project(connection, "yours", "./x.db")
        assert get_project(connection) == "mine"
    assert "name: mine" in caught.value.hint


@pytest.mark.parametrize("text", ["a", "A-1_b.c:d", "x" * 128, "0", "...", "-"])
def test_valid_run_ids(text: str) -> None:
    assert check_execution_id(text) == text


@pytest.mark.parametrize("text", ["", " ", "a b", "a/b", "a\n", "ü", "x" * 129, "a\0", "é", "٣", "a'b", "../a", "a%"])
def test_invalid_run_ids(text: str) -> None:
    with pytest.raises(UsageError, match="an execution id has 1 to 128 letters"):
        check_execution_id(text)


def test_deleting_a_run_deletes_its_tasks(database: Database) -> None:
    accept(database, "a", "b")
    with database.write() as connection:
        connection.execute(sa.delete(workflow_states).where(workflow_states.c.workflow_exec_id == "a"))
        assert connection.execute(sa.select(task_states.c.workflow_exec_id)).scalars().all() == ["b"]
