"""Connections to PostgreSQL: addresses, TLS, and every kind of failure, with messages that contain no secrets."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from compozy.clock import monotonic_s
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, describe_location, open_database, open_for_reading
from compozy.database.executions import insert_execution
from compozy.database.migrate import migrate_up, read_status
from compozy.errors import DatabaseError
from tests.harness.databases import migrated, new_run
from tests.harness.postgres import GUARDED, Server, new_database, running_server
from tests.integration.database.connecting import changed, opens, refusal


@pytest.fixture
def server() -> Server:
    return running_server()


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    with new_database() as settings:
        yield settings


def test_an_unreachable_server(place: DatabaseSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    error = refusal(changed(place, port=port))
    location = f"postgres://compozy@127.0.0.1:{port}/{place.dbname}"
    assert error.message.startswith(f"cannot connect to the database {location}: ")
    assert "Connection refused" in error.message
    assert "check that the server is running" in error.hint


def test_an_unknown_host(place: DatabaseSettings) -> None:
    error = refusal(changed(place, host="no-such-host.invalid"))
    assert error.message.startswith("cannot connect to the database postgres://compozy@no-such-host.invalid")


def test_a_missing_socket(place: DatabaseSettings, tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(changed(place, host=str(tmp_path))).message


def test_an_unknown_database(place: DatabaseSettings) -> None:
    error = refusal(changed(place, dbname="nowhere"))
    assert error.message == f"the database postgres://compozy@127.0.0.1:{place.port}/nowhere does not exist"
    assert "createdb" in error.hint


@pytest.mark.parametrize("password", [None, "wrong:@/"])
def test_a_wrong_or_missing_password(place: DatabaseSettings, password: str | None) -> None:
    error = refusal(changed(place, user=GUARDED[0], password=password))
    assert error.message.endswith("rejected the password")
    assert "wrong:@/" not in f"{error.message} {error.hint} {error.details}"


def test_the_password_from_each_source(
    place: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, password = GUARDED
    opens(changed(place, user=user, password=password))
    address = f"127.0.0.1:{place.port}/{place.dbname}"
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        text = f"{scheme}://{user}:{quote(password, safe='')}@{address}"
        opens(DatabaseSettings(driver="postgres", conn_string=SecretStr(text)))
    words = f"host=127.0.0.1 port={place.port} dbname={place.dbname} user={user}"
    opens(DatabaseSettings(driver="postgres", conn_string=SecretStr(words), password=SecretStr(password)))
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{place.port}:{place.dbname}:{user}:{escaped}\n")
    (tmp_path / "pgpass").chmod(0o600)
    with monkeypatch.context() as environ:
        environ.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        opens(changed(place, user=user))
    monkeypatch.setenv("PGPASSWORD", password)
    opens(changed(place, user=user))


def test_the_environment_selects_no_other_database(
    place: DatabaseSettings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database() as other:
        for name, value in {
            "PGDATABASE": str(other.dbname),
            "PGHOST": "no-such-host.invalid",
            "PGHOSTADDR": "192.0.2.1",
            "PGPORT": "1",
            "PGOPTIONS": "-c search_path=elsewhere",
            "PGCLIENTENCODING": "LATIN1",
            "PGUSER": "nobody",
        }.items():
            monkeypatch.setenv(name, value)
        opens(place)
        opens(changed(place, host="localhost"))
        opens(changed(place, host=str(server.folder)))
        with migrated(place) as database, database.write() as connection:
            assert connection.exec_driver_sql("SHOW search_path").scalar() == '"$user", public'
            insert_execution(connection, new_run("ü"), owner=None)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "postgres driver requires host or conn_string"),
        ({"host": "h"}, "postgres driver requires dbname"),
        ({"conn_string": "postgres://h"}, "postgres driver requires dbname"),
        ({"conn_string": "postgres:///x"}, "postgres driver requires host or conn_string"),
    ],
)
def test_settings_that_name_no_database(parts: dict[str, Any], message: str) -> None:
    error = refusal(DatabaseSettings.model_validate({"driver": "postgres", **parts}))
    assert error.message == message
    assert error.__cause__ is None
    assert "cret" not in f"{error.message}{error.hint}{error.details}"


@pytest.mark.parametrize(
    ("parts", "location"),
    [
        ({"host": "h", "dbname": "d"}, "postgres://h:5432/d"),
        ({"host": "h", "dbname": "d", "user": "u", "password": "p", "port": "6"}, "postgres://u@h:6/d"),
        ({"host": "::1", "name": "d"}, "postgres://[::1]:5432/d"),
        ({"host": "/run/pg", "dbname": "d"}, "postgres:///run/pg:5432/d"),
        ({"conn_string": "postgres://u:p@h:7/d?sslmode=require"}, "postgres://u@h:7/d"),
        ({"conn_string": "postgres://u:p@h:7/d", "host": "other", "dbname": "x"}, "postgres://u@h:7/d"),
    ],
)
def test_the_address_in_messages(parts: dict[str, Any], location: str) -> None:
    assert describe_location(DatabaseSettings.model_validate({"driver": "postgres", **parts})) == location


def test_a_user_without_access(place: DatabaseSettings) -> None:
    error = refusal(changed(place, user="locked"))
    assert "rejected this user: " in error.message
    assert "pg_hba.conf" in error.hint
    assert 'role "nobody-knows" does not exist' in refusal(changed(place, user="nobody-knows")).message


def test_a_user_without_rights(server: Server) -> None:
    with new_database(migrated=False) as settings:
        database = open_database(changed(settings, user="stranger"))
        with pytest.raises(DatabaseError, match=r"lacks a privilege on .*permission denied for schema public") as found:
            migrate_up(database)
        database.close()
        assert found.value.hint.endswith("grant the privilege: GRANT USAGE, CREATE ON SCHEMA public TO ...")
        assert read_status_of(settings).current == "base"


def read_status_of(settings: DatabaseSettings) -> Any:
    database = open_for_reading(settings)
    assert database is not None
    try:
        return read_status(database)
    finally:
        database.close()


def test_a_server_without_a_free_connection(place: DatabaseSettings, server: Server) -> None:
    with server.connect() as admin:
        admin.execute("ALTER ROLE stranger CONNECTION LIMIT 1")
    try:
        with server.connect(str(place.dbname), user="stranger"):
            error = refusal(changed(place, user="stranger"))
    finally:
        with server.connect() as admin:
            admin.execute("ALTER ROLE stranger CONNECTION LIMIT -1")
    assert error.message.endswith("has no free connection")
    assert "max_open_conns" in error.hint


def test_a_read_only_database(place: DatabaseSettings, server: Server) -> None:
    with server.connect() as admin:
        admin.execute(f"ALTER DATABASE {place.dbname} SET default_transaction_read_only = on".encode())
    with pytest.raises(DatabaseError, match="is read-only") as caught:
        open_database(place)
    assert "primary" in caught.value.hint
    assert read_status_of(place).pending == ()


def test_a_database_with_another_encoding(server: Server) -> None:
    with new_database(migrated=False) as settings, server.connect() as admin:
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' OWNER compozy")
        try:
            error = refusal(changed(settings, dbname="latin"))
        finally:
            admin.execute("DROP DATABASE latin WITH (FORCE)")
    assert "stores text as LATIN1" in error.message
    assert "--encoding=UTF8" in error.hint


def test_a_database_opened_for_reading_is_not_written(place: DatabaseSettings) -> None:
    database = open_for_reading(place)
    assert database is not None
    with pytest.raises(DatabaseError, match="is read-only"), database.write() as connection:
        insert_execution(connection, new_run("a"), owner=None)
    database.close()


def test_the_number_of_connections_is_limited(place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(changed(place, max_open_conns=7, max_idle_conns=2))
    assert database.engine.pool is database.readers.pool
    with contextlib.ExitStack() as stack:
        # One is for notifications of the engine, and two are for changes of runs.
        for _ in range(4):
            stack.enter_context(database.write()).exec_driver_sql("SELECT 1")
        assert _connections(place) == 4
    # Surplus connections of a burst are kept for a moment, and closed when the next connection is returned.
    assert _connections(place) == 4
    monkeypatch.setattr("compozy.database.pool.monotonic_s", lambda: monotonic_s() + 6)
    _backend(database)
    while _connections(place) > 2:
        # The server takes a moment to notice that a connection was closed.
        time.sleep(0.01)
    assert _connections(place) == 2
    database.close()


def _connections(place: DatabaseSettings) -> int:
    with running_server().connect() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return int((admin.execute(query, (place.dbname,)).fetchone() or (0,))[0])


def test_unused_connections_are_closed(place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(changed(place, conn_max_idle_time="1h"))
    with database.read():
        first = _backend(database)
    assert _backend(database) != first
    monkeypatch.setattr("compozy.database.pool.monotonic_s", lambda: monotonic_s() + 3601)
    _backend(database)
    while _connections(place) > 1:
        time.sleep(0.01)
    database.close()


def test_old_connections_are_replaced(place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(changed(place, conn_max_lifetime="1h"))
    first = _backend(database)
    assert _backend(database) == first
    wall = time.time
    monkeypatch.setattr("sqlalchemy.pool.base.time.time", lambda: wall() + 3601)
    assert _backend(database) != first
    database.close()


def _backend(database: Database) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() or 0)


def test_a_connection_that_the_server_ended_is_replaced(place: DatabaseSettings, server: Server) -> None:
    with migrated(place) as database:
        first = _backend(database)
        with server.connect() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
        assert _backend(database) != first
        with database.write() as connection:
            second = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        assert second != first
        with database.read() as connection:
            driver_connection: Any = connection.connection.driver_connection
        driver_connection.close()
        assert _backend(database) != second


def test_a_process_that_stops_in_a_transaction_loses_it(
    place: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compozy.database.postgres._IDLE_TRANSACTION_MS", 50)
    with migrated(place) as database:

        def stand_still() -> None:
            with database.write() as connection:
                insert_execution(connection, new_run("a"), owner=None)
                with running_server().connect() as admin:
                    while _is_open(admin, place):
                        pass
                insert_execution(connection, new_run("b"), owner=None)

        with pytest.raises(DatabaseError, match=r"idle for too long|cannot connect"):
            stand_still()
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM workflow_states").scalar() == 0


def _is_open(admin: Any, place: DatabaseSettings) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND state LIKE 'idle in%%'"
    return admin.execute(query, (place.dbname,)).fetchone() is not None
