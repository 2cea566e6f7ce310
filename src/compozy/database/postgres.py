"""PostgreSQL for production: its address, how connections are created and kept, and one migration at a time."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.pool import NullPool, PoolProxiedConnection

from compozy.clock import monotonic_s
from compozy.config.addresses import ENCODE
from compozy.config.settings import DatabaseSettings
from compozy.database.changes import Announcer, ChangeFeed
from compozy.database.commits import watch_commits
from compozy.database.driver import Inspection
from compozy.database.live_text import TextListener
from compozy.database.pool import pool_that_keeps, refuse_closed
from compozy.database.postgres_changes import PostgresAnnouncer, PostgresFeed
from compozy.database.postgres_inspect import inspect_server
from compozy.database.postgres_schemas import JOURNAL_SCHEMA
from compozy.database.postgres_servers import Connector, describe_servers, names_several
from compozy.database.tables import OUR_TABLES
from compozy.errors import DatabaseError

# The same number in all versions of Compozy: "compozy" on a telephone keypad.
_MIGRATION_LOCK = 2667699
_MIGRATION_POLL_S = 0.1
_MIGRATION_PATIENCE_S = 600.0
# A process that stops within a transaction (SIGSTOP, a frozen machine, a cut network) keeps its locks until the server
# ends the session. All limits are shorter than a lease, so that the locks are free before its runs are claimed.
_IDLE_TRANSACTION_MS = 5_000
_LOCK_TIMEOUT_MS = 8_000
# In a transaction of several runs: a lock that one of them needs must not delay the others, and a session that waits
# for the rest of a long statement is not idle to the server.
_GROUP_LOCK_TIMEOUT_MS = 100
_GROUP_TRANSACTION_MS = 8_000
_SERVER_TIMEOUT_MS = 8_000
# For a transaction that reads a document while it is open, and for one that only reads.
_BULK_IDLE_MS = 600_000
_POOL_TIMEOUT_S = 60.0
_LISTENER = 1  # the connection of the pool that the engine's notification listener permanently takes
# One connection announces changes, and one listens to them.
_CHANGES = 2
# Connections for the requests of a server; they are part of `max_open_conns`.
_REQUESTS = 6
# Connections to a replica, one for each thread of queries.
_REPLICA = 2
_OLDEST_SERVER = 130000
# As `sslrootcert`: the certificate authorities that the system trusts.
SYSTEM_AUTHORITIES = "system"
_SSL_FILES = ("sslrootcert", "sslcert", "sslkey")
# A server that does not answer delays each connection to the next server of the address.
_CONNECT_S = 10
_NEXT_SERVER_S = 3
# The server was demoted, or it is a standby.
_READ_ONLY = "25006"
# Detect a vanished server within a lease, when reading and when writing.
_ALIVE = {
    "keepalives_idle": 4,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
# The same on the server's side, for this process. Unix domain sockets ignore it.
_PEER_ALIVE = {
    "tcp_keepalives_idle": 4,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": _SERVER_TIMEOUT_MS,
}


def connection_parameters(
    settings: DatabaseSettings, *, to_write: bool = False, is_replica: bool = False
) -> dict[str, Any]:
    """Return the driver's connection parameters, from `conn_string` or from the separate settings.

    The address never depends on the environment: a PGDATABASE or PGHOSTADDR set for another program must not lead to
    another database. Credentials may come from it (PGPASSWORD, ~/.pgpass).

    Args:
        settings: the database settings.
        to_write: whether a read-only server is refused. If the address names several servers, it always is.
        is_replica: whether the address is that of a replica, for which read-only servers are preferred.

    Raises:
        DatabaseError: `conn_string` cannot be parsed, or no database is named.
    """
    given = _parse(settings.conn_string.get_secret_value()) if settings.conn_string else _parts(settings)
    secret = settings.password.get_secret_value() if settings.password else None
    for key, value in (("password", secret), ("sslmode", settings.sslmode)):
        if value is not None:
            given.setdefault(key, value)
    for key in _SSL_FILES:
        if getattr(settings, key) is not None:
            given.setdefault(key, _existing(key, getattr(settings, key)))
    if not given.get("host"):
        raise DatabaseError("postgres driver requires host or conn_string", hint="set database.host")
    if not given.get("dbname"):
        raise DatabaseError("postgres driver requires dbname", hint="set database.dbname, or name it in conn_string")
    is_several = names_several(given)
    attrs = "read-write" if to_write or is_several else "any"
    fixed = {
        "hostaddr": "",
        "port": "5432",
        "options": "",
        "application_name": "compozy",
        "connect_timeout": _NEXT_SERVER_S if is_several or is_replica else _CONNECT_S,
        "target_session_attrs": "prefer-standby" if is_replica else attrs,
    }
    return {**_ALIVE, **fixed, **given, "client_encoding": "UTF8"}


def describe_location(settings: DatabaseSettings) -> str:
    """Return the address as shown in messages: `postgres://user@host:5432/dbname`, without secrets."""
    given = connection_parameters(settings)
    user = f"{given['user']}@" if given.get("user") else ""
    return f"postgres://{user}{describe_servers(given)}/{given['dbname']}"


def make_engine(
    settings: DatabaseSettings, *, read_only: bool = False, lock_timeout_ms: int | None = None
) -> sa.Engine:
    """Return the engine for everything, including the journal, with as many connections as the settings allow.

    Args:
        settings: the database settings.
        read_only: whether to allow queries only.
        lock_timeout_ms: how long a statement waits for a lock; 0 for no limit, by default shorter than a lease.
    """
    limit = max(2, settings.max_open_conns - _LISTENER - _CHANGES - _reserved(settings))
    return _pooled(settings, limit, read_only=read_only, lock_timeout_ms=lock_timeout_ms)


def make_reader_engine(engine: sa.Engine) -> sa.Engine:
    """Return `engine` for queries: on the same connections, without the round trips of a transaction."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def check_server(connection: sa.Connection, location: str) -> None:
    """Refuse a server that cannot hold our tables.

    Raises:
        DatabaseError: the server is too old, or does not store text as UTF-8.
    """
    version, encoding = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
    ).one()
    if version < _OLDEST_SERVER:
        raise DatabaseError(
            f"the server of {location} is PostgreSQL {version // 10000}; Compozy needs 13 or newer",
            hint="upgrade the server, or use another one",
        )
    if encoding != "UTF8":
        raise DatabaseError(
            f"the database {location} stores text as {encoding}, which cannot represent every character",
            hint="create another database with `createdb --encoding=UTF8 --template=template0`",
        )


class PostgresDriver:
    """The behavior specific to PostgreSQL."""

    name = "postgres"
    location_key = "url"
    is_exclusive = False
    writers = 2
    collation: str | None = "C"

    def __init__(self, journal_schema: str = JOURNAL_SCHEMA) -> None:
        self.journal_schema: str | None = journal_schema

    def begin_write(self, connection: sa.Connection) -> None:
        """Do nothing: the first statement starts the transaction, and rows are locked as they are changed."""

    def take_turn(self, connection: sa.Connection, task: int) -> bool:
        """Take an advisory lock that ends with the transaction."""
        lock = sa.text("SELECT pg_try_advisory_xact_lock(:task, hashtext(current_schema()))")
        return bool(connection.execute(lock, {"task": task}).scalar_one())

    def limit_lock_waits(self, connection: sa.Connection) -> None:
        """Wait for locks only a moment in this transaction, and end it if this process stops within it."""
        can_end = (connection.dialect.server_version_info or ()) >= (17,)
        end = f"; SET LOCAL transaction_timeout = {_GROUP_TRANSACTION_MS}" if can_end else ""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_GROUP_LOCK_TIMEOUT_MS}{end}")

    def allow_pauses(self, connection: sa.Connection) -> None:
        """Allow this transaction to stay idle for minutes."""
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {_BULK_IDLE_MS}")

    def request_engines(self, settings: DatabaseSettings) -> tuple[sa.Engine, sa.Engine] | None:
        """Return engines on the connections that `make_engine` leaves; None if there are too few to share out."""
        if not (reserved := _reserved(settings)):
            return None
        return (engine := _pooled(settings, reserved)), make_reader_engine(engine)

    def open_replica(self, settings: DatabaseSettings) -> tuple[sa.Engine, str] | None:
        """Return an engine with few connections to `read_url`."""
        if settings.read_url is None:
            return None
        # Its address is whole: the parts of the address of the primary are not its own.
        replica = settings.model_copy(update={"conn_string": settings.read_url, "read_url": None})
        engine = _pooled(replica, _REPLICA, read_only=True, is_replica=True)
        return make_reader_engine(engine), describe_location(replica)

    def open_feed(self, settings: DatabaseSettings, hear_text: TextListener | None = None) -> ChangeFeed | None:
        """Return what listens to notifications."""
        return PostgresFeed(_connector(settings).connect, hear_text)

    def open_announcer(self, settings: DatabaseSettings) -> Announcer | None:
        """Return what sends notifications."""
        return PostgresAnnouncer(_connector(settings).connect)

    def find_foreign(self, tables: Iterable[str]) -> str | None:
        """Return a table with a name that Compozy uses; the database may be shared."""
        return min(OUR_TABLES.intersection(tables), default=None)

    def list_journal(self, connection: sa.Connection) -> list[str]:
        """Return the tables in the journal's schema."""
        query = "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s ORDER BY 1"
        return list(connection.exec_driver_sql(query, (self.journal_schema,)).scalars())

    def drop_journal(self, connection: sa.Connection) -> None:
        """Drop the journal's schema."""
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {self.journal_schema} CASCADE")

    @contextmanager
    def migrating(
        self, settings: DatabaseSettings, engine: sa.Engine, location: str
    ) -> Generator[sa.Engine, None, None]:
        """Hold an advisory lock on the server, which ends with its connection, so a dead process holds none."""
        del engine
        # Uses its own connections: the pool may be small, and its limits are too short for a long migration.
        alone = _engine(settings, read_only=False, poolclass=NullPool, idle_ms=0, lock_timeout_ms=0)
        try:
            with alone.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
                _lock(holder, location)
                yield alone
        finally:
            alone.dispose()

    @contextmanager
    def snapshot(self, engine: sa.Engine, readers: sa.Engine) -> Generator[sa.Connection, None, None]:
        """Start a read-only transaction whose queries all see the same snapshot."""
        del readers
        with engine.connect().execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        ) as connection:
            self.allow_pauses(connection)
            yield connection

    def identity_number(self, settings: DatabaseSettings, connection: sa.Connection) -> int:
        """Return the server's OID of the database."""
        del settings
        query = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
        return int(connection.exec_driver_sql(query).scalar_one())

    def examine(self, connection: sa.Connection) -> list[tuple[str, str, str]]:
        """Look for unfinished indexes and constraints that were never validated."""
        broken = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid OR NOT indisready"
        loose = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
        size = int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
        return [
            ("indexes", ", ".join(connection.exec_driver_sql(broken).scalars()), f"{size / 1024:.0f} KiB"),
            ("foreign keys", ", ".join(connection.exec_driver_sql(loose).scalars()), ""),
        ]

    def inspect(self, settings: DatabaseSettings, connection: sa.Connection) -> Inspection:
        """Return the version, the clock and the dangerous settings of the server."""
        is_several = names_several(connection_parameters(settings))
        return inspect_server(connection, is_several=is_several)


def _lock(holder: sa.Connection, location: str) -> None:
    """Poll for the lock. Waiting *in* the server would block the CREATE INDEX CONCURRENTLY of its holder."""
    deadline = monotonic_s() + _MIGRATION_PATIENCE_S
    while not holder.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (_MIGRATION_LOCK,)).scalar():
        if monotonic_s() > deadline:
            raise DatabaseError(
                f"another process has been migrating {location} for {_MIGRATION_PATIENCE_S:g} s",
                hint="find it in pg_stat_activity; it holds an advisory lock",
            )
        time.sleep(_MIGRATION_POLL_S)


def _connector(settings: DatabaseSettings) -> Connector:
    return Connector(connection_parameters(settings, to_write=True))


def _reserved(settings: DatabaseSettings) -> int:
    """Return how many connections are reserved for requests: less than a quarter of all, none of fewer than 8."""
    return max(0, min(_REQUESTS, settings.max_open_conns // 4 - 1))


def _pooled(
    settings: DatabaseSettings,
    limit: int,
    *,
    read_only: bool = False,
    is_replica: bool = False,
    lock_timeout_ms: int | None = None,
) -> sa.Engine:
    return _engine(
        settings,
        read_only=read_only,
        is_replica=is_replica,
        lock_timeout_ms=lock_timeout_ms,
        poolclass=pool_that_keeps(min(settings.max_idle_conns, limit), idle_s=settings.conn_max_idle_time),
        pool_size=limit,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_recycle=max(1, int(settings.conn_max_lifetime)),
        # Hand out the latest connection first, so that unused ones grow idle together.
        pool_use_lifo=True,
    )


def _parts(settings: DatabaseSettings) -> dict[str, Any]:
    parts = {"host": settings.host, "port": str(settings.port), "user": settings.user, "dbname": settings.dbname}
    return {key: value for key, value in parts.items() if value is not None}


def _existing(key: str, path: str) -> str:
    """Return `path` if the file exists: the driver silently ignores a missing client certificate."""
    if path != SYSTEM_AUTHORITIES and not Path(path).exists():
        raise DatabaseError(f"database.{key}: file {path!r} not found", hint="correct the path")
    return path


def _parse(conn_string: str) -> dict[str, Any]:
    # SQLAlchemy's spelling of the scheme is widespread.
    scheme, colon, rest = conn_string.partition("://")
    text = f"{scheme.partition('+')[0]}{colon}{rest}" if colon else conn_string
    try:
        return dict(conninfo_to_dict(text))
    except psycopg.ProgrammingError:
        # The driver's own message repeats the text, including the password.
        raise DatabaseError("database.conn_string is not a PostgreSQL address", hint=ENCODE) from None


def _engine(
    settings: DatabaseSettings,
    *,
    read_only: bool,
    is_replica: bool = False,
    poolclass: type[sa.Pool],
    idle_ms: int | None = None,
    lock_timeout_ms: int | None = None,
    **pool: Any,
) -> sa.Engine:
    parameters = connection_parameters(settings, to_write=not read_only, is_replica=is_replica)
    connector = Connector(parameters)
    limits: dict[str, int | str] = {
        "idle_in_transaction_session_timeout": _IDLE_TRANSACTION_MS if idle_ms is None else idle_ms,
        "lock_timeout": _LOCK_TIMEOUT_MS if lock_timeout_ms is None else lock_timeout_ms,
        **_PEER_ALIVE,
    }
    if read_only:
        limits["default_transaction_read_only"] = "on"
    session = "; ".join(f"SET {name} = {value}" for name, value in limits.items())

    def connect() -> psycopg.Connection[Any]:
        connection = connector.connect()
        # Set here and not in the address, which poolers such as PgBouncer would refuse.
        connection.execute(session.encode())
        connection.autocommit = False
        return connection

    # The URL is for messages; `connect` has the real address.
    url = sa.URL.create("postgresql+psycopg", host="database", database=str(parameters["dbname"]))
    engine = sa.create_engine(
        url, creator=connect, poolclass=poolclass, isolation_level="READ COMMITTED", hide_parameters=True, **pool
    )
    event.listen(engine, "checkout", refuse_closed)
    engine.dialect.use_insertmanyvalues_wo_returning = True  # several rows are one INSERT
    watch_commits(engine, wrote=_has_written)
    if not read_only:
        event.listen(engine, "handle_error", _leave_read_only_server)
    return engine


def _leave_read_only_server(context: sa.engine.ExceptionContext) -> None:
    """Close all connections of the pool: a server that was demoted keeps them open, and refuses each transaction."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _has_written(proxied: PoolProxiedConnection) -> bool:
    connection: Any = proxied.dbapi_connection
    if connection.info.transaction_status is not TransactionStatus.INTRANS:
        return False
    return connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()[0] is not None
