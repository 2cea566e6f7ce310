"""The parts of an `App`, made from the files of a project: models, knowledge, tools, and the executor of its runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from compozy.database.database import Database
from compozy.knowledge.base import KnowledgeProject
from compozy.project.loaded import LoadedProject
from compozy.project.servers import defined_servers
from compozy.tool.kind import ToolHome
from compozy.tool.mcp.servers import McpServers, ServerHome

if TYPE_CHECKING:
    from compozy.knowledge.catalog import KnowledgeCatalog
    from compozy.model.catalog import ModelCatalog
    from compozy.task.report import Report
    from compozy.workflow.execute import WorkflowExecutor


def executor_of(
    project: LoadedProject,
    database: Database,
    catalog: ModelCatalog,
    knowledge: KnowledgeCatalog,
    report: Report,
    tools: ToolHome,
    wake: Callable[[], None],
) -> WorkflowExecutor:
    """Return the executor for runs of every kind."""
    from compozy.agent.budget import strictest
    from compozy.durable.records import NOTIFICATION
    from compozy.knowledge.ingest import Ingestions
    from compozy.knowledge.run import KIND
    from compozy.project.rerun import rerun_for_batch
    from compozy.scheduler.events import EventSender
    from compozy.workflow.batch import Batches
    from compozy.workflow.execute import WorkflowExecutor
    from compozy.workflow.notify import Notifications
    from compozy.workflow.rerun import BATCH

    return WorkflowExecutor(
        database=database,
        catalog=catalog,
        project=project.name,
        report=report,
        knowledge=knowledge,
        tools=tools,
        start_by_event=EventSender(project, database, wake),
        day_budget=strictest(*(each for each in project.budget if each.per == "day")),
        kinds={
            KIND: Ingestions(database=database, catalog=knowledge).execute,
            NOTIFICATION: Notifications(receiver_of=project.receiver, private_hosts=_private_hosts(project)).execute,
            BATCH: Batches(database=database, prepare_rerun=partial(rerun_for_batch, project, database)).execute,
        },
    )


def catalog_of(project: LoadedProject) -> ModelCatalog:
    """Return the models of a project; none is loaded before it is used."""
    from compozy.model.catalog import ModelCatalog

    return ModelCatalog(
        project.providers, missing_keys=project.missing_keys, environ=project.environ, base_dir=project.root
    )


def knowledge_of(project: LoadedProject) -> KnowledgeProject:
    """Return the parts of a project that knowledge bases use."""
    return KnowledgeProject(
        name=project.name,
        root=project.root,
        settings=project.knowledge,
        providers=project.providers,
        environ=project.environ,
        database=project.database,
    )


def tool_home_of(project: LoadedProject) -> ToolHome:
    """Return where the tools of a project run, and the files that they cannot open."""
    file = project.database.file
    # The log of a SQLite file holds what the file holds.
    closed = [file.with_name(f"{file.name}{suffix}") for suffix in ("", "-wal", "-shm", ".owner")] if file else []
    return ToolHome(
        root=project.root,
        environ=project.environ,
        settings=project.runtime,
        closed=frozenset(closed),
        servers=servers_of(project),
    )


def servers_of(project: LoadedProject) -> McpServers:
    """Return the MCP servers that the files of a project define; nothing is started before it is used."""
    home = ServerHome(root=project.root, environ=project.environ, private_hosts=_private_hosts(project))
    return McpServers([server.config for server in defined_servers(project)], home)


def _private_hosts(project: LoadedProject) -> frozenset[str]:
    """Return the hosts that requests of the project may reach although they are private."""
    return frozenset(host.lower() for host in project.runtime.native_tools.private_hosts)
