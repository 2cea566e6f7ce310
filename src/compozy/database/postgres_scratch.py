"""A schema of a PostgreSQL database for a scratch installation, next to the schema of its journal."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from compozy.config.settings import DatabaseSettings
from compozy.database.postgres import connection_parameters, describe_location
from compozy.database.postgres_schemas import journal_schema_of
from compozy.errors import DatabaseError


def create_schema(settings: DatabaseSettings, name: str) -> None:
    """Create an empty schema.

    Raises:
        DatabaseError: the server cannot be reached, or this user cannot create schemas.
    """
    _execute(settings, [sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name))], f"create the schema {name!r}")


def drop_schema(settings: DatabaseSettings, name: str) -> None:
    """Delete a schema and that of its journal, with everything in them.

    Raises:
        DatabaseError: they cannot be deleted.
    """
    names = (name, journal_schema_of(name))
    drops = [sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(each)) for each in names]
    _execute(settings, drops, f"delete the schema {name!r}")


def settings_in_schema(settings: DatabaseSettings, name: str) -> tuple[DatabaseSettings, str]:
    """Return the settings for tables in a schema, and the address in them."""
    given = connection_parameters(settings, to_write=True)
    options = f"{given['options']} -c search_path={name}".strip()
    address = make_conninfo(**{**given, "options": options})
    return settings.model_copy(update={"conn_string": SecretStr(address)}), address


def describe_schema(settings: DatabaseSettings, name: str) -> str:
    """Return the location of a schema as shown in messages."""
    return f"{describe_location(settings)}, schema {name}"


def _execute(settings: DatabaseSettings, statements: Sequence[sql.Composed], what: str) -> None:
    try:
        with psycopg.connect(**connection_parameters(settings, to_write=True), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"cannot {what} in {describe_location(settings)}: permission denied",
            hint="grant it: GRANT CREATE ON DATABASE ... TO ...",
        ) from error
    except psycopg.Error as error:
        raise DatabaseError(f"cannot {what} in {describe_location(settings)}: {error}") from error
