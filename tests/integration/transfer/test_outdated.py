"""Documents that are older than the runs of a database: they never replace them."""

from __future__ import annotations

import pytest

from compozy.database.database import Database
from compozy.database.migrate import measure_down, migrate_down, read_status
from compozy.database.status import Status
from compozy.database.transitions import request_pause, resume_run
from compozy.errors import ConflictError
from compozy.transfer.export import RunFilter, freeze_runs
from tests.harness.moves import export, load, rows_of
from tests.integration.transfer.waiting import finish, move, status_of, wait_at_gate

Pair = tuple[Database, Database]


async def test_an_outdated_document_never_replaces_a_run_that_continued(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    first = move(source, target)
    await finish(target)
    _refuse_outdated(target, first)
    load(source, export(target, move_id=freeze_runs(target, RunFilter())[0]))
    assert status_of(source) is Status.SUCCESS
    _refuse_outdated(source, first, take_back=True)
    # Without the option, the run stays.
    assert load(target, first).there == 1
    assert load(source, first, take_back=True).there == 1


def _refuse_outdated(database: Database, document: bytes, **options: bool) -> None:
    before = rows_of(database)
    for dry_run in (False, True):
        with pytest.raises(ConflictError, match="r has continued since, and is") as caught:
            load(database, document, replace=True, dry_run=dry_run, **options)
        assert "--replace" not in caught.value.hint
        assert "compozy db restore" in caught.value.hint
    assert rows_of(database) == before


async def test_an_outdated_document_never_replaces_an_unfinished_run(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    copied = export(source)
    first = move(source, target)
    with target.write() as connection:
        request_pause(connection, "r")
        resume_run(connection, "r")
    _refuse_outdated(target, first)
    _refuse_outdated(target, copied)
    # The row of the move in the source is older than the run that arrived with it.
    assert load(target, export(source), replace=True).there == 1
    assert status_of(target) is not Status.MOVED


async def test_a_copy_that_ended_is_kept_and_an_unfinished_one_returns(pair: Pair) -> None:
    source, target = pair
    await wait_at_gate(source)
    copied = export(source)
    load(target, copied)
    with target.write() as connection:
        resume_run(connection, "r")
    assert load(target, copied, replace=True).replaced == 1
    assert status_of(target) is Status.PAUSED
    with target.write() as connection:
        resume_run(connection, "r")
    await finish(target)
    _refuse_outdated(target, copied)
    assert load(target, copied).there == 1


async def test_a_rollback_that_loses_moves_is_refused(database: Database) -> None:
    await wait_at_gate(database)
    document = export(database, move_id=freeze_runs(database, RunFilter())[0])
    before = rows_of(database)
    for roll_back in (measure_down, migrate_down):
        with pytest.raises(ConflictError, match=r"1 run of .* moved to another .* revision 0003 cannot store: r") as no:
            roll_back(database, "0003")
        assert "compozy db import --take-back" in no.value.hint
    assert rows_of(database) == before
    # The tables of later revisions store moves.
    loss = measure_down(database, "0006")
    assert loss is not None
    load(database, document, take_back=True)
    migrate_down(database, "0003")
    assert read_status(database).current == "0003"
