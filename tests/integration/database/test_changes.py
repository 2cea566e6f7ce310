"""Notifications about changes of runs within this process and from other processes."""

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
from compozy.database.live_text import TextDelta, forget_text, publish_text
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


def test_a_process_gets_its_commits_and_nothing_else(database: Database) -> None:
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


def test_other_processes_get_the_changes(database: Database) -> None:
    feed = database.driver.open_feed(database.settings)
    announcer = database.driver.open_announcer(database.settings)
    assert feed is not None
    try:
        # Earlier notifications may be of any kind.
        assert heard(feed) == frozenset()
        assert feed.wait(0.1) is None
        accept(database, "a", "b")
        # A file only shows that it has changed.
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

        def hear(text: str, *, is_last: bool = False) -> None:
            """Wait until the pieces, which may arrive twice, are `text`. Ask again like a server does."""
            ends_s = monotonic_s() + _LIMIT_S
            while (so_far := put_together(heard_texts)) is None or (so_far.text, so_far.is_last) != (text, is_last):
                assert monotonic_s() < ends_s, so_far
                feed.watch(frozenset({"watched"}), {"watched"} if so_far is None else ())
                feed.wait(0.5)

        try:
            # The same process asks and answers here, unlike in production.
            with mock.patch.object(postgres_texts, "_origin", side_effect=map(str, count())):
                begun = "é🙂\x00\n" * 200
                publish_text(piece(begun))
                publish_text(replace(piece("not asked for"), execution_id="other"))
                hear(begun)
                rest = "\ud800" * 10_000
                publish_text(replace(piece(rest), offset=len(begun)))
                hear(begun + rest)
                heard_texts.clear()
                hear(begun + rest)
                publish_text(replace(piece("."), offset=len(begun + rest), is_last=True))
                hear(f"{begun}{rest}.", is_last=True)
        finally:
            feed.close()
            announcer.close()
    assert {delta.execution_id for delta in heard_texts} == {"watched"}
    forget_text(("other", "t", 0))


def put_together(pieces: list[TextDelta]) -> TextDelta | None:
    """Return the text so far, or None if its start is missing."""
    so_far: TextDelta | None = None
    for delta in pieces:
        if so_far is None:
            so_far = delta if delta.offset == 0 else None
        else:
            assert delta.offset <= so_far.end, "a piece is missing"
            text = so_far.text + delta.text[so_far.end - delta.offset :]
            so_far = replace(so_far, text=text, is_last=so_far.is_last or delta.is_last)
    return so_far


def piece(text: str) -> TextDelta:
    """Return the start of an answer."""
    return TextDelta(execution_id="watched", path="t", request=0, attempt=1, offset=0, text=text)
