"""The composition root: executes the runs of a loaded project on an open database."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compozy.config.retention import RetentionSettings
from compozy.database.database import Database
from compozy.parts import catalog_of, executor_of, knowledge_of, tool_home_of
from compozy.project.loaded import LoadedProject
from compozy.telemetry.export import exporting_traces
from compozy.tool.kind import ToolHome

if TYPE_CHECKING:
    from compozy.durable.runtime import Execute, Runtime
    from compozy.knowledge.catalog import KnowledgeCatalog
    from compozy.model.catalog import ModelCatalog
    from compozy.task.report import Report

# The role of a process that serves HTTP requests.
SERVER = "server"
# The role of a process that executes runs which others accepted.
WORKER = "worker"
# The role of a process that executes one workflow and prints its result.
COMMAND = "run"


@dataclass(frozen=True, kw_only=True)
class App:
    """Everything needed to execute runs of one project.

    `database` is for those who ask, not for the runs, which use `run_database`.
    """

    project: LoadedProject
    database: Database
    run_database: Database
    runtime: Runtime
    catalog: ModelCatalog
    knowledge: KnowledgeCatalog
    left_unfinished: int

    async def load_models(self) -> None:
        """Load the model libraries of the project in a thread, so that the first run does not wait for them."""
        from compozy.task.basic import load_agents

        if self.project.providers:
            await load_agents(self.catalog)


@asynccontextmanager
async def open_app(
    project: LoadedProject,
    database: Database,
    *,
    role: str,
    report: Report,
    around: Callable[[Execute], Execute] | None = None,
) -> AsyncGenerator[App, None]:
    """Execute runs of `project` on `database` until the block ends.

    Args:
        project: the project.
        database: migrated, and owned by this process where only one may execute.
        role: of this process.
        report: gets the start and the end of tasks.
        around: returns the function that executes a run, which calls the given one; tests of workflows set it.

    Raises:
        DatabaseError: the database could not be used.
    """
    # Imported here: commands that only read do not need the engine or the models, and start ten times faster without.
    from compozy.knowledge.catalog import KnowledgeCatalog
    from compozy.task.basic import load_agents

    if role != SERVER:
        # Before the first run, so that its time does not include the imports. A server is ready first.
        await load_agents()
    _enable_garbage_collection()
    catalog = catalog_of(project)
    knowledge = KnowledgeCatalog(knowledge_of(project), database)
    tools = tool_home_of(project)
    with exporting_traces(project.name), _for_requests(database, role) as requests:
        execute = executor_of(project, database, catalog, knowledge, report, tools, lambda: runtime.wake()).execute  # noqa: PLW0108 - it exists later
        runtime = _new_runtime(project, database, requests, around(execute) if around else execute, role)
        left = await runtime.start()
        try:
            async with _announcing(database), _looping(project, database, requests, runtime, role):
                yield App(
                    project=project,
                    database=requests,
                    run_database=database,
                    runtime=runtime,
                    catalog=catalog,
                    knowledge=knowledge,
                    left_unfinished=left,
                )
        finally:
            await runtime.stop()
            await _close(catalog, knowledge, tools)


async def _close(catalog: ModelCatalog, knowledge: KnowledgeCatalog, tools: ToolHome) -> None:
    await catalog.aclose()
    await knowledge.aclose()
    if tools.servers is not None:
        await tools.servers.aclose()


def _enable_garbage_collection() -> None:
    """Enable what the command line disabled for its start. Loaded modules stay in use, and are frozen."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _for_requests(database: Database, role: str) -> AbstractContextManager[Database]:
    return database.for_requests() if role == SERVER else nullcontext(database)


def _new_runtime(
    project: LoadedProject, database: Database, requests: Database, execute: Execute, role: str
) -> Runtime:
    from compozy.durable.runtime import Runtime

    return Runtime(
        database,
        execute=execute,
        max_concurrent=project.concurrency,
        role=role,
        requests=requests,
        # A command waits for its run and has nothing else to execute, so suspending the run would gain nothing.
        lays_aside=role != COMMAND,
        # A command executes its own run, whatever its queue.
        queues=project.runtime.queues if role in {SERVER, WORKER} else (),
    )


@asynccontextmanager
async def _announcing(database: Database) -> AsyncGenerator[None, None]:
    """Report the runs that this process changes to others, where they do not notice it by themselves."""
    announcer = database.driver.open_announcer(database.settings)
    try:
        yield
    finally:
        if announcer is not None:
            await asyncio.to_thread(announcer.close)


@asynccontextmanager
async def _looping(
    project: LoadedProject, database: Database, requests: Database, runtime: Runtime, role: str
) -> AsyncGenerator[None, None]:
    """Start the runs of schedules, and delete expired conversations; in servers also old runs."""
    if role not in {SERVER, WORKER}:
        yield
        return
    from compozy.memory.upkeep import forgetting
    from compozy.scheduler.loop import scheduling
    from compozy.scheduler.retention import retaining

    is_server = role == SERVER
    retention = project.retention if is_server else RetentionSettings()
    async with (
        scheduling(project, database, runtime.wake, is_server=is_server),
        forgetting(database),
        retaining(retention, requests),
    ):
        yield
