"""The events of many streams are read together, on both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from compozy.database.database import Database
from compozy.database.events import NewEvent, append_events
from compozy.database.executions import insert_execution
from compozy.server.event_reader import EventReader, Pages
from compozy.server.watch import Watch
from tests.harness.databases import fresh, migrated, new_run
from tests.integration.server.conftest import DRIVERS


@pytest.fixture(params=DRIVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database]:
    """A database with 20 runs that have two events each, and one that has 100."""
    with fresh(request.param, tmp_path) as settings, migrated(settings) as opened:
        with opened.write() as connection:
            for number in range(20):
                insert_execution(connection, new_run(f"run-{number}"), owner=None)
                append_events(connection, f"run-{number}", [NewEvent(kind="signal", data={"number": number})])
            append_events(connection, "run-0", [NewEvent(kind="signal", data={})] * 98)
        yield opened


def numbers(pages: Pages) -> dict[str, list[int] | None]:
    """Return the numbers of the events of each run."""
    return {
        run_id: None if page is None else [entry["seq"] for entry in page["events"]] for run_id, page in pages.items()
    }


async def test_streams_that_ask_together_share_a_query(database: Database) -> None:
    queries: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM execution_events" in arguments[2]:
            queries.append(arguments[2])

    event.listen(database.readers, "before_cursor_execute", note)
    reader = EventReader(database)
    watches = [Watch(positions={f"run-{1 + number % 15}": number % 3}) for number in range(40)]
    left = asyncio.create_task(reader.read(Watch(positions={"run-1": 0})))
    pages = asyncio.gather(*(reader.read(watch) for watch in watches))
    # A client that leaves has no effect on the others.
    await asyncio.sleep(0)
    left.cancel()
    for watch, found in zip(watches, await pages, strict=True):
        ((run_id, after),) = watch.positions.items()
        assert numbers(found) == {run_id: [1, 2][after:]}
        assert not watch.changed
    assert len(queries) == 1
    # The next changes are read together, too.
    for watch in watches:
        watch.note(watch.positions)
    assert await asyncio.gather(*(reader.read(watch) for watch in watches)) == pages.result()
    assert len(queries) == 2


async def test_a_stream_gets_a_few_runs_and_events_together(database: Database) -> None:
    watch = Watch(positions={"gone": 0, **{f"run-{number}": 0 for number in range(12)}})
    reader = EventReader(database)
    first = await reader.read(watch)
    assert list(first) == ["gone", *(f"run-{number}" for number in range(9))]
    assert numbers(first) == {
        "gone": None,
        "run-0": list(range(1, 51)),
        **{f"run-{number}": [1, 2] for number in range(1, 9)},
    }
    assert first["run-0"] is not None
    assert first["run-0"]["next_after"] == 50
    assert (watch.woken.is_set(), watch.changed) == (True, {"run-9", "run-10", "run-11"})
    watch.note({"run-10"})
    assert numbers(await reader.read(watch)) == {f"run-{number}": [1, 2] for number in (9, 10, 11)}
    assert not watch.woken.is_set()
