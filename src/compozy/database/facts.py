"""Rows of `compozy_facts`: the project that a database belongs to, and the database's own ID."""

from __future__ import annotations

import sqlalchemy as sa

from compozy.database.tables import facts, insert_if_new
from compozy.errors import DatabaseError
from compozy.ids import new_database_id

_PROJECT = "project"
# Created with the tables and never changed. A copy has it too; see `Database.identify`.
DATABASE_ID = "database_id"


def claim_for_project(connection: sa.Connection, project: str, location: str) -> None:
    """Assign a new database to `project`; a database belongs to one project for its lifetime.

    Raises:
        DatabaseError: the database belongs to another project.
    """
    if get_project(connection) is None:
        # Another process may concurrently assign another project. The second one reads what the first one wrote.
        connection.execute(insert_if_new(facts), {"name": _PROJECT, "value": project})
    refuse_other_project(connection, project, location)


def refuse_other_project(connection: sa.Connection, project: str, location: str) -> None:
    """Refuse a database that belongs to another project than `project`.

    Raises:
        DatabaseError: it does.
    """
    owner = get_project(connection)
    if owner not in {None, project}:
        key = "path" if connection.dialect.name == "sqlite" else "dbname"
        raise DatabaseError(
            f"the database {location} belongs to the project {owner!r}, not to {project!r}",
            hint=f"set another database.{key}, or `name: {owner}` in compozy.yaml if this is that project",
        )


def get_project(connection: sa.Connection) -> str | None:
    """Return the name of the project that this database belongs to, None if it is new."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == _PROJECT)).scalar()


def name_database(connection: sa.Connection) -> None:
    """Assign an ID to a database without one."""
    connection.execute(insert_if_new(facts), {"name": DATABASE_ID, "value": new_database_id()})


def get_database_id(connection: sa.Connection) -> str | None:
    """Return the database ID, None if the database is older than such IDs."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == DATABASE_ID)).scalar()


def lock_facts(connection: sa.Connection) -> None:
    """Wait until no other transaction has called this, and keep others waiting until this one ends.

    SQLite has one writer at a time anyway.
    """
    connection.execute(sa.select(facts.c.name).with_for_update()).all()


def ping(connection: sa.Connection) -> None:
    """Run an empty query to check that the database responds."""
    connection.execute(sa.select(1))
