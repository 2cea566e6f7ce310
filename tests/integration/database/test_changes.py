"""Changes of runs as other parts of this process and other processes hear of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from unittest import mock

import pytest

from compozy.clock import monotonic_s
from compozy.database import postgres_texts
from compozy.database.changes import ChangeFeed, add_listener, remove_listener
from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.live_text import TextDelta, forget_text, publish_text, texts_of
from tests.harness.databases import fresh, migrated, new_run

_LIMIT_S = 30.0


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database."""
    with fresh(request.param, tmp_path) as settings, migrated(settings) as opened:
        yield opened


def accept(database: Database, *run_ids: str) -> None:
    """Store runs in one transaction."""
    with database.write() as connection:
        for run_id in run_ids:
            insert_execution(connection, new_run(run_id), owner=None)


def accept_and_fail(database: Database) -> None:
    """Store a run in a transaction that is rolled back."""
    with database.write() as connection:
        insert_execution(connection, new_run("c"), owner=None)
        raise ZeroDivisionError


def heard(feed: ChangeFeed) -> frozenset[str]:
    """Return the next change."""
    ends_s = monotonic_s() + _LIMIT_S
    while monotonic_s() < ends_s:
        if (runs := feed.wait(0.5)) is not None:
            return runs
    raise AssertionError("nothing was heard")


def test_a_process_hears_of_its_commits_and_of_nothing_else(database: Database) -> None:
    told: list[frozenset[str]] = []
    add_listener(told.append)
    try:
        accept(database, "a", "b")
        # A transaction of an earlier test may have failed on this thread.
        assert len(told) == 1
        assert told[0] >= {"a", "b"}
        with pytest.raises(ZeroDivisionError):
            accept_and_fail(database)
        assert len(told) == 1
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
        accept(database, "d")
        assert told[1] == {"c", "d"}
        accept(database, "e")
        assert told[2:] == [{"e"}]
    finally:
        remove_listener(told.append)


def test_other_processes_hear_of_them(database: Database) -> None:
    feed = database.driver.open_feed(database.settings)
    announcer = database.driver.open_announcer(database.settings)
    assert feed is not None
    try:
        # What happened before it listened may be anything.
        assert heard(feed) == frozenset()
        assert feed.wait(0.1) is None
        accept(database, "a", "b")
        # A file only shows that it changed.
        runs = heard(feed)
        assert runs == frozenset() if announcer is None else runs >= {"a", "b"}
    finally:
        feed.close()
        if announcer is not None:
            announcer.close()


def test_an_announcer_announces_the_rest_when_it_ends(database: Database) -> None:
    feed, announcer = database.driver.open_feed(database.settings), database.driver.open_announcer(database.settings)
    assert feed is not None
    if announcer is None:
        accept(database, "a")
        assert heard(feed) == frozenset()
    else:
        assert heard(feed) == frozenset()
        accept(database, "a")
        announcer.close()
        assert heard(feed) >= {"a"}
    feed.close()


def test_texts_reach_the_processes_that_ask_for_them(tmp_path: Path) -> None:
    heard_texts: list[TextDelta] = []
    with fresh("postgres", tmp_path) as settings, migrated(settings) as database:
        announcer = database.driver.open_announcer(settings)
        feed = database.driver.open_feed(settings, heard_texts.append)
        assert announcer is not None
        assert feed is not None

        def hear(pieces: int, again: frozenset[str] = frozenset()) -> str:
            """Wait for pieces, and return the texts."""
            ends_s = monotonic_s() + _LIMIT_S
            while len(heard_texts) < pieces and monotonic_s() < ends_s:
                feed.watch(frozenset({"watched"}), again)
                feed.wait(0.1)
                again = frozenset()
            text = "".join(delta.text for delta in heard_texts)
            heard_texts.clear()
            return text

        try:
            # The same process asks and answers here, which it otherwise never does.
            with mock.patch.object(postgres_texts, "_origin", side_effect=map(str, count())):
                begun = "é🙂\x00\n" * 200
                publish_text(piece(begun))
                publish_text(replace(piece("not asked for"), execution_id="other"))
                assert hear(3) == begun
                rest = "\ud800" * 10_000
                publish_text(replace(piece(rest), offset=len(begun)))
                assert hear(34) == rest
                assert hear(37, frozenset({"watched"})) == begun + rest
                publish_text(replace(piece("."), offset=len(begun + rest), is_last=True))
                assert hear(1) == "."
        finally:
            feed.close()
            announcer.close()
    assert texts_of({"watched", "other"}) == [replace(piece("not asked for"), execution_id="other")]
    forget_text(("other", "t", 0))


def piece(text: str) -> TextDelta:
    """Return the start of an answer."""
    return TextDelta(execution_id="watched", path="t", request=0, attempt=1, offset=0, text=text)
