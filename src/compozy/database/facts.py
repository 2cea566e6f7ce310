"""Rows of `compozy_facts`: which project a database belongs to, and which database it is."""

from __future__ import annotations

import sqlalchemy as sa

from compozy.database.tables import facts, insert_if_new
from compozy.errors import DatabaseError
from compozy.ids import new_database_id

_PROJECT = "project"
# Made with the tables, and never changed. A copy has it too; see `Database.identify`.
DATABASE_ID = "database_id"


def claim_for_project(connection: sa.Connection, project: str, location: str) -> None:
    """Give a new database to `project`; a database has one project for its life.

    Raises:
        DatabaseError: it belongs to another one.
    """
    if get_project(connection) is None:
        # Another process may give it to another project at this moment; who comes second looks again.
        connection.execute(insert_if_new(facts), {"name": _PROJECT, "value": project})
    refuse_other_project(connection, project, location)


def refuse_other_project(connection: sa.Connection, project: str, location: str) -> None:
    """Refuse a database that has another project than `project`.

    Raises:
        DatabaseError: it has.
    """
    owner = get_project(connection)
    if owner not in {None, project}:
        key = "path" if connection.dialect.name == "sqlite" else "dbname"
        raise DatabaseError(
            f"the database {location} belongs to the project {owner!r}, not to {project!r}",
            hint=f"set another database.{key}, or `name: {owner}` in compozy.yaml if this is that project",
        )


def get_project(connection: sa.Connection) -> str | None:
    """Return the name of the project that this database belongs to, None while it is new."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == _PROJECT)).scalar()


def name_database(connection: sa.Connection) -> None:
    """Give a database that has none the id by which it is told from others."""
    connection.execute(insert_if_new(facts), {"name": DATABASE_ID, "value": new_database_id()})


def get_database_id(connection: sa.Connection) -> str | None:
    """Return the id of this database, None when it is older than such ids."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == DATABASE_ID)).scalar()


def ping(connection: sa.Connection) -> None:
    """Ask the database for nothing, to see that it answers."""
    connection.execute(sa.select(1))
