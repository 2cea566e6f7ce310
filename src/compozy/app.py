"""The composition root: from a checked project to a database, a runtime and models that work together."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compozy.config.fingerprint import database_fingerprint
from compozy.database.database import Database
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
    if not project.database.has_one_writer or asked <= MEASURED_SQLITE_CONCURRENCY:
        return None
    return (
        f"SQLite has concurrency limitations: runtime.max_concurrent_workflows is {asked}, "
        f"and more than {MEASURED_SQLITE_CONCURRENCY} runs at once were not measured"
    )


def fingerprint_of(project: LoadedProject) -> str:
    """Return the name by which clients recognize the project's database."""
    settings = project.database
    values = settings.model_dump(include={"path", "host", "port", "dbname"})
    secret = settings.conn_string
    values["conn_string"] = secret.get_secret_value() if secret else None
    return database_fingerprint(settings.driver, values, str(project.root))
