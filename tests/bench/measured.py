"""The databases that are measured: a file, memory, and a PostgreSQL that waits for the disk."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator

from compozy.config.settings import DatabaseSettings, RuntimeSettings
from compozy.database.database import Database, open_database
from compozy.database.migrate import migrate_up
from compozy.durable.journal import migrate_journal
from compozy.log import configure_logging
from tests.harness.postgres import Server, database_on, own_server

KINDS = ("file", "memory", "postgres")
# The server of the tests is faster than a safe configuration.
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}


def log_as_servers() -> None:
    """Show the log lines that a server shows by default; a line for each run would be measured, too."""
    configure_logging(RuntimeSettings().log_level, as_json=False)


@contextlib.contextmanager
def measured_server(kinds: list[str]) -> Generator[Server | None, None, None]:
    """Run a PostgreSQL server if `kinds` contains one."""
    if "postgres" not in kinds:
        yield None
        return
    with own_server(**_DURABLE) as server:
        yield server


@contextlib.contextmanager
def new_place(kind: str, server: Server | None) -> Generator[Database, None, None]:
    """Open a new database of this kind, with its tables."""
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            assert server is not None
            settings = stack.enter_context(database_on(server))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = f"{folder}/bench.db" if kind == "file" else ":memory:"
            settings = DatabaseSettings(driver="sqlite", path=path)
        database = open_database(settings)
        stack.callback(database.close)
        migrate_up(database)
        migrate_journal(database)
        yield database
