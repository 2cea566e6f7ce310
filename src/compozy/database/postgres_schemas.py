"""The schemas of a PostgreSQL database: where the tables are, and which journal belongs to them.

Several installations can share one database, each in the schema that its `search_path` names.
"""

from __future__ import annotations

import hashlib
import re

import sqlalchemy as sa

from compozy.database.tables import VERSION_TABLE
from compozy.errors import ConflictError, DatabaseError

# The journal for tables in `public`.
JOURNAL_SCHEMA = "compozy_journal"
_PUBLIC = "public"
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# The first privilege that every process needs and this user lacks.
_MISSING = """
    SELECT c.relname, p FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT']) p
    WHERE n.nspname = %s AND NOT has_table_privilege(c.oid, p)
    AND (c.relname IN ('workflow_status', 'operation_outputs') OR (c.relname = 'dbos_migrations' AND p = 'SELECT'))
    ORDER BY 1, 2 DESC LIMIT 1
"""
# The server truncates longer names.
_NAME_MAX = 63


def find_journal_schema(connection: sa.Connection, location: str) -> str:
    """Return the schema of the journal that belongs to the tables in this connection's `search_path`.

    Raises:
        DatabaseError: `search_path` names no existing schema, or the tables share their journal with other tables.
    """
    schema = _schema_of_tables(connection)
    if schema is None:
        path = connection.exec_driver_sql("SHOW search_path").scalar()
        raise DatabaseError(
            f"no schema of the search_path {path} exists in {location}",
            hint="create it with CREATE SCHEMA, or correct `search_path`",
        )
    if schema == _PUBLIC:
        return JOURNAL_SCHEMA
    own = journal_schema_of(schema)
    if _exists(connection, own, "workflow_status") or not _has_runs_in_shared_journal(connection, schema):
        return own
    # Earlier versions kept one journal for all schemas.
    others = list_other_installations(connection)
    if others:
        raise DatabaseError(
            f"the tables in the schema {schema!r} of {location} share the journal {JOURNAL_SCHEMA!r} with those in "
            f"{', '.join(map(repr, others))}, which can damage both",
            hint="give each its own database: restore a backup of this one into another database, "
            "and drop the other schema there",
        )
    return JOURNAL_SCHEMA


def refuse_missing_privileges(connection: sa.Connection, schema: str, location: str) -> None:
    """Refuse a user that cannot use the journal; a journal that does not exist yet is not examined.

    The engine does not see a schema without privileges, and would report a journal that lacks migrations.

    Raises:
        DatabaseError: a privilege is missing.
    """
    query = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s"
    is_usable = connection.exec_driver_sql(query, (schema,)).scalar()
    if is_usable is None:
        return
    missing = f"USAGE on the schema {schema!r}"
    if is_usable:
        row = connection.exec_driver_sql(_MISSING, (schema,)).first()
        if row is None:
            return
        missing = f"{row[1]} on the table {f'{schema}.{row[0]}'!r}"
    raise DatabaseError(
        f"this user lacks the privilege {missing} of {location}",
        hint=f"grant it to {connection.exec_driver_sql('SELECT current_user').scalar()!r}, as the owner: the page "
        "PostgreSQL, section Rights, lists all that a user needs",
    )


def journal_schema_of(schema: str) -> str:
    """Return the name of the journal schema for tables in `schema`."""
    name = f"{JOURNAL_SCHEMA}_{schema}"
    if _PLAIN.fullmatch(schema) and len(name) <= _NAME_MAX:
        return name
    return f"{JOURNAL_SCHEMA}_{hashlib.sha256(schema.encode()).hexdigest()[:32]}"


def list_other_installations(connection: sa.Connection) -> list[str]:
    """Return the other schemas of the database that contain Compozy tables."""
    query = "SELECT schemaname FROM pg_tables WHERE tablename = %s AND schemaname <> %s ORDER BY 1"
    return list(connection.exec_driver_sql(query, (VERSION_TABLE, _schema_of_tables(connection))).scalars())


def refuse_other_installations(connection: sa.Connection, location: str) -> None:
    """Refuse to replace a whole database that other installations share.

    Raises:
        ConflictError: other installations share it.
    """
    others = list_other_installations(connection)
    if others:
        raise ConflictError(
            f"the database {location} also holds the Compozy tables in the schema {', '.join(map(repr, others))}, "
            "which a restore would replace",
            hint="restore the backup into another database; nothing was changed",
        )


def _schema_of_tables(connection: sa.Connection) -> str | None:
    """Return the first schema of the search_path that has the tables, or else the first one that exists."""
    query = (
        "SELECT coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(%s)), current_schema())"
    )
    return connection.exec_driver_sql(query, (VERSION_TABLE,)).scalar()


def _has_runs_in_shared_journal(connection: sa.Connection, schema: str) -> bool:
    if not (_exists(connection, schema, "workflow_states") and _exists(connection, JOURNAL_SCHEMA, "workflow_status")):
        return False
    query = (
        f"SELECT EXISTS (SELECT 1 FROM workflow_states w JOIN {JOURNAL_SCHEMA}.workflow_status j "  # noqa: S608 - our own names
        "ON j.workflow_uuid = w.workflow_exec_id)"
    )
    return bool(connection.exec_driver_sql(query).scalar())


def _exists(connection: sa.Connection, schema: str, table: str) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = %s)"
    return bool(connection.exec_driver_sql(query, (schema, table)).scalar())
