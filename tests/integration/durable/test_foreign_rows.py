"""Manipulated journals: no row is executed as code, and a process refuses to start on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dbos
import pytest
import sqlalchemy as sa
from dbos._serialization import (
    DBOSDefaultSerializer,
    DefaultSerializer,
    deserialize_args,
    deserialize_exception,
    deserialize_value,
    safe_deserialize,
)

from compozy.database.database import Database
from compozy.durable.context import Suspension, current_run
from compozy.durable.journal import JournalSerializer, list_journal_tables
from compozy.durable.step import load_recorded, step
from compozy.errors import DatabaseError
from compozy.transfer.check import check_database
from tests.harness.pickles import pickled
from tests.integration.durable.runs import new_run, running

Change = Callable[[dict[str, sa.Table]], sa.Insert | sa.Update]
_RULE = "the journal holds only what Compozy writes"
_NAME = "py_pickle"


async def _leave_open(database: Database) -> None:
    """Create a run that has recorded one step and is resumed by the next process."""

    async def call() -> Any:
        return {"text": "paid for"}

    async def execute(_: str) -> None:
        await step("ask", call)
        run = current_run()
        run.suspend(Suspension.SUSPEND)
        run.check()

    async with running(database, execute) as runtime:
        await runtime.submit(new_run("r"), "t")
        await runtime.wait("r")


def _update(table: str, **values: Any) -> Change:
    return lambda tables: sa.update(tables[table]).values(values)


def _add_schedule(tables: dict[str, sa.Table]) -> sa.Insert | sa.Update:
    return sa.insert(tables["workflow_schedules"]).values(
        schedule_id="s", schedule_name="s", workflow_name="compozy.run", schedule="* * * * * *", context="PAYLOAD"
    )


def _add_enqueued(tables: dict[str, sa.Table]) -> sa.Insert | sa.Update:
    """Add a run that the engine's queue would start in every process."""
    return sa.insert(tables["workflow_status"]).values(
        workflow_uuid="extra",
        status="ENQUEUED",
        name="compozy.run",
        queue_name="_dbos_internal_queue",
        inputs='{"args":["extra"],"kwargs":{}}',
        serialization="compozy_json",
        created_at=1,
        updated_at=1,
        priority=0,
        was_forked_from=False,
        rate_limited=False,
        is_debounced=False,
    )


_CASES: list[tuple[str, Change, str]] = [
    ("step", _update("operation_outputs", serialization=_NAME, output="PAYLOAD"), "'serialization' is 'py_pickle'"),
    ("error", _update("operation_outputs", serialization=_NAME, error="PAYLOAD"), "'serialization' is 'py_pickle'"),
    ("portable", _update("operation_outputs", serialization="portable_json"), "'serialization' is 'portable_json'"),
    ("inputs", _update("workflow_input", inputs="PAYLOAD"), "'inputs' is '"),
    ("other run", _update("workflow_input", inputs='{"args":["other"],"kwargs":{}}'), "'inputs' is '"),
    ("status", _update("workflow_status", serialization=_NAME), "'serialization' is 'py_pickle'"),
    ("old inputs", _update("workflow_status", inputs="PAYLOAD"), "'inputs' is '"),
    ("function", _update("workflow_status", name="_dbos_debouncer_workflow"), "'name' is '_dbos_debouncer_workflow'"),
    ("class", _update("workflow_status", class_name="Any"), "'class_name' is 'Any'"),
    ("instance", _update("workflow_status", config_name="any"), "'config_name' is 'any'"),
    ("queue", _add_enqueued, "'queue_name' is '_dbos_internal_queue'"),
    ("schedule", _add_schedule, "Compozy has no schedules"),
]


@pytest.mark.parametrize(("change", "refusal"), [case[1:] for case in _CASES], ids=[case[0] for case in _CASES])
async def test_a_journal_with_foreign_rows_is_refused(
    database: Database, tmp_path: Path, change: Change, refusal: str
) -> None:
    canary = tmp_path / "executed"
    await _leave_open(database)
    assert not any(finding.fault for finding in check_database(database))
    tables = {table.name: table for table in list_journal_tables(database.journal_schema)}
    statement = change(tables)
    parameters = {key: pickled(canary) for key, value in statement.compile().params.items() if value == "PAYLOAD"}
    with database.write() as connection:
        connection.execute(statement.values(parameters) if parameters else statement)
    faults = {finding.name: finding.fault for finding in check_database(database)}
    assert refusal in faults[_RULE]
    called: list[str] = []

    async def execute(run_id: str) -> None:
        called.append(run_id)

    with pytest.raises(DatabaseError) as caught:
        async with running(database, execute):
            raise AssertionError("a runtime started")
    assert caught.value.message.startswith(f"the journal in {database.location} holds rows that Compozy did not write")
    assert refusal in caught.value.message
    assert not called
    assert not canary.exists()


async def test_a_step_that_is_pickled_during_a_run_is_not_read(database: Database, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    await _leave_open(database)
    table = {table.name: table for table in list_journal_tables(database.journal_schema)}["operation_outputs"]
    with database.write() as connection:
        connection.execute(sa.update(table).values(serialization=_NAME, output=pickled(canary)))
    with pytest.raises(DatabaseError) as caught:
        load_recorded(database, "r")
    assert "holds a step of execution 'r' that Compozy did not write" in caught.value.message
    assert not canary.exists()


def test_the_engine_cannot_unpickle(tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    text, ours = pickled(canary), JournalSerializer()
    for read in (
        lambda: deserialize_value(text, _NAME, ours),
        lambda: deserialize_args(text, _NAME, ours),
        lambda: deserialize_exception(text, _NAME, ours),
        lambda: DefaultSerializer().deserialize(text),
        lambda: DBOSDefaultSerializer.deserialize(text),
        lambda: DefaultSerializer().serialize({"x": 1}),
    ):
        with pytest.raises(ValueError, match="pickled"):
            read()
    safe_deserialize(ours, _NAME, "r", serialized_input=text, serialized_output=text, serialized_exception=text)
    assert not canary.exists()


def test_the_engine_unpickles_in_one_place_only() -> None:
    """This test fails if a release unpickles in another place, which is not closed."""
    folder = Path(dbos.__file__).parent
    using = {path.name for path in folder.rglob("*.py") if "pickle.load" in path.read_text(encoding="utf-8")}
    assert using == {"_serialization.py"}
