"""Compiled SQL statements that all engines of a test process share.

SQLAlchemy compiles each statement once for each engine, which takes 3 ms of processor time. The program has one engine
for each database; a process of tests opens thousands, and would spend a third of its time on compiling. Statements are
shared by engines with the same dialect, version and options, on which their text depends.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_MAX_STATEMENTS = 20_000
_ATTRIBUTES = (
    *("paramstyle", "server_version_info", "default_schema_name", "label_length", "max_identifier_length"),
    *("supports_native_boolean", "insert_returning", "update_returning", "use_insertmanyvalues"),
    *("_json_serializer", "_json_deserializer", "_supports_statement_cache"),
)
_statements: LRUCache[Any, Any] = LRUCache(_MAX_STATEMENTS)


def share_statements() -> None:
    """Let the engines that this process opens share their statements."""
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        # Part of the key of a statement.
        setattr(dialect, "__eq__", _is_same)  # noqa: B010 - a method to the type checker
        setattr(dialect, "__hash__", _hash)  # noqa: B010 - as above
    # Each engine sets its own cache, which is ignored.
    setattr(Engine, "_compiled_cache", property(_get_cache, _ignore))  # noqa: B010 - as above


def _get_cache(_engine: Engine) -> LRUCache[Any, Any]:
    return _statements


def _ignore(_engine: Engine, _cache: object) -> None:
    pass


def _is_same(dialect: object, other: object) -> bool:
    return dialect is other or (type(dialect) is type(other) and _options(dialect) == _options(other))


def _hash(dialect: object) -> int:
    return hash((type(dialect), *_options(dialect)))


def _options(dialect: object) -> tuple[Any, ...]:
    return tuple(getattr(dialect, name, None) for name in _ATTRIBUTES)
