"""A worker that stops within a transaction (SIGSTOP, a frozen machine) delays only its own runs."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from compozy.config.settings import DatabaseSettings
from compozy.database import postgres
from compozy.database.database import open_database
from compozy.database.events import NewEvent, append_events, list_events
from compozy.database.executions import insert_execution
from compozy.database.executors import Reaped, has_expired_executors, insert_executor, reap_expired_executors
from compozy.database.tables import workflow_states
from compozy.database.tasks import NewTask, insert_pending_tasks
from compozy.database.trigger import insert_labels
from compozy.durable.lease import LEASE_S
from tests.harness.databases import migrated
from tests.harness.postgres import new_database
from tests.integration.durable.runs import new_run
from tests.integration.durable.workers import (
    Workers,
    accept,
    ready_workers,
    recorded_steps,
    until,
    until_all_ended,
    until_ended,
)

RUNS = 6
TAKEOVER_S = 15.0
# A run of two steps of 1 ms each, accepted by another process, on a machine with other load.
UNDISTURBED_S = 4.0


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    """A database of the tests' server."""
    with new_database() as settings:
        yield settings


@pytest.fixture
def workers(place: DatabaseSettings, tmp_path: Path) -> Iterator[Workers]:
    """Yield workers on this database."""
    with ready_workers(place, tmp_path) as ready:
        yield ready


def test_every_limit_is_shorter_than_a_lease(place: DatabaseSettings) -> None:
    lease_ms = LEASE_S * 1000
    given = postgres.connection_parameters(place)
    assert (given["keepalives_idle"] + given["keepalives_interval"] * given["keepalives_count"]) * 1000 < lease_ms
    assert given["tcp_user_timeout"] < lease_ms
    with migrated(place) as database, database.read() as connection:

        def shown(name: str) -> int:
            query = "SELECT setting FROM pg_settings WHERE name = %s"
            return int(connection.exec_driver_sql(query, (name,)).scalar_one())

        assert 0 < shown("idle_in_transaction_session_timeout") < shown("lock_timeout") < lease_ms
        if not str(given["host"]).startswith("/"):
            assert 0 < shown("tcp_user_timeout") < lease_ms


def test_a_locked_row_delays_its_own_run_only(place: DatabaseSettings) -> None:
    with migrated(place) as database:
        with database.write() as connection:
            insert_executor(connection, "gone", role="worker", lease_ms=-1)
            insert_executor(connection, "renewing", role="worker", lease_ms=-1)
            for run_id in ("locked", "free"):
                insert_execution(connection, new_run(run_id), owner="gone")
        lock_run = sa.select(workflow_states).where(workflow_states.c.workflow_exec_id == "locked").with_for_update()
        with database.engine.begin() as stopped:
            stopped.execute(lock_run)
            stopped.exec_driver_sql("SELECT 1 FROM executors WHERE executor_id = 'renewing' FOR UPDATE")
            with database.write() as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = 1")
                assert reap_expired_executors(connection) == Reaped(executors=1, runs=1)
                assert reap_expired_executors(connection) == Reaped(executors=0, runs=0)
                assert has_expired_executors(connection)
        with database.write() as connection:
            assert reap_expired_executors(connection) == Reaped(executors=1, runs=1)
            assert not has_expired_executors(connection)


def test_a_transaction_that_stops_within_a_batch_of_statements_ends(
    place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_GROUP_TRANSACTION_MS", 500)
    lock_run = sa.select(workflow_states).where(workflow_states.c.workflow_exec_id == "run")
    with migrated(place) as database:
        with database.write() as connection:
            insert_execution(connection, new_run("run"), owner="gone")
        with database.engine.connect() as stopped:
            database.driver.limit_lock_waits(stopped)
            session = stopped.connection.driver_connection
            assert session is not None
            batch = session.pipeline()
            batch.__enter__()
            session.execute("SELECT 1 FROM workflow_states FOR UPDATE").fetchone()
            with database.engine.connect() as other:
                query = "SELECT state FROM pg_stat_activity WHERE pid = %s"
                assert other.exec_driver_sql(query, (session.info.backend_pid,)).scalar_one() == "active"
                assert other.execute(lock_run.with_for_update(skip_locked=True)).first() is None
                other.rollback()
                until(lambda: other.execute(lock_run.with_for_update(skip_locked=True)).first() is not None)
            with pytest.raises(psycopg.OperationalError):
                batch.__exit__(None, None, None)
            stopped.invalidate()


def test_a_transaction_that_stops_between_rows_ends(place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_IDLE_TRANSACTION_MS", 500)
    lock_run = sa.select(workflow_states).where(workflow_states.c.workflow_exec_id == "run")
    with migrated(place) as database, database.engine.connect() as stopped:
        with database.write() as connection:
            insert_execution(connection, new_run("run"), owner="gone")

        def ids() -> Iterator[tuple[str]]:
            yield ("run",)
            with database.engine.connect() as other:
                assert other.execute(lock_run.with_for_update(skip_locked=True)).first() is None
                other.rollback()
                until(lambda: other.execute(lock_run.with_for_update(skip_locked=True)).first() is not None)
            yield ("run",)

        cursor = stopped.connection.cursor()
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            cursor.executemany("UPDATE workflow_states SET owner = 'new' WHERE workflow_exec_id = %s", ids())  # pyright: ignore[reportArgumentType]
        stopped.invalidate()


def test_several_rows_are_one_statement(place: DatabaseSettings) -> None:
    batches: list[str] = []
    tasks = [NewTask(workflow_exec_id="run", workflow_id="w", path=f"t{n}") for n in range(3)]

    def note(_cursor: object, statement: str, _parameters: object, _context: object) -> None:
        batches.append(statement)

    with migrated(place) as database:
        event.listen(database.engine, "do_executemany", note)
        with database.write() as connection:
            insert_execution(connection, new_run("run"), owner="gone")
            insert_labels(connection, "run", {"team": "blue", "region": "eu"})
            insert_pending_tasks(connection, tasks)
            append_events(connection, "run", [NewEvent(kind="signal", data={"n": n}) for n in range(3)])
        with database.read() as connection:
            stored = list_events(connection, "run", after=0, limit=100)
    assert batches == []
    assert [one.seq for one in stored] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("commit", [4, 9])
def test_a_worker_that_stops_in_a_transaction(place: DatabaseSettings, workers: Workers, commit: int) -> None:
    stop_in_transaction(place, workers, commit)


@pytest.mark.proof
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_stops_at_a_random_moment(place: DatabaseSettings, workers: Workers, seed: int) -> None:
    stop_in_transaction(place, workers, random.Random(seed).randint(1, 13))


def stop_in_transaction(place: DatabaseSettings, workers: Workers, commit: int) -> None:
    """Stop a worker before its `commit`-th commit after it was given runs, and check its runs and those of others."""
    victim = workers.start(300, 600_000, stop_at_commit=commit)
    # It executes some runs before it is stopped.
    ids = accept(place, RUNS)
    until(lambda: _is_stopped(victim.pid))
    stopped_s = time.time()
    _assert_in_transaction(place)
    workers.start()
    latencies: list[float] = []
    for number in range(10):
        began_s = time.monotonic()
        until_ended(place, accept(place, 1, prefix=f"other-{number}"))
        latencies.append(time.monotonic() - began_s)
    until_all_ended(place, RUNS + 10)
    taken_s = {step["run"]: step["at_s"] - stopped_s for step in workers.steps(1) if step["run"] in ids}
    assert set(taken_s) == set(ids)
    assert max(taken_s.values()) < TAKEOVER_S, taken_s
    assert max(latencies) < UNDISTURBED_S, latencies
    # It continues, and can record nothing more for the runs that it lost.
    victim.send_signal(signal.SIGCONT)
    time.sleep(1)
    assert victim.poll() is None
    assert {run for run, _ in recorded_steps(place)} >= set(ids)
    assert "Traceback" not in workers.stderr_of(0)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"


def _assert_in_transaction(place: DatabaseSettings) -> None:
    database = open_database(place)
    try:
        with database.read() as connection:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %%'"
            )
            assert connection.exec_driver_sql(query).scalar_one() > 0
    finally:
        database.close()
