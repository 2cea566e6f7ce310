"""Databases of the test server that are used by one test after another.

PostgreSQL needs half a second of processor time to create a database, since it creates 550 files. A database of which
only the rows changed is emptied after a test instead, and gets a new name for the next one. If anything else changed,
such as a table, a role's rights or a setting, it is dropped.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]
# Deleted rows stay in the files until the database is dropped.
_MAX_USES = 25
_STOP_MS = 10_000
# Each change of a row gets a higher xmin, and each deletion lowers the count.
_CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_cast", "pg_class", "pg_collation", "pg_constraint", "pg_default_acl"),
    *("pg_event_trigger", "pg_extension", "pg_index", "pg_inherits", "pg_init_privs", "pg_largeobject_metadata"),
    *("pg_namespace", "pg_operator", "pg_policy", "pg_proc", "pg_publication", "pg_rewrite", "pg_sequence"),
    *("pg_statistic", "pg_statistic_ext", "pg_trigger", "pg_type"),
)
_DATABASE: LiteralString = """
    SELECT datdba, datconnlimit, datallowconn, datistemplate, datacl::text,
        (SELECT string_agg(s::text, ',' ORDER BY s::text) FROM pg_db_role_setting s WHERE setdatabase = d.oid)
    FROM pg_database d WHERE datname = current_database()
"""
_TABLES: LiteralString = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_STOP_SESSIONS: LiteralString = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE datname = %s"


@dataclass(frozen=True, kw_only=True)
class _Original:
    """A new database: its tables, the rows of those that are not empty, and the state of its catalogs."""

    tables: list[tuple[str, str]]
    rows: dict[tuple[str, str], bytes]
    state: list[Any]


@dataclass(kw_only=True)
class Pool:
    """The free databases of one process, copies of one template. `create` returns the name of a new one."""

    create: Callable[[], str]
    drop: Callable[[str], None]
    connect: Callable[[str], Connection]
    _free: list[str] = field(default_factory=list[str])
    _uses: Counter[str] = field(default_factory=Counter[str])
    _original: _Original | None = None
    _pid: int = field(default_factory=os.getpid)

    def take(self) -> str:
        """Return the name of a database with the content of the template."""
        # A forked process must not take the databases of its parent.
        if self._pid != os.getpid():
            self._free, self._pid = [], os.getpid()
        name = self._free.pop() if self._free else self.create()
        if self._original is None:
            with self.connect(name) as connection:
                self._original = _read_original(connection)
        return name

    def give_back(self, name: str) -> None:
        """Empty a database for the next test, or drop it."""
        assert self._original is not None
        uses = self._uses.pop(name, 0) + 1
        new_name = self._rename(name) if uses < _MAX_USES else None
        if new_name is not None and _is_restored(self.connect, new_name, self._original):
            self._free.append(new_name)
            self._uses[new_name] = uses
        else:
            self.drop(new_name or name)

    def _rename(self, name: str) -> str | None:
        """Give a database another name, so that processes of the test do not find it. None if one still uses it."""
        new_name = f"t_{secrets.token_hex(6)}"
        with self.connect("postgres") as admin:
            admin.execute(_STOP_SESSIONS, (_STOP_MS, name))
            try:
                admin.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new_name))
                )
            except psycopg.errors.ObjectInUse:
                return None
        return new_name


def _read_original(connection: Connection) -> _Original:
    tables: list[tuple[str, str]] = connection.execute(_TABLES).fetchall()
    rows: dict[tuple[str, str], bytes] = {}
    with connection.cursor() as cursor:
        for table in tables:
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*table))) as copy:
                rows[table] = b"".join(bytes(block) for block in copy)
        assert not cursor.execute("SELECT 1 FROM pg_sequence").fetchall(), "sequences must be reset, too"
    return _Original(
        tables=tables, rows={table: data for table, data in rows.items() if data}, state=_read_state(connection)
    )


def _read_state(connection: Connection) -> list[Any]:
    parts = [
        sql.SQL("SELECT count(*), max(xmin::text::bigint) FROM {}").format(sql.Identifier(name)) for name in _CATALOGS
    ]
    return [
        *connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall(),
        connection.execute(_DATABASE).fetchone(),
    ]


def _is_restored(connect: Callable[[str], Connection], name: str, original: _Original) -> bool:
    try:
        with connect(name) as connection:
            if _read_state(connection) != original.state:
                return False
            with connection.transaction(), connection.cursor() as cursor:
                _restore_rows(cursor, original)
    except psycopg.Error:
        # For example, the test removed the right to connect. It is dropped.
        return False
    return True


def _restore_rows(cursor: psycopg.Cursor[Any], original: _Original) -> None:
    # Foreign keys are not checked meanwhile.
    cursor.execute("SET LOCAL session_replication_role = replica")
    deletions = (sql.SQL("DELETE FROM {}").format(sql.Identifier(*table)) for table in original.tables)
    cursor.execute(sql.SQL("; ").join(deletions))
    for table, data in original.rows.items():
        with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(*table))) as copy:
            copy.write(data)
