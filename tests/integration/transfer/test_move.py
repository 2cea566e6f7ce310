"""Runs that are moved from one database to another: rows, states, and that they continue only there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.database.backup import back_up_sqlite
from compozy.database.claims import claim_pending
from compozy.database.database import Database
from compozy.database.executions import get_execution
from compozy.database.facts import DATABASE_ID
from compozy.database.lists import list_executions
from compozy.database.signals import Signal, send_signal
from compozy.database.status import Status
from compozy.database.tables import facts
from compozy.database.transitions import request_cancel, request_pause, resume_run
from compozy.durable.format import JOURNAL_FORMAT
from compozy.errors import ConflictError, DatabaseOwnedError
from compozy.ids import new_database_id
from compozy.transfer.export import RunFilter, find_move, freeze_runs
from tests.harness.databases import migrated, settings
from tests.harness.moves import body, export, load, ready, rows_of
from tests.harness.runs import Flows, flowing
from tests.integration.transfer.waiting import RESULT, WAITS, finish, move, status_of, wait_at_gate

Pair = tuple[Database, Database]


async def test_a_waiting_run_continues_where_it_was_moved(pair: Pair) -> None:
    source, target = pair
    asked = await wait_at_gate(source)
    assert asked.asked == ["one 7"]
    move(source, target)
    assert status_of(source) is Status.MOVED
    with target.read() as connection:
        origin = get_execution(connection, "r").origin
    assert origin is not None
    assert source.location in origin["database"]
    # Recorded answers are not requested again.
    assert (await finish(target)).asked == ["left 3", "last"]
    assert status_of(source) is Status.MOVED


async def test_a_run_is_moved_there_and_back(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    first = move(source, target)
    second = move(target, source)
    assert status_of(target) is Status.MOVED
    assert status_of(source) is not Status.MOVED
    # Neither the first document restores it there, nor the second one here.
    before = rows_of(target)
    assert load(target, first).away == 1
    assert rows_of(target) == before
    move(source, target)
    assert load(source, second).away == 1
    assert status_of(source) is Status.MOVED
    assert (await finish(target)).asked == ["left 3", "last"]


async def test_an_untaken_signal_is_moved_with_its_run(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    with source.write() as connection:
        send_signal(connection, Signal(signal_id="s", workflow_exec_id="r", name="go", payload={"n": 3}))
    move(source, target)
    async with flowing(target) as flows:
        assert (await flows.ended("r")).output == RESULT


async def test_a_copy_arrives_paused_and_names_its_source(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    imported = load(target, export(source))
    assert (imported.new, imported.paused, imported.unfinished) == (1, 1, 0)
    with target.read() as connection:
        copied = get_execution(connection, "r")
    assert copied.status is Status.PAUSED
    assert copied.origin is not None
    assert source.location in copied.origin["database"]
    with target.write() as connection:
        resume_run(connection, "r")
    await finish(target)
    # The original is independent.
    await finish(source)


async def test_export_import_export_gives_the_same(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    async with flowing(source) as flows:
        await flows.run("tasks: [{id: a, prompt: 'fail: x'}]", execution_id="bad")
        await flows.run("tasks: [{id: a, with: {deep: [[[{x: 1.5e300, y: -0.0}]]]}}]", execution_id="good")
    first = export(source)
    load(target, first)
    second = export(target)
    assert body(second) == body(first)
    again = load(target, first)
    assert (again.new, again.there, again.stored) == (0, 3, {})
    assert body(export(target)) == body(first)


async def test_a_document_of_a_move_can_be_written_again(database: Database) -> None:
    await wait_at_gate(database)
    move_id, count = freeze_runs(database, RunFilter())
    assert count == 1
    first = export(database, move_id=move_id)
    assert find_move(database) == move_id
    again = export(database, move_id=move_id)
    # Except for the time of the export, which the runs contain.
    assert len(first) == len(again)
    assert freeze_runs(database, RunFilter())[1] == 0


async def test_moves_arrive_in_any_order(pair: Pair) -> None:
    source, target = pair
    with target.write() as connection:
        # Databases of the tests are copies of one.
        connection.execute(sa.update(facts).where(facts.c.name == DATABASE_ID).values(value=new_database_id()))
    await wait_at_gate(source)
    first, _ = freeze_runs(source, RunFilter())
    lost = export(source, move_id=first)
    async with flowing(source) as flows:
        await flows.start(WAITS, {"n": 7}, execution_id="later")
        await flows.until_waiting("later", "gate")
    second, count = freeze_runs(source, RunFilter())
    assert count == 1
    assert find_move(source) == second
    assert find_move(source, first) == first
    with pytest.raises(ConflictError, match="move 'odd' out of") as caught:
        find_move(source, "odd")
    assert caught.value.hint == f"moves: {first} (1 execution), {second} (1 execution)"
    # The later document records that `r` was moved, but not where to.
    imported = load(target, export(source, move_id=second))
    assert (imported.new, imported.unfinished) == (2, 1)
    assert status_of(target) is Status.MOVED
    imported = load(target, lost)
    assert (imported.replaced, imported.unfinished, imported.away) == (1, 1, 0)
    assert (await finish(target)).asked == ["left 3", "last"]
    # Runs that moved on from here stay away, even if an earlier document is imported.
    assert load(target, lost).replaced == 0
    assert status_of(target) is Status.SUCCESS


async def test_a_restored_source_does_not_reclaim_its_runs_unasked(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.touch()
    with ready("sqlite", tmp_path / "a") as source:
        await wait_at_gate(source)
        move_id, _ = freeze_runs(source, RunFilter())
        document = export(source, move_id=move_id)
        back_up_sqlite(Path(str(source.settings.path)), copy, source.settings)
    with migrated(settings(copy)) as restored:
        assert load(restored, document).away == 1
        assert status_of(restored) is Status.MOVED


def test_without_a_move_no_document_can_be_written_again(database: Database) -> None:
    with pytest.raises(ConflictError, match="no runs were moved out of"):
        find_move(database)


async def test_runs_of_a_lost_move_are_reclaimed(database: Database) -> None:
    await wait_at_gate(database)
    move_id, _ = freeze_runs(database, RunFilter())
    document = export(database, move_id=move_id)
    with pytest.raises(ConflictError, match="exported from this same database") as caught:
        load(database, document)
    assert "--take-back" in caught.value.hint
    imported = load(database, document, take_back=True)
    assert (imported.replaced, imported.unfinished) == (1, 1)
    assert (await finish(database)).asked == ["left 3", "last"]
    # Reclaimed once. It has ended meanwhile, and stays so.
    assert load(database, document, take_back=True).replaced == 0
    assert status_of(database) is Status.SUCCESS


async def test_a_moved_run_is_not_resumed(database: Database) -> None:
    await wait_at_gate(database)
    freeze_runs(database, RunFilter())
    with database.write() as connection:
        assert claim_pending(connection, "me", journal_format=JOURNAL_FORMAT, limit=10) == []
        for ask in (
            lambda: resume_run(connection, "r"),
            lambda: request_pause(connection, "r"),
            lambda: request_cancel(connection, "r", {}),
            lambda: send_signal(connection, Signal(signal_id="s", workflow_exec_id="r", name="go")),
        ):
            with pytest.raises(ConflictError, match="it was moved to another database and continues there"):
                ask()
    async with flowing(database) as flows:
        # The engine's own recovery ignores it as well.
        await flows.run("tasks: [{id: a, with: {x: 1}}]")
        assert flows.answers.asked == []
    assert status_of(database) is Status.MOVED


async def test_databases_in_use_are_not_moved_from_nor_into(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    document = export(source)
    for held, act in (
        (source, lambda: freeze_runs(source, RunFilter())),
        (target, lambda: load(target, document)),
    ):
        if held.is_exclusive:
            # The lock of a file is tested in test_commands.py.
            continue
        async with flowing(held):
            with pytest.raises(DatabaseOwnedError, match=r"1 process\(es\) execute runs on"):
                act()
    assert status_of(source) is not Status.MOVED


async def test_only_requested_runs_are_exported(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    await wait_at_gate(source)
    async with flowing(source) as flows:
        await _run_two(flows)
    with source.read() as connection:
        since_ms = get_execution(connection, "two").created_ms
    cases: tuple[tuple[RunFilter, set[str]], ...] = (
        (RunFilter(statuses=(Status.SUCCESS,)), {"one", "two"}),
        (RunFilter(workflows=("other",)), set[str]()),
        (RunFilter(since_ms=since_ms, statuses=(Status.SUCCESS,)), {"two"}),
    )
    for number, (wanted, ids) in enumerate(cases):
        with ready(target.driver.name, tmp_path / f"c{number}") as fresh:
            load(fresh, export(source, wanted))
            with fresh.read() as connection:
                assert {run.workflow_exec_id for run in list_executions(connection, limit=9)} == ids
            tables = rows_of(fresh)
            assert {row["workflow_exec_id"] for row in tables["task_states"]} == ids
            assert {row["workflow_uuid"] for row in tables["journal.workflow_status"]} == ids
    assert load(target, export(source, RunFilter(workflows=("other",)))).new == 0


async def _run_two(flows: Flows) -> None:
    for run_id in ("one", "two"):
        await flows.run("tasks: [{id: a, with: {x: 1}}]", execution_id=run_id)


async def test_another_run_with_the_same_id_is_a_conflict(pair: Pair) -> None:
    source, target = pair
    for database in pair:
        async with flowing(database) as flows:
            await _run_two(flows)
    before = rows_of(target)
    with pytest.raises(ConflictError, match="one is a different run of workflow 'w' here") as caught:
        load(target, export(source))
    assert "nothing was changed" in caught.value.hint
    assert rows_of(target) == before


async def test_an_existing_run_in_another_state_is_kept_or_replaced(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    load(target, export(source))
    await finish(source)
    document = export(source)
    assert load(target, document).left == 1
    assert status_of(target) is Status.PAUSED
    assert load(target, document, replace=True).replaced == 1
    assert status_of(target) is Status.SUCCESS
    assert body(export(target)) == body(document)


async def test_a_moved_run_does_not_replace_a_copy_silently(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    load(target, export(source))
    move_id, _ = freeze_runs(source, RunFilter())
    document = export(source, move_id=move_id)
    with pytest.raises(ConflictError, match="r is PAUSED here"):
        load(target, document)
    load(target, document, replace=True)
    assert (await finish(target)).asked == ["left 3", "last"]


async def test_a_dry_run_changes_nothing(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    before = rows_of(target)
    imported = load(target, export(source), dry_run=True)
    assert (imported.new, imported.paused) == (1, 1)
    assert rows_of(target) == before


async def test_a_document_of_another_project_is_refused(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    with (
        ready(target.driver.name, tmp_path / "c", project="shop") as other,
        pytest.raises(ConflictError, match=r"contains runs of project 'demo', but .* belongs to 'shop'"),
    ):
        load(other, export(source))
