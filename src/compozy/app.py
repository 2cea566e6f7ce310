"""The composition root: from a checked project to a database, a runtime and models that work together."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compozy.config.fingerprint import database_fingerprint
from compozy.database.database import Database, describe_location, open_database, open_for_reading
from compozy.database.executors import reap_expired_executors
from compozy.database.facts import claim_for_project, refuse_other_project
from compozy.database.migrate import (
    NO_DATABASE,
    Loss,
    MigrationStatus,
    measure_down,
    migrate_down,
    migrate_up,
    read_status,
)
from compozy.database.sqlite import MEMORY
from compozy.errors import DatabaseError, DatabaseOwnedError
from compozy.knowledge.base import KnowledgeProject
from compozy.project.loaded import LoadedProject

if TYPE_CHECKING:
    from compozy.durable.runtime import Runtime
    from compozy.knowledge.catalog import KnowledgeCatalog
    from compozy.model.catalog import ModelCatalog
    from compozy.task.report import Report
    from compozy.workflow.execute import WorkflowExecutor

# Runs at once that `make bench` measured on SQLite: no lock error, no loss of throughput. It moves with a figure only.
MEASURED_SQLITE_CONCURRENCY = 100
# The role of a process that answers requests.
SERVER = "server"
# And of one that runs a workflow and prints its result.
COMMAND = "run"


@dataclass(frozen=True, kw_only=True)
class App:
    """Everything that executes runs of one project."""

    project: LoadedProject
    database: Database
    runtime: Runtime
    catalog: ModelCatalog
    knowledge: KnowledgeCatalog
    left_unfinished: int

    async def load_models(self) -> None:
        """Load the libraries of the project's models, in a thread: what a first run would wait for."""
        from compozy.task.basic import load_agents

        if self.project.providers:
            await load_agents(self.catalog)


def open_storage(
    project: LoadedProject,
    *,
    wait_for_lock_s: float,
    on_wait: Callable[[str], None] | None = None,
    url: str | None = None,
) -> Database:
    """Open the project's database to execute runs on it: owned, migrated, and this project's.

    Args:
        project: names the database.
        wait_for_lock_s: how long to wait for another process that executes runs on the same SQLite file.
        on_wait: told whom this process waits for.
        url: where this process answers requests, for others to find it.

    Raises:
        DatabaseError: it cannot be used; nothing was changed.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, wait_for_lock_s, on_wait, url)
        prepare(database, project)
    except BaseException:
        close_storage(database)
        raise
    return database


def prepare(database: Database, project: LoadedProject) -> None:
    """Bring the tables up to date and give a new database to the project.

    Raises:
        DatabaseError: it is another project's, a newer Compozy's, or out of date while `auto_migrate` is off.
    """
    pending = read_status(database).pending
    if pending and not project.database.auto_migrate:
        raise DatabaseError(
            f"the database {database.location} lacks {len(pending)} migration(s) and database.auto_migrate is off",
            hint="run `compozy migrate up`",
        )
    migrate_up(database)
    _prepare_journal(database, auto_migrate=project.database.auto_migrate)
    with database.write() as connection:
        claim_for_project(connection, project.name, database.location)


def _prepare_journal(database: Database, *, auto_migrate: bool) -> None:
    """Bring the engine's journal up to date as well; on SQLite it does so itself when it starts."""
    if database.journal_schema is None:
        return
    from compozy.durable.journal import is_journal_behind, migrate_journal

    if not auto_migrate and is_journal_behind(database):
        raise DatabaseError(
            f"the journal in {database.location} is out of date and database.auto_migrate is off",
            hint="run `compozy migrate up`",
        )
    migrate_journal(database)


def open_reading(project: LoadedProject) -> Database | None:
    """Open the project's database for queries; None while there is none.

    Raises:
        DatabaseError: it is there and cannot be used.
    """
    database = open_for_reading(project.database, location=display_location(project))
    if database is None:
        return None
    status = read_status(database)
    if status.current == "base":
        database.close()
        return None
    if status.pending:
        database.close()
        raise DatabaseError(
            f"the database {database.location} lacks {len(status.pending)} migration(s)",
            hint="run `compozy migrate up`",
        )
    try:
        with database.read() as connection:
            refuse_other_project(connection, project.name, database.location)
    except DatabaseError:
        database.close()
        raise
    return database


@contextmanager
def open_control(project: LoadedProject) -> Generator[Database | None, None, None]:
    """Open the project's database to tell others what its runs shall do; None while there is none.

    Runs of processes that died are let go of first, so that nobody waits for an answer from the dead.

    Raises:
        DatabaseError: it cannot be used.
    """
    readable = open_reading(project)
    if readable is None:
        yield None
        return
    readable.close()
    database = open_database(project.database, location=display_location(project))
    try:
        alone = _is_alone(database)
        if alone is not None:
            with database.write() as connection:
                reap_expired_executors(connection, except_id="" if alone else None)
        yield database
    finally:
        close_storage(database)


def _is_alone(database: Database) -> bool | None:
    """Return whether every executor is dead because the file's lock is free; None when its holder lives."""
    if database.owner_lock is None:
        return False
    try:
        _own(database, 0.0)
    except DatabaseOwnedError:
        return None
    return True


def close_storage(database: Database) -> None:
    """Close the database and let go of its lock."""
    database.close()
    if database.owner_lock is not None:
        database.owner_lock.release()


@asynccontextmanager
async def open_app(
    project: LoadedProject, database: Database, *, role: str, report: Report
) -> AsyncGenerator[App, None]:
    """Execute runs of `project` on `database` for as long as the block lasts.

    Raises:
        DatabaseError: the database refused.
    """
    # Loaded here, because commands that only read do without the engine and the models, and start ten times faster.
    from compozy.durable.runtime import Runtime
    from compozy.knowledge.catalog import KnowledgeCatalog
    from compozy.task.basic import load_agents

    if role != SERVER:
        # Before the first run, whose time would count it; a server is ready first.
        await load_agents()
    if not gc.isenabled():
        # The command line switched it off for its start; what is loaded by now is no garbage.
        gc.freeze()
        gc.enable()
    catalog = _catalog_of(project)
    knowledge = KnowledgeCatalog(knowledge_of(project), database)
    runtime = Runtime(
        database,
        execute=_executor(project, database, catalog, knowledge, report).execute,
        max_concurrent=project.concurrency,
        role=role,
        # A command that waits for its run has no better use for the place of it.
        lays_aside=role != COMMAND,
    )
    left = await runtime.start()
    try:
        yield App(
            project=project,
            database=database,
            runtime=runtime,
            catalog=catalog,
            knowledge=knowledge,
            left_unfinished=left,
        )
    finally:
        await runtime.stop()
        await catalog.aclose()
        await knowledge.aclose()


def _executor(
    project: LoadedProject, database: Database, catalog: ModelCatalog, knowledge: KnowledgeCatalog, report: Report
) -> WorkflowExecutor:
    """Return what executes runs of every kind."""
    from compozy.knowledge.ingest import Ingestions
    from compozy.knowledge.run import KIND
    from compozy.workflow.execute import WorkflowExecutor

    return WorkflowExecutor(
        database=database,
        catalog=catalog,
        project=project.name,
        report=report,
        knowledge=knowledge,
        kinds={KIND: Ingestions(database=database, catalog=knowledge).execute},
    )


def _catalog_of(project: LoadedProject) -> ModelCatalog:
    from compozy.model.catalog import ModelCatalog

    return ModelCatalog(
        project.providers, missing_keys=project.missing_keys, environ=project.environ, base_dir=project.root
    )


def knowledge_of(project: LoadedProject) -> KnowledgeProject:
    """Return what knowledge bases need to know of a project."""
    return KnowledgeProject(
        name=project.name,
        root=project.root,
        settings=project.knowledge,
        providers=project.providers,
        environ=project.environ,
        database=project.database,
    )


def concurrency_warning(project: LoadedProject) -> str | None:
    """Return what to tell about a number of runs that nobody has measured on SQLite, None when there is nothing."""
    asked = project.concurrency
    if project.database.driver != "sqlite" or asked <= MEASURED_SQLITE_CONCURRENCY:
        return None
    return (
        f"SQLite has concurrency limitations: runtime.max_concurrent_workflows is {asked}, "
        f"and more than {MEASURED_SQLITE_CONCURRENCY} runs at once were not measured"
    )


def display_location(project: LoadedProject) -> str:
    """Return the database as a user in the current folder would write it."""
    path = project.database.path
    if project.database.driver != "sqlite" or path is None or path == MEMORY:
        return describe_location(project.database)
    relative = os.path.relpath(path, Path.cwd())
    return path if relative.startswith("..") else f"./{relative}"


def fingerprint_of(project: LoadedProject) -> str:
    """Return the name by which clients recognize the project's database."""
    settings = project.database
    values = settings.model_dump(include={"path", "host", "port", "dbname"})
    secret = settings.conn_string
    values["conn_string"] = secret.get_secret_value() if secret else None
    return database_fingerprint(settings.driver, values, str(project.root))


def _own(
    database: Database, wait_s: float, on_wait: Callable[[str], None] | None = None, url: str | None = None
) -> None:
    lock = database.owner_lock
    if lock is None:
        return
    holder: dict[str, Any] = {"pid": os.getpid(), "command": " ".join(["compozy", *sys.argv[1:3]])}
    if url is not None:
        holder["url"] = url
    lock.acquire(holder, wait_s=wait_s, on_wait=on_wait)


def migrate_storage_up(project: LoadedProject) -> tuple[str, tuple[str, ...]]:
    """Apply what the project's database lacks; return its location and the revisions.

    Raises:
        DatabaseError: it cannot be used, or another process executes runs on it.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, 0.0)
        applied = migrate_up(database)
        _prepare_journal(database, auto_migrate=True)
        return database.location, applied
    finally:
        close_storage(database)


def migrate_storage_down(
    project: LoadedProject, target: str | None, confirm: Callable[[Loss], None]
) -> tuple[str, str | None]:
    """Undo migrations down to `target`, default one; return the location and the revision, None when at the base.

    Args:
        project: names the database.
        target: a revision, or `base`.
        confirm: told what will be deleted; raises to keep it.

    Raises:
        DatabaseError: it cannot be used, or another process executes runs on it.
        UsageError: there is no such revision below.
    """
    database = open_database(project.database, location=display_location(project))
    try:
        _own(database, 0.0)
        loss = measure_down(database, target)
        if loss is None:
            return database.location, None
        confirm(loss)
        migrate_down(database, loss.target)
        return database.location, loss.target
    finally:
        close_storage(database)


def read_storage_status(project: LoadedProject) -> tuple[str, MigrationStatus]:
    """Return the location of the project's database and where it stands, changing nothing.

    Raises:
        DatabaseError: it cannot be read.
    """
    location = display_location(project)
    database = open_for_reading(project.database, location=location)
    if database is None:
        return location, NO_DATABASE
    try:
        return location, read_status(database)
    finally:
        close_storage(database)
