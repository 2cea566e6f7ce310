"""Rows of runs, tasks and executors: stored values, claims, and concurrent writers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compozy.database import executions
from compozy.database.database import Database
from compozy.database.executions import (
    check_execution_id,
    count_by_status,
    finish_execution,
    get_execution,
    get_status,
    insert_execution,
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
    start_new_task,
    start_task,
)
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import DatabaseError, NotFoundError, UsageError
from tests.harness.databases import new_run
from tests.integration.database.stored_runs import accept


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


@pytest.mark.parametrize("start", [start_task, start_new_task])
def test_a_task_starts_once_whether_it_was_stored_before_or_not(
    database: Database, start: Callable[[sa.Connection, NewTask], None]
) -> None:
    accept(database, "a", owner="me")
    tasks = [NewTask(workflow_exec_id="a", workflow_id="w", path=path, parent="t") for path in ("t/x", "t/y", "t/z")]
    with database.write() as connection:
        insert_pending_tasks(connection, tasks[:2])
        for task in (tasks[1], tasks[1], tasks[2], tasks[2]):
            start(connection, task)
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
