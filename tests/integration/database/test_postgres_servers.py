"""Addresses that name several servers, and servers that stop accepting writes."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import pytest
from pydantic import SecretStr

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database, open_for_reading
from compozy.database.postgres import connection_parameters, describe_location
from compozy.errors import DatabaseError
from tests.harness.postgres import new_database


def address(text: str) -> DatabaseSettings:
    return DatabaseSettings(driver="postgres", conn_string=SecretStr(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:secret@db1:5433,db2/d", "postgres://u@db1:5433,db2:5432/d"),
        ("postgres://u@[::1]:5433,[::2]:5434/d", "postgres://u@[::1]:5433,[::2]:5434/d"),
        ("host=db1,db2 port=5433 user=u dbname=d password=secret", "postgres://u@db1:5433,db2:5433/d"),
    ],
)
def test_all_servers_of_an_address_are_shown(text: str, shown: str) -> None:
    assert describe_location(address(text)) == shown


def test_another_number_of_ports_than_of_hosts_is_an_error() -> None:
    with pytest.raises(DatabaseError, match="another number of ports") as caught:
        describe_location(address("host=db1,db2 port=1,2,3 dbname=d"))
    assert caught.value.hint == "write one for each host"


def test_only_a_writable_server_of_several_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    several, one = address("postgres://u@db1,db2/d"), address("postgres://u@db1/d")
    assert connection_parameters(several)["target_session_attrs"] == "read-write"
    assert connection_parameters(one)["target_session_attrs"] == "any"
    assert connection_parameters(one, to_write=True)["target_session_attrs"] == "read-write"
    primary = address("postgres://u@db1,db2/d?target_session_attrs=primary")
    assert connection_parameters(primary)["target_session_attrs"] == "primary"


def test_a_server_that_does_not_answer_delays_one_connection() -> None:
    with new_database() as place, closing(socket.create_server(("127.0.0.1", 0))) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{place.port}"
        settings = address(f"postgres://{place.user}@{servers}/{place.dbname}")
        began_s = time.monotonic()
        database = open_database(settings)
        first_s = time.monotonic() - began_s
        database.engine.dispose()
        began_s = time.monotonic()
        backend_of(database)
        second_s = time.monotonic() - began_s
        database.close()
    assert (2.5 < first_s < 10, second_s < 2.5) == (True, True), (first_s, second_s)


def test_connections_to_a_server_that_becomes_read_only_are_closed() -> None:
    with new_database() as place:
        database = open_database(place)
        with database.write() as first, database.write() as second:
            old = {int(each.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()) for each in (first, second)}
            for each in (first, second):
                # As after a reload of a server that was demoted.
                each.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(DatabaseError, match="is read-only") as caught, database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE x (a int)")
        assert "db1,db2" in caught.value.hint
        assert backend_of(database) not in old
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE x (a int)")
        database.close()


def test_doctor_warns_about_a_failover_that_loses_commits() -> None:
    with new_database() as place:
        several = address(f"postgres://{place.user}@127.0.0.1:{place.port},127.0.0.1:{place.port}/{place.dbname}")
        for settings, count in ((several, 1), (place, 0)):
            database = open_for_reading(settings)
            assert database is not None
            with database.read() as connection:
                dangers = [words for words, _ in database.driver.inspect(settings, connection).dangers]
            database.close()
            assert sum("synchronous_standby_names is empty" in words for words in dangers) == count


def backend_of(database: Database) -> int:
    """Return the process ID of the server's session."""
    with database.write() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
