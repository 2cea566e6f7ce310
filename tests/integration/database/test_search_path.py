"""Two installations in one PostgreSQL database, separated by `search_path`, each with its tables and journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.database.postgres_schemas import JOURNAL_SCHEMA, journal_schema_of
from compozy.errors import DatabaseError
from tests.conftest import RunCli
from tests.harness.postgres import find_program, new_database, running_server
from tests.harness.projects import write_project

_RULE = "the journal has no run that the tables lack"
_W = {"w": {"tasks": [{"id": "a", "with": {"x": 1}}]}}
# The last two cannot be part of the name of the journal's schema.
_SCHEMAS = ("app1", "app2", "Sales & co", "s" * 63)


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    """An empty database with these schemas."""
    with new_database(migrated=False) as settings:
        with _connect(settings) as connection:
            for schema in _SCHEMAS:
                connection.execute(f'CREATE SCHEMA "{schema}" AUTHORIZATION {settings.user}'.encode())
        yield settings


def _connect(place: DatabaseSettings) -> psycopg.Connection[Any]:
    return running_server().connect(str(place.dbname))


def _section(place: DatabaseSettings, schema: str) -> dict[str, Any]:
    path = schema.replace("\\", "\\\\").replace(" ", "\\ ")
    options = quote(f'-c search_path="{path}"')
    address = f"postgres://{place.user}@{place.host}:{place.port}/{place.dbname}"
    return {"driver": "postgres", "conn_string": f"{address}?options={options}"}


def _schemas(place: DatabaseSettings) -> set[str]:
    with _connect(place) as connection:
        query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s"
        return {name for (name,) in connection.execute(query, (f"{JOURNAL_SCHEMA}%",))}


def test_the_journal_follows_the_tables(cli: RunCli, place: DatabaseSettings, tmp_path: Path) -> None:
    for schema in _SCHEMAS:
        write_project(tmp_path, _W, database=_section(place, schema))
        assert cli("workflow", "run", "w", "--id", "same").status == 0
    assert _schemas(place) == {journal_schema_of(schema) for schema in _SCHEMAS}
    assert len(_schemas(place)) == len(_SCHEMAS)
    write_project(tmp_path, _W, database=_section(place, "app2"))
    assert cli("migrate", "down", "--to", "base", "--yes").status == 0
    assert journal_schema_of("app2") not in _schemas(place)
    for schema in _SCHEMAS:
        if schema == "app2":
            continue
        write_project(tmp_path, _W, database=_section(place, schema))
        checked = cli("db", "check")
        assert checked.status == 0, checked.out
        assert f"✓ {_RULE}" in checked.out
        assert cli("workflow", "run", "w").status == 0


def test_a_schema_that_does_not_exist_is_named(cli: RunCli, place: DatabaseSettings, tmp_path: Path) -> None:
    write_project(tmp_path, _W, database=_section(place, "nowhere"))
    for arguments in (("workflow", "run", "w"), ("workflow", "list"), ("db", "check")):
        refused = cli(*arguments)
        assert refused.status == 4
        assert 'no schema of the search_path "nowhere" exists in postgres://' in refused.err


def test_an_installation_keeps_the_journal_that_it_had(cli: RunCli, place: DatabaseSettings, tmp_path: Path) -> None:
    """Earlier versions kept one journal for all schemas, which is correct with tables in one schema only."""
    _install_as_before(cli, place, tmp_path, "app1")
    assert cli("db", "check").status == 0
    assert cli("workflow", "run", "w", "--id", "second").status == 0
    assert _schemas(place) == {JOURNAL_SCHEMA}
    # A new installation has its own.
    write_project(tmp_path, _W, database=_section(place, "app2"))
    assert cli("workflow", "run", "w", "--id", "second").status == 0
    assert _schemas(place) == {JOURNAL_SCHEMA, journal_schema_of("app2")}


def test_the_journal_is_that_of_the_tables_and_not_of_the_first_schema(
    cli: RunCli, place: DatabaseSettings, tmp_path: Path
) -> None:
    """A schema that is put before the one with the tables, for example by ALTER ROLE, changes nothing."""
    write_project(tmp_path, _W, database=_section(place, "app1"))
    assert cli("workflow", "run", "w", "--id", "first").status == 0
    section = _section(place, "app1")
    section["conn_string"] = section["conn_string"].replace(quote('"app1"'), quote("app2,app1"))
    write_project(tmp_path, _W, database=section)
    assert cli("workflow", "run", "w", "--id", "second").status == 0
    assert _schemas(place) == {journal_schema_of("app1")}
    assert cli("db", "check").status == 0


def test_installations_that_share_a_journal_are_refused(cli: RunCli, place: DatabaseSettings, tmp_path: Path) -> None:
    _install_as_before(cli, place, tmp_path, "app1")
    _install_as_before(cli, place, tmp_path, "app2")
    for arguments in (("workflow", "run", "w"), ("db", "check"), ("migrate", "down", "--to", "base", "--yes")):
        refused = cli(*arguments)
        assert refused.status == 4, arguments
        assert "the tables in the schema 'app2' of postgres://" in refused.err
        assert f"share the journal {JOURNAL_SCHEMA!r} with those in 'app1'" in refused.err
    settings = DatabaseSettings.model_validate(_section(place, "app1"))
    with pytest.raises(DatabaseError):
        open_database(settings)


def _install_as_before(cli: RunCli, place: DatabaseSettings, folder: Path, schema: str) -> None:
    """Create the state of an earlier version: a run whose journal is in the schema that all installations shared."""
    write_project(folder, _W, database=_section(place, schema))
    assert cli("workflow", "run", "w", "--id", f"first-{schema}").status == 0
    own = journal_schema_of(schema)
    with _connect(place) as connection:
        if JOURNAL_SCHEMA not in _schemas(place):
            connection.execute(f"ALTER SCHEMA {own} RENAME TO {JOURNAL_SCHEMA}".encode())
            return
        insert = f"INSERT INTO {JOURNAL_SCHEMA}.workflow_status SELECT * FROM {own}.workflow_status"
        connection.execute(insert.encode())
        connection.execute(f"DROP SCHEMA {own} CASCADE".encode())


def test_a_restore_does_not_replace_the_tables_of_another_installation(
    cli: RunCli, place: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    for schema in ("app2", "app1"):
        write_project(tmp_path, _W, database=_section(place, schema))
        assert cli("workflow", "run", "w", "--id", "r").status == 0
    assert cli("db", "backup", "a.dump").status == 0
    refused = cli("db", "restore", "a.dump", "--force")
    assert refused.status == 2
    assert "also holds the Compozy tables in the schema 'app2', which a restore would replace" in refused.err


def test_a_backup_that_may_not_read_other_schemas_is_explained(
    cli: RunCli, place: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error named every table of the database."""
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    write_project(tmp_path, _W, database=_section(place, "app1"))
    assert cli("workflow", "run", "w").status == 0
    with _connect(place) as connection:
        connection.execute("CREATE SCHEMA closed")
        connection.execute("CREATE TABLE closed.one (id int)")
    refused = cli("db", "backup", "all.dump")
    assert refused.status == 4
    assert "permission denied for schema closed\n  a backup contains the whole database" in refused.err
    assert "`compozy db export`" in refused.err
    assert "LOCK TABLE" not in refused.err
    assert not (tmp_path / "all.dump").exists()


def test_the_hint_of_a_missing_privilege_grants_it(cli: RunCli, place: DatabaseSettings, tmp_path: Path) -> None:
    section = _section(place, "Sales & co")
    section["conn_string"] = section["conn_string"].replace(f"//{place.user}@", "//stranger@")
    write_project(tmp_path, _W, database=section)
    with _connect(place) as connection:
        connection.execute('GRANT USAGE ON SCHEMA "Sales & co" TO stranger')
        connection.execute(f'GRANT CREATE ON DATABASE "{place.dbname}" TO stranger'.encode())
    refused = cli("workflow", "run", "w")
    assert refused.status == 4
    hint = 'GRANT USAGE, CREATE ON SCHEMA "Sales & co" TO '
    assert f"or grant the privilege: {hint}..." in refused.err
    with _connect(place) as connection:
        connection.execute(f"{hint} stranger".encode())
    assert cli("workflow", "run", "w").status == 0
