"""Statements that one engine compiled and another executes, as the engines of tests do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.tables import workflow_states
from tests.harness.databases import fresh, migrated, new_run

QUERY = sa.select(workflow_states.c.workflow_exec_id, workflow_states.c.input).where(
    workflow_states.c.workflow_id.in_(["w", "other"])
)


@contextmanager
def filled(driver: str, folder: Path, run_id: str) -> Generator[Database]:
    """Open a new database with one run."""
    folder.mkdir()
    with fresh(driver, folder) as settings, migrated(settings) as database:
        with database.write() as connection:
            insert_execution(connection, new_run(run_id, input={"id": run_id}), owner=None)
        yield database


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_each_database_returns_its_rows(driver: str, tmp_path: Path) -> None:
    """The second engine compiles nothing, and reads its own database."""
    with filled(driver, tmp_path / "a", "one") as one, filled(driver, tmp_path / "b", "two") as two:
        with one.read() as connection:
            assert connection.execute(QUERY).fetchall() == [("one", {"id": "one"})]
        with two.read() as connection:
            result = connection.execute(QUERY)
            assert result.context.cache_hit is result.context.dialect.CACHE_HIT
            assert result.fetchall() == [("two", {"id": "two"})]


def test_each_kind_of_database_has_its_own_statements(tmp_path: Path) -> None:
    with filled("sqlite", tmp_path / "a", "one") as one, filled("postgres", tmp_path / "b", "two") as two:
        assert one.engine.dialect != two.engine.dialect
        for database, run_id in ((one, "one"), (two, "two"), (one, "one")):
            with database.read() as connection:
                assert connection.execute(QUERY).fetchall() == [(run_id, {"id": run_id})]


def test_schemas_are_part_of_the_execution() -> None:
    """A schema that a connection translates is not part of the shared statement."""
    table = sa.Table("t", sa.MetaData(), sa.Column("x", sa.Integer), schema="placeholder")
    for schema in ("main", "temp"):
        engine = sa.create_engine("sqlite://").execution_options(schema_translate_map={"placeholder": schema})
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {schema}.t (x INTEGER)")
            connection.execute(table.insert().values(x=1))
            assert connection.exec_driver_sql(f"SELECT x FROM {schema}.t").scalar_one() == 1
        engine.dispose()
