"""Warnings about a valid project on this machine: missing packages, unequal dimensions."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TypeGuard

from compozy.agent.settings import ToolRules
from compozy.config.nodes import YamlPath
from compozy.installation import extra_hint
from compozy.knowledge.base import KnowledgeProject
from compozy.knowledge.embed.registry import EMBEDDERS
from compozy.knowledge.store.registry import STORES
from compozy.model.config import ProviderConfig
from compozy.model.registry import PROVIDERS
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.project.servers import defined_servers
from compozy.task.kinds.basic import BasicTask
from compozy.task.options import TaskBase
from compozy.task.walk import walk_tasks
from compozy.tool.config import ToolConfig, ToolUse
from compozy.tool.kinds import typescript
from compozy.tool.mcp.config import McpConfig
from compozy.tool.registry import effect_of, kind_of


def warnings_of(knowledge: KnowledgeProject) -> list[str]:
    """Return warnings about a project, each with its way out."""
    return [*_missing_for_models(knowledge.providers), *_missing_for_knowledge(knowledge), *_dimensions(knowledge)]


def repeat_warnings(workflows: Iterable[LoadedWorkflow]) -> Iterator[str]:
    """Yield a warning for each task that starts again after a failure although a tool of it has `effect: once`."""
    for workflow in workflows:
        for planned in walk_tasks(workflow.config.tasks):
            key = _repeats(planned.task)
            rules = _rules_of(planned.task)
            once = [tool.id for tool in rules.tools if effect_of(tool) == "once"]
            once += [f"tools of MCP server {server.id}" for server in rules.servers if _may_be_once(server)]
            if key and once:
                yield (
                    f"{workflow.locate((*planned.yaml_path, *key))}: if task {planned.task.id!r} fails, it starts "
                    f"again with new idempotency keys, and may call {', '.join(once)} again; failed requests are "
                    "retried without it"
                )


def runtime_warnings(project: LoadedProject) -> Iterator[str]:
    """Yield a warning for each TypeScript tool that this machine cannot execute, or not with its permissions."""
    for tool in {tool.id: tool for workflow in project.workflows.values() for tool in _tools_of(workflow)}.values():
        if kind_of(tool) is not typescript.KIND:
            continue
        runtime = typescript.runtime_of(tool, project.runtime)
        is_missing = shutil.which(runtime, path=project.environ.get("PATH")) is None
        if runtime == "deno":
            if is_missing and typescript.packaged_deno() is None:
                yield f"tool {tool.id!r} needs Deno, which is not installed; {extra_hint(typescript.EXTRA)}"
            continue
        if is_missing:
            yield f"tool {tool.id!r} needs {runtime}, which is not in PATH; install it, or write `runtime: deno`"
        yield (
            f"tool {tool.id!r} is executed by {runtime}, which does not enforce permissions: it can read and write the "
            "files of its user and use the network; write `runtime: deno` to enforce them"
        )


def _tools_of(workflow: LoadedWorkflow) -> Iterator[ToolConfig]:
    """Yield the tools of the tasks of a workflow, and of their agents."""
    for planned in walk_tasks(workflow.config.tasks):
        yield from _rules_of(planned.task).tools
        if isinstance(planned.task, BasicTask) and planned.task.tool is not None:
            yield planned.task.tool


def _rules_of(task: TaskBase) -> ToolRules:
    return ToolRules.of(*(use for use in (task, getattr(task, "agent", None)) if _uses_tools(use)))


def server_warnings(project: LoadedProject) -> Iterator[str]:
    """Yield warnings about the MCP servers of a project: a missing package, and transports that are out of use."""
    servers = defined_servers(project)
    if servers and (missing := _missing(("mcp",))):
        yield f"MCP servers need {missing}, which is not installed; {extra_hint('mcp')}"
    for server in servers:
        if server.config.transport == "sse":
            yield f"{server.location}: the transport `sse` is deprecated; use `streamable-http` if the server has it"


def _may_be_once(server: McpConfig) -> bool:
    return server.tools.effect.get("*", "once") == "once"


def _repeats(task: TaskBase) -> YamlPath:
    """Return the key that lets a task start again, () if there is none."""
    if task.retries is not None:
        return ("retries",) if task.retries else ()
    return ("config", "retry_policy") if task.config is not None and task.config.retry_policy is not None else ()


def _uses_tools(value: object) -> TypeGuard[ToolUse]:
    return isinstance(value, ToolUse)


def _missing_for_models(providers: tuple[ProviderConfig, ...]) -> Iterator[str]:
    for provider in providers:
        kind = PROVIDERS[provider.type]
        if missing := _missing(kind.packages):
            yield f"provider {provider.id!r} needs {missing}, which is not installed; {extra_hint(kind.extra)}"


def _missing_for_knowledge(knowledge: KnowledgeProject) -> Iterator[str]:
    embedders: set[str] = set()
    stores: set[str] = set()
    for base in knowledge.bases().values():
        store, embedder = STORES[base.store.provider], EMBEDDERS[base.embedder.kind]
        missing = _missing(store.packages)
        if missing and base.store.id not in stores:
            yield f"vector store {base.store.id!r} needs {missing}, which is not installed; {extra_hint(store.extra)}"
        stores.add(base.store.id)
        missing = _missing(embedder.packages)
        if missing and base.embedder.name not in embedders:
            name = base.embedder.name
            yield f"embedder {name} needs {missing}, which is not installed; {extra_hint(embedder.extra)}"
        embedders.add(base.embedder.name)


def _dimensions(knowledge: KnowledgeProject) -> Iterator[str]:
    """Report defaults only: an embedder that the project names is an error, which the checks of the file report."""
    if knowledge.settings.embedders:
        return
    for base in knowledge.bases().values():
        named, made = base.store.dimension, base.embedder.dimension
        if named is not None and made is not None and named != made:
            default = base.embedder.name
            yield (
                f"vector store {base.store.id!r} has `dimension: {named}`, but the default embedder {default} "
                f"makes vectors of {made}; leave `dimension` out, or name an embedder in `knowledge.embedders`"
            )


def _missing(packages: tuple[str, ...]) -> str:
    return ", ".join(name for name in packages if not _is_installed(name))


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package above it
        return False
    except ValueError:  # it is loaded, and its origin is unknown
        return True
