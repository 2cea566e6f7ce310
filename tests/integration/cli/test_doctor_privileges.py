"""Users without the rights that a start needs: `compozy doctor` and `compozy start` report the same."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from compozy.config.settings import DatabaseSettings
from tests.conftest import RunCli
from tests.harness.postgres import new_database, running_server
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import write_project

_PAGE = Path(__file__).parents[3] / "docs/content/docs/database/postgresql.mdx"
_ROLE = f"limited_{os.getpid()}"


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    """A database with tables, and a role without privileges."""
    with new_database(migrated=False) as settings:
        with running_server().connect(str(settings.dbname)) as connection:
            connection.execute(f"CREATE ROLE {_ROLE} LOGIN".encode())
        yield settings
        with running_server().connect(str(settings.dbname)) as connection:
            connection.execute(f"DROP OWNED BY {_ROLE}".encode())
            connection.execute(f"DROP ROLE {_ROLE}".encode())


def _project(folder: Path, place: DatabaseSettings, user: str | None, *, auto_migrate: bool) -> None:
    address = f"postgres://{user}@{place.host}:{place.port}/{place.dbname}"
    section: dict[str, Any] = {"driver": "postgres", "conn_string": address, "auto_migrate": auto_migrate}
    write_project(folder, {"w": {"tasks": [{"id": "a", "with": {"x": 1}}]}}, database=section)


def _grants() -> list[str]:
    """Return the statements of the page, for the role of this test."""
    statements = re.findall(r"^GRANT .*;$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(statements) >= 3
    return [statement.replace("TO app;", f"TO {_ROLE};") for statement in statements]


def _execute(connection: psycopg.Connection[Any], statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


@pytest.mark.parametrize("auto_migrate", [False, True])
def test_a_missing_privilege_on_the_journal_is_named(
    cli: RunCli, place: DatabaseSettings, tmp_path: Path, auto_migrate: bool
) -> None:
    _project(tmp_path, place, place.user, auto_migrate=True)
    assert cli("workflow", "run", "w").status == 0
    _project(tmp_path, place, _ROLE, auto_migrate=auto_migrate)
    with running_server().connect(str(place.dbname)) as connection:
        _execute(connection, [each.replace(", compozy_journal", "") for each in _grants()])
        connection.commit()
        _check_refused(cli, "USAGE on the schema 'compozy_journal'")
        connection.execute(f"GRANT USAGE ON SCHEMA compozy_journal TO {_ROLE}".encode())
        connection.commit()
        _check_refused(cli, "SELECT on the table 'compozy_journal.dbos_migrations'")
        _execute(connection, _grants())
        connection.commit()
    assert cli("doctor").status == 0
    # The grants of the page suffice, also for sequences and deletions.
    for command in (("workflow", "run", "w"), ("db", "prune", "--older-than", "0d", "--yes")):
        done = cli(*command)
        assert done.status == 0, done


def _check_refused(cli: RunCli, privilege: str) -> None:
    message = f"this user lacks the privilege {privilege} of postgres://{_ROLE}@"
    for command in (("workflow", "run", "w"), ("start", "--port", "0")):
        refused = cli(*command)
        assert refused.status == 4
        assert f"Error: {message}" in refused.err
    examined = cli("doctor")
    assert examined.status == 4
    assert f"✗ database: {message}" in examined.out


def _drop_capabilities() -> None:
    """Let the modes of files apply to root as well."""
    version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert ctypes.CDLL(None).capset(version_3, (ctypes.c_uint32 * 6)()) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are those of Linux")
@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_a_file_that_may_only_be_read_is_an_error(commands: Commands, tmp_path: Path, mode: int) -> None:
    folder = write_project(tmp_path / "p")
    assert commands.run(folder, "workflow", "run", "two").status == 0
    file = folder / "data/compozy.db"
    file.chmod(0o444)
    file.parent.chmod(mode)
    limited = Conditions(before=_drop_capabilities)
    message = f"the database '{file}' cannot be written: no permission to write '{file}'"
    for command in (("workflow", "run", "two"), ("start", "--port", "0")):
        refused = commands.run(folder, *command, conditions=limited)
        assert refused.status == 4, refused
        assert f"Error: {message}" in refused.err
    examined = commands.run(folder, "doctor", conditions=limited)
    file.parent.chmod(0o755)
    assert examined.status == 4, examined
    assert f"✗ database: {message}" in examined.out
