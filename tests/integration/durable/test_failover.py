"""The database fails over to a standby while a server and two workers execute runs: every run ends exactly once."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.changes import ChangeFeed, note_change, publish_changes
from compozy.database.postgres import PostgresDriver
from compozy.errors import DatabaseError
from tests.harness.postgres import create_database
from tests.harness.processes import Commands
from tests.harness.proxy import Proxy
from tests.harness.replicas import Replicas, replicated_servers
from tests.harness.storm import write_project
from tests.integration.durable.failovers import Fleet, ReplicatedStore, Storm, model_server

_RUNS = tuple(f"run-{number}" for number in range(8))
_LATER = ("later-0", "later-1")
_STEPS = 60
# From a promotion to a process that is ready, and to the end of all runs.
_READY_S = 15.0
_ENDED_S = 90.0


@pytest.fixture
def replicas() -> Generator[Replicas, None, None]:
    """A primary and its standby."""
    with replicated_servers() as servers:
        yield servers


@pytest.mark.timeout(300)
def test_a_primary_that_is_killed(replicas: Replicas, commands: Commands, tmp_path: Path) -> None:
    dbname = create_database(replicas.primary)
    store = ReplicatedStore(tmp_path / "project", replicas, dbname, replicas.section(dbname))
    with storm_on(store, commands, tmp_path) as storm:
        replicas.wait_for_standby()
        begin(storm)
        replicas.kill_primary()
        fail_over(storm, replicas)
    servers = f"127.0.0.1:{replicas.primary.port},127.0.0.1:{replicas.standby.port}"
    assert f"postgres://compozy@{servers}/{dbname}" in storm.fleet.log


@pytest.mark.timeout(300)
def test_an_address_behind_which_the_server_changes(replicas: Replicas, commands: Commands, tmp_path: Path) -> None:
    """The former primary stays, refuses to write, and keeps its connections open."""
    dbname = create_database(replicas.primary)
    with Proxy(replicas.primary.port) as front:
        section = {**replicas.primary.section(dbname), "port": front.port}
        store = ReplicatedStore(tmp_path / "project", replicas, dbname, section)
        with storm_on(store, commands, tmp_path) as storm:
            replicas.wait_for_standby()
            begin(storm)
            replicas.make_primary_read_only()
            fail_over(storm, replicas, front)


@pytest.mark.timeout(120)
def test_notifications_follow_the_primary(replicas: Replicas) -> None:
    """The former primary keeps the connections open, and would deliver notifications that no other process sends."""
    dbname = create_database(replicas.primary)
    replicas.wait_for_standby()
    with Proxy(replicas.primary.port) as front, contextlib.ExitStack() as stack:
        section = {**replicas.primary.section(dbname), "port": front.port}
        settings = DatabaseSettings.model_validate(section)
        feed, announcer = PostgresDriver().open_feed(settings), PostgresDriver().open_announcer(settings)
        assert feed is not None
        assert announcer is not None
        stack.callback(feed.close)
        stack.callback(announcer.close)
        assert feed.wait(1.0) == frozenset()
        replicas.make_primary_read_only()
        replicas.promote()
        front.point_to(replicas.standby.port)
        other = stack.enter_context(replicas.standby.connect(dbname))
        until(
            lambda: other.execute("SELECT pg_notify('compozy_events', 'later')") and heard(feed) == frozenset({"later"})
        )
        other.execute("LISTEN compozy_events")
        until(lambda: announced("mine") or "mine" in [one.payload for one in other.notifies(timeout=0.5)])


def heard(feed: ChangeFeed) -> frozenset[str] | None:
    """Return the next change, None if there is none or the connection is opened again."""
    try:
        return feed.wait(0.5)
    except DatabaseError:
        return None


def announced(run_id: str) -> None:
    """Report a change of a run in this process, as a commit does."""
    note_change(run_id)
    publish_changes()


def until(seen: Callable[[], object]) -> None:
    """Wait until `seen` is true, for as long as the notice of a failover may take."""
    deadline = time.monotonic() + _READY_S
    while not seen():
        assert time.monotonic() < deadline


@contextlib.contextmanager
def storm_on(store: ReplicatedStore, commands: Commands, folder: Path) -> Generator[Storm, None, None]:
    """Start a model server and the fleet, and end the fleet gracefully after the block; then check the invariants."""
    with model_server(folder) as (port, ledger):
        write_project(store, port)
        storm = Storm(Fleet(commands, store), store, ledger)
        yield storm
        assert storm.fleet.stop(signal.SIGTERM) == [0, 0, 0], storm.fleet.log
        assert storm.check() == [], storm.fleet.log


def begin(storm: Storm) -> None:
    """Submit runs, and wait until they have recorded some steps."""
    before = storm.recorded()
    storm.fleet.submit(*_RUNS)
    storm.fleet.send_signals(*_RUNS[::2])
    storm.fleet.until(lambda: storm.recorded() > before + _STEPS)
    storm.look()


def fail_over(storm: Storm, replicas: Replicas, front: Proxy | None = None) -> None:
    """Promote the standby, and see that the processes find it and end all runs."""
    fleet = storm.fleet
    noticed_s = fleet.until_ready(503)
    refused = fleet.try_to_submit("refused")
    assert (refused.status, "postgres" in refused.document["detail"]) == (503, True), refused.content
    time.sleep(2.0)
    replicas.promote()
    storm.store.server = replicas.standby
    if front is not None:
        front.point_to(replicas.standby.port)
    ready_s = fleet.until_ready(200)
    fleet.submit(*_LATER)
    fleet.send_signals(*_RUNS[1::2], *_LATER)
    ended_s = fleet.until_ended()
    print(f"\nnot ready after {noticed_s:.1f} s, ready {ready_s:.1f} s after the promotion, ended in {ended_s:.1f} s")
    assert (ready_s < _READY_S, ended_s < _ENDED_S) == (True, True), fleet.log
