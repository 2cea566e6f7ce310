"""Checks of tools: their definitions, and how agents and tasks use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from compozy.config.nodes import (
    MappingNode,
    ScalarNode,
    SequenceNode,
    YamlPath,
    child,
    key_place_at,
    node_at,
    place_at,
    text_at,
    to_value,
)
from compozy.errors import Diagnostic
from compozy.nearest import suggest
from compozy.project.check_approval import check_approval
from compozy.project.check_http_tools import check_fetch, check_http
from compozy.project.check_servers import check_servers_in
from compozy.project.link_servers import is_tool_of_server, prefixes_in
from compozy.project.outline import TaskOutline, id_place, map_items
from compozy.tool.built_in.specs import TARGETS
from compozy.tool.config import BUILT_IN_PREFIX, ToolConfig
from compozy.tool.environment import BLOCKED
from compozy.tool.kinds import typescript
from compozy.tool.kinds.built_in import BUILT_IN
from compozy.tool.registry import kind_of

_CHOICES = ("auto", "none", "required")


def check_tool(node: MappingNode, root: Path, *, is_definition: bool = False) -> Iterator[Diagnostic]:
    """Yield what is wrong with a tool besides the types of its values.

    Args:
        node: the tool, linked.
        root: the folder of the project.
        is_definition: whether it is a shared tool itself; errors of the tool that a task names are reported there.
    """
    name = text_at(node, "id")
    if name.startswith(BUILT_IN_PREFIX):
        yield from _check_built_in(node, name)
        return
    if child(node, "openapi") is not None:
        yield from _check_openapi(node, name)
        return
    config = _read(node)
    if config is None or (not is_definition and config.run is None and config.http is None):
        return
    if config.run is not None and config.http is not None:
        yield _fault(node, ("http",), f"tool {name!r} has both `run` and `http`", "write one of them")
    elif kind_of(config) is None:
        message = f"tool {name!r} says neither what to run nor what to request"
        hint = "add `run: ./file.py:function` or `http`"
        if config.run is not None:
            message = f"run: {config.run!r} names no kind of tool that this version has"
            hint = "write a file and a function, such as `./orders.py:lookup` or `./orders.ts:lookup`"
        yield Diagnostic(location=id_place(node), message=message, hint=hint, code="tool")
    elif config.run is not None:
        yield from _check_file(node, config.run, root)
        yield from _check_runtime(node, config)
    yield from check_http(node)
    yield from _check_environment(node)
    yield from check_approval(node, ("approve",))


def check_tools_in(node: MappingNode, path: YamlPath, root: Path) -> Iterator[Diagnostic]:
    """Yield what is wrong with the tools of the agent or task at `path`, and with what it says about them."""
    found = node_at(node, path)
    if not isinstance(found, MappingNode):
        return
    tools = dict(_tools_of(found))
    for tool in tools.values():
        yield from check_tool(tool, root)
    yield from check_approval(found, ("approve",))
    for key in _limited(found):
        if key != "total" and key not in tools and not key.startswith(prefixes_in(found)):
            message = f"max_tool_calls: {key!r} is not one of the tools"
            hint = suggest(key, tools) or "name a tool, or `total` for all"
            yield Diagnostic(
                location=key_place_at(found, ("max_tool_calls", key)), message=message, hint=hint, code="reference"
            )


def check_task_tools(task: TaskOutline, root: Path) -> Iterator[Diagnostic]:
    """Yield what is wrong with the tools of a task and of its agent."""
    yield from check_tools_in(task.node, (), root)
    yield from check_tools_in(task.node, ("agent",), root)
    yield from check_servers_in(task.node, ())
    yield from check_servers_in(task.node, ("agent",))
    single = child(task.node, "tool")
    if isinstance(single, MappingNode):
        yield from check_tool(single, root)
        yield from _check_alone(task)
        return
    tools = _offered_by(task)
    for key in ("tools", "mcps"):
        if not task.has_prompt and any(_has_items(node, key) for node in _nodes_of(task)):
            message = f"task {task.id!r} has {'tools' if key == 'tools' else 'MCP servers'}, but no prompt"
            hint = "add a `prompt`; to call one tool without a model write `tool: <id>`"
            yield Diagnostic(location=key_place_at(task.node, (key,)), message=message, hint=hint, code="task")
    yield from _check_names(task, tools)


def _check_alone(task: TaskOutline) -> Iterator[Diagnostic]:
    is_of_server = is_tool_of_server(task.node)
    for key in ("prompt", "action", "agent", "tools", "mcps"):
        if task.node.entry(key) is not None and not (key == "mcps" and is_of_server):
            message = f"task {task.id!r} has both `tool` and `{key}`"
            hint = "`tool` calls a tool without a model; for a model that calls tools write `tools`"
            yield Diagnostic(location=key_place_at(task.node, ("tool",)), message=message, hint=hint, code="task")


def _check_names(task: TaskOutline, tools: Mapping[str, MappingNode]) -> Iterator[Diagnostic]:
    known = [*_CHOICES, *tools]
    prefixes = tuple(prefix for node in _nodes_of(task) for prefix in prefixes_in(node))
    for where in (task.node, child(task.node, "agent")):
        choice = child(where, "tool_choice") if isinstance(where, MappingNode) else None
        if isinstance(choice, ScalarNode) and choice.text not in known and not choice.text.startswith(prefixes):
            message = f"tool_choice: {choice.text!r} is not one of the tools"
            hint = suggest(choice.text, known) or f"write one of {', '.join(known)}"
            yield Diagnostic(location=choice.place, message=message, hint=hint, code="reference")
    for tool in tools.values():
        check = child(tool, "check")
        if isinstance(check, ScalarNode) and check.text not in tools:
            message = f"check: {check.text!r} is not one of the tools of task {task.id!r}"
            hint = suggest(check.text, tools) or "add it to `tools`"
            yield Diagnostic(location=check.place, message=message, hint=hint, code="reference")


def _nodes_of(task: TaskOutline) -> list[MappingNode]:
    """Return the agent of a task, if it has one, and the task."""
    return [node for node in (child(task.node, "agent"), task.node) if isinstance(node, MappingNode)]


def _offered_by(task: TaskOutline) -> dict[str, MappingNode]:
    return {name: tool for node in _nodes_of(task) for name, tool in _tools_of(node)}


def _tools_of(node: MappingNode) -> Iterator[tuple[str, MappingNode]]:
    for _, tool in map_items(node, "tools"):
        yield text_at(tool, "id"), tool


def _limited(node: MappingNode) -> list[str]:
    limits = child(node, "max_tool_calls")
    return [entry.key for entry in limits.entries] if isinstance(limits, MappingNode) else []


def _read(node: MappingNode) -> ToolConfig | None:
    """Return the configuration, None if its values have errors, which the validation reports."""
    try:
        return ToolConfig.model_validate({k: v for k, v in to_value(node).items() if k != "resource"})
    except ValidationError:
        return None


def _check_built_in(node: MappingNode, name: str) -> Iterator[Diagnostic]:
    if name not in BUILT_IN:
        hint = suggest(name, BUILT_IN) or f"the built-in tools are {', '.join(BUILT_IN)}"
        yield Diagnostic(
            location=id_place(node), message=f"unknown built-in tool {name!r}", hint=hint, code="reference"
        )
    if name == "cp__fetch":
        yield from check_fetch(node)
    targets = TARGETS.get(name, "")
    if targets and not _has_items(node, targets):
        example = (
            "add `sub_agents: [<agent id>]` next to `tools`"
            if targets == "agents"
            else f"add `{targets}: [<{targets[:-1]} id>]`"
        )
        message = f"tool {name!r} names no {targets} that it can call"
        yield Diagnostic(location=id_place(node), message=message, hint=example, code="tool")
    for key in ("agents", "tasks", "workflows"):
        if key != targets and child(node, key) is not None:
            yield _fault(node, (key,), f"{key}: tool {name!r} calls no {key}", "remove it")
    for key in ("run", "http", "execute"):
        if node.entry(key) is not None:
            message = f"{key}: the names of built-in tools begin with {BUILT_IN_PREFIX!r}, other names do not"
            yield _fault(node, ("id",), message, "choose another `id`")


def _has_items(node: MappingNode, key: str) -> bool:
    found = child(node, key)
    return isinstance(found, SequenceNode) and bool(found.items)


def _check_file(node: MappingNode, run: str, root: Path) -> Iterator[Diagnostic]:
    file, _, function = run.rpartition(":")
    path = root / file
    if not function.isidentifier():
        yield _fault(node, ("run",), f"run: {function!r} is not the name of a function", "write `./file.py:function`")
    elif file.startswith("..") or Path(file).is_absolute():
        yield _fault(node, ("run",), f"run: {file} is outside of the project", "copy it into the project")
    elif not path.is_file():
        hint = "the path is relative to the file in which the tool is written"
        yield _fault(node, ("run",), f"run: the file {file} does not exist", hint)


def _check_runtime(node: MappingNode, config: ToolConfig) -> Iterator[Diagnostic]:
    file = (config.run or "").rpartition(":")[0]
    is_typescript = kind_of(config) is typescript.KIND
    if is_typescript is not typescript.is_typescript(file):
        yield _fault(node, ("runtime",), f"runtime: {config.runtime!r} does not execute {file}", "leave it out")
    elif is_typescript and config.input is None:
        message = f"tool {config.id!r} does not describe its arguments"
        hint = "write their JSON Schema as `input`; types of TypeScript are not read"
        yield Diagnostic(location=id_place(node), message=message, hint=hint, code="tool")
    elif not is_typescript and config.permissions is not None:
        yield _fault(node, ("permissions",), "permissions: only TypeScript tools have them", "remove it")


def _check_openapi(node: MappingNode, name: str) -> Iterator[Diagnostic]:
    """Yield what is wrong with a tool that stands for operations; the file itself is checked when it is linked."""
    for key in ("run", "http", "input"):
        if node.entry(key) is not None:
            yield _fault(node, (key,), f"tool {name!r} has both `openapi` and `{key}`", f"remove `{key}`")
    yield from _check_environment(node)


def _check_environment(node: MappingNode) -> Iterator[Diagnostic]:
    env = child(node, "env")
    for entry in env.entries if isinstance(env, MappingNode) else ():
        if entry.key in BLOCKED:
            message = f"env: {entry.key} makes programs load code, and is not passed to tools"
            yield Diagnostic(location=entry.key_place, message=message, hint="remove it", code="tool")


def _fault(node: MappingNode, path: YamlPath, message: str, hint: str) -> Diagnostic:
    return Diagnostic(location=place_at(node, path), message=message, hint=hint, code="tool")
