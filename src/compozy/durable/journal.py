"""The engine's journal: how it is set up, started and ended."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NoReturn, cast

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig
from dbos._migration import ensure_dbos_schema, run_dbos_migrations, should_migrate
from dbos._schemas.system_database import SystemSchema
from dbos._serialization import DefaultSerializer, Serializer
from dbos._sys_db import SystemDatabase

from compozy.database.database import Database
from compozy.database.failures import explain_failures
from compozy.database.jsontext import dump_json, load_json
from compozy.durable.context import RunInterruptedError
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.journal_rows import APPLICATION, RESUME_QUEUE, SERIALIZATION, find_refused_rows, may_call
from compozy.errors import DatabaseError

# Key of the object that stands for an exception; none of our values has it.
_EXCEPTION = "compozy_exception"
# How soon a process sees rows that another one wrote for it.
_POLL_S = 0.05
# Whether PostgreSQL notifies processes of writes. Part of the journal's schema: never change it.
_LISTENS = True


class JournalSerializer(Serializer):
    """Writes what the journal stores as JSON, with the serializer of the tables; never pickles."""

    def name(self) -> str:
        """Return the name that DBOS stores next to each value."""
        return SERIALIZATION

    def serialize(self, data: Any) -> str:
        """Return `data` as JSON; an exception, which only a bug lets through, becomes its text.

        Raises:
            RunInterruptedError: the engine canceled the run because the process ends. The run did not fail, so the
                journal records nothing, and the next process continues.
        """
        if isinstance(data, CancelledError):
            raise RunInterruptedError
        if isinstance(data, BaseException):
            return dump_json({_EXCEPTION: f"{type(data).__name__}: {data}"})
        return dump_json(data)

    def deserialize(self, serialized_data: str) -> Any:
        """Return the value; an exception comes back as a plain one with its text."""
        value: Any = load_json(serialized_data)
        if isinstance(value, dict) and _EXCEPTION in value:
            return RuntimeError(str(cast("dict[str, Any]", value)[_EXCEPTION]))
        return cast("Any", value)


def _refuse_pickle(*_: object) -> NoReturn:
    raise ValueError("Compozy does not read or write pickled values")


def _disable_pickle() -> None:
    """Close the engine's way to pickle, which runs code: it unpickles each row that says so, whatever its serializer.

    At the class, for the instances that the engine's modules have made.
    """
    for method in ("serialize", "deserialize"):
        setattr(DefaultSerializer, method, _refuse_pickle)


_disable_pickle()


def is_journal_behind(database: Database) -> bool:
    """Return whether the journal lacks migrations of the engine's.

    Raises:
        DatabaseError: the database refused.
    """
    if database.journal_schema is None:
        # On a file that one process owns, the engine brings it up to date by itself as it starts.
        return False
    with explain_failures(database.location):
        return should_migrate(database.engine, database.journal_schema, _LISTENS)


def migrate_journal(database: Database) -> None:
    """Migrate the journal; of several concurrent processes, one does it.

    By itself the engine would make a database of its own, and after 30 s go on without its lock, beside the process
    that holds it. Here it works on our database, in a schema, under the lock of our own migrations.

    Raises:
        DatabaseError: the database refused.
    """
    schema = database.journal_schema
    if schema is None or not is_journal_behind(database):
        return
    with database.migrating() as alone:
        if is_journal_behind(alone):
            ensure_dbos_schema(alone.engine, schema)
            run_dbos_migrations(alone.engine, schema, _LISTENS)


def make_journal(database: Database) -> None:
    """Bring the journal up to date without starting the engine, on a file too; the caller is its owner.

    Raises:
        DatabaseError: the database refused.
    """
    if database.journal_schema is not None:
        migrate_journal(database)
        return
    with explain_failures(database.location):
        SystemDatabase.create(
            system_database_url=database.engine.url.render_as_string(hide_password=False),
            engine_kwargs={},
            engine=database.engine,
            schema=None,
            serializer=JournalSerializer(),
            executor_id=None,
        ).run_migrations()


@lru_cache(maxsize=8)
def list_journal_tables(schema: str | None) -> tuple[sa.Table, ...]:
    """Return the tables of the journal as they stand in `schema`, None for none.

    What the engine lets stand there without using it, and its own version, are left out.
    """
    metadata = sa.MetaData()
    # None is right for no schema, though SQLAlchemy's annotation knows only text.
    name = cast("str", schema)
    return tuple(table.to_metadata(metadata, schema=name) for table in SystemSchema.metadata_obj.sorted_tables)


def read_journal_revision(database: Database, connection: sa.Connection) -> int:
    """Return the engine's own version of the journal's tables, 0 where there are none."""
    if not has_journal(database, connection):
        return 0
    version = sa.table("dbos_migrations", sa.column("version"), schema=database.journal_schema)
    return int(connection.execute(sa.select(sa.func.max(version.c.version))).scalar() or 0)


def has_journal(database: Database, connection: sa.Connection) -> bool:
    """Return whether the journal was ever made in `database`."""
    return sa.inspect(connection).has_table("dbos_migrations", schema=database.journal_schema)


def list_refused_rows(database: Database, connection: sa.Connection, *, only_open: bool = False) -> list[str]:
    """Return the first rows of the journal that Compozy did not write and refuses to read; it must exist."""
    tables = {table.name: table for table in list_journal_tables(database.journal_schema)}
    return find_refused_rows(connection, tables, only_open=only_open)


def _refuse_foreign_rows(database: Database) -> None:
    """Refuse to start the engine on a journal with open runs that would make it call something else.

    Raises:
        DatabaseError: there are such rows, or the database refused.
    """
    refused: list[str] = []
    with database.read() as connection:
        # A journal that is behind is a file's that the engine migrates as it starts; its tables are there all the same.
        if has_journal(database, connection) and may_call(connection, database.journal_schema):
            refused = list_refused_rows(database, connection, only_open=True)
    if refused:
        raise DatabaseError(
            f"the journal in {database.location} holds rows that Compozy did not write: {'; '.join(refused)}",
            hint="nothing of them was read. Restore the database from a backup that you trust",
        )


def launch_journal(database: Database, executor_id: str) -> None:
    """Start the engine on `database`. Call it on the thread of the event loop that shall run everything.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refused.
        DatabaseError: the journal could not be brought up to date, or holds rows that Compozy did not write.
    """
    _route_logs()
    _has_ended.clear()
    migrate_journal(database)
    _refuse_foreign_rows(database)
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": database.engine.url.render_as_string(hide_password=False),
        "system_database_engine": database.engine,
        "dbos_system_schema": database.journal_schema,
        "use_listen_notify": _LISTENS,
        "run_migrations": database.journal_schema is None,
        "application_version": str(JOURNAL_FORMAT),
        "executor_id": executor_id,
        "serializer": JournalSerializer(),
        "notification_listener_polling_interval_sec": _POLL_S,
        "enable_otlp": False,
        # Its messages about every start are useful only for debugging.
        "log_level": "DEBUG" if logging.getLogger().isEnabledFor(logging.DEBUG) else "WARNING",
    }
    DBOS(config=config)
    # No queue but our own: those of other processes are theirs.
    DBOS.listen_queues([resume_queue_name(executor_id)])
    DBOS.launch()


def destroy_journal() -> None:
    """End the engine of this process; what was running stays in the journal, to be resumed."""
    _has_ended.set()
    # Of the runs that a thread of the engine begins too late.
    warnings.filterwarnings("ignore", "coroutine 'execute_dequeued_workflow", RuntimeWarning)
    DBOS.destroy()
    # The engine made its own threads those of the event loop, and has just ended them; the loop needs others.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def resume_queue_name(executor_id: str) -> str:
    """Return the name of the queue through which a process resumes runs that it took over."""
    return f"{RESUME_QUEUE}{executor_id}"


# Whether the engine was ended: its threads may still begin runs that they took from their queue.
_has_ended = threading.Event()
_BEGINS_RUN = "Error executing workflow"
# The event loop's message to callers that need a thread when there are none left.
_THREADS_ENDED = "Executor shutdown has been called"


def _route_logs() -> None:
    """Let the engine's log lines go where ours go, instead of straight to the terminal."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        # DBOS adds its own terminal handler only to a logger that has none.
        logger.addHandler(logging.NullHandler())
    logger.propagate = True
    logger.addFilter(_is_news)
    logging.getLogger("asyncio").addFilter(_is_unexpected)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what we say ourselves, and better: that a run was stopped, by us, and why the engine did not start.

    A run that the engine begins after its end is not begun: the next process does so.
    """
    text = str(record.msg)
    is_ours = text.startswith(("Asyncio task cancelled", "DBOS failed to launch"))
    is_late = _has_ended.is_set() and text.startswith(_BEGINS_RUN)
    return not is_ours and not is_late and _is_unexpected(record)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Drop log lines about interrupted runs that are expected, because this process is ending.

    A run that the engine begins in the very moment in which its threads end is one of them: nothing of it was recorded.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, RunInterruptedError) and str(error) != _THREADS_ENDED
