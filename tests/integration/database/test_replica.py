"""Lists from a replica: where they are read, what happens when it does not answer, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from compozy.config.settings import DatabaseSettings
from compozy.database import replica as replicas
from compozy.database.database import Database
from compozy.database.executions import get_status
from compozy.database.status import Status
from compozy.errors import DatabaseError
from tests.conftest import RunCli
from tests.harness.databases import migrated
from tests.harness.postgres import Server, database_on, new_database
from tests.harness.projects import write_project
from tests.harness.replicas import Replicas, replicated_servers
from tests.integration.database.stored_runs import accept


@pytest.fixture(scope="module")
def servers() -> Iterator[Replicas]:
    """A primary and its standby."""
    with replicated_servers() as running:
        yield running


@pytest.fixture
def place(servers: Replicas) -> Iterator[DatabaseSettings]:
    """A database on the primary, whose lists are read from the standby."""
    with database_on(servers.primary) as settings:
        yield settings.model_copy(update={"read_url": _address(servers.standby, settings)})


def _address(server: Server, settings: DatabaseSettings) -> SecretStr:
    return SecretStr(f"postgres://compozy@127.0.0.1:{server.port}/{settings.dbname}")


async def _list_port(database: Database) -> int:
    """Return the port of the server that answers lists."""
    return await database.list_async(lambda c: c.exec_driver_sql("SELECT inet_server_port()").scalar_one())


async def test_lists_come_from_the_replica_and_all_else_from_the_primary(
    servers: Replicas, place: DatabaseSettings
) -> None:
    with migrated(place) as database:
        _until_same(servers)
        with database.for_requests() as requests:
            assert await _list_port(requests) == servers.standby.port
            port = await requests.read_async(lambda c: c.exec_driver_sql("SELECT inet_server_port()").scalar_one())
            assert port == servers.primary.port
            accept(database, "r")
            while await requests.list_async(lambda c: get_status(c, "r")) is not Status.PENDING:
                pass


async def test_lists_come_from_the_primary_while_the_replica_does_not_answer(
    servers: Replicas, place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    moment = [1000.0]
    monkeypatch.setattr(replicas, "monotonic_s", lambda: moment[0])
    gone = place.model_copy(update={"read_url": SecretStr(f"postgres://compozy@127.0.0.1:1/{place.dbname}")})
    with migrated(gone) as database:
        _until_same(servers)
        with database.for_requests() as requests:
            assert requests.replica is not None
            for _ in range(3):
                assert await _list_port(requests) == servers.primary.port
                moment[0] += 4
            opened = database.driver.open_replica(place)
            assert opened is not None
            requests.replica.engine = opened[0]
            moment[0] += 10
            assert await _list_port(requests) == servers.standby.port
    written = capfd.readouterr()
    assert (written.out + written.err).count("the replica does not answer; lists come from the primary") == 1
    assert (written.out + written.err).count("the replica answers again; lists come from it") == 1


def test_another_database_is_refused(place: DatabaseSettings) -> None:
    with new_database() as other, migrated(other):
        address = SecretStr(f"postgres://compozy@127.0.0.1:{other.port}/{other.dbname}")
        with (
            migrated(place.model_copy(update={"read_url": address})) as database,
            pytest.raises(DatabaseError, match="is not a replica") as raised,
            database.for_requests(),
        ):
            pass
    assert "read_url" in raised.value.hint


def test_doctor_shows_how_far_the_replica_is_behind(
    cli: RunCli, tmp_path: Path, servers: Replicas, place: DatabaseSettings
) -> None:
    section = place.model_dump(mode="json", exclude_unset=True)
    section["read_url"] = _address(servers.standby, place).get_secret_value()
    write_project(tmp_path, database=section)
    with migrated(place):
        _until_same(servers)
        done = cli("doctor")
        assert f"127.0.0.1:{servers.standby.port}" in done.out
        assert "0 KiB behind" in done.out
        section["read_url"] = f"postgres://compozy@127.0.0.1:1/{place.dbname}"
        write_project(tmp_path, database=section)
        done = cli("doctor")
        assert "lists come from the primary" in done.out


def _until_same(servers: Replicas) -> None:
    with servers.primary.connect() as primary, servers.standby.connect() as standby:
        written = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        while standby.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written).fetchone() != (True,):
            time.sleep(0.02)
