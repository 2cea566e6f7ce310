"""Checks of shared resources, those that no workflow uses included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from compozy.agent.config import AgentResource
from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    child,
    key_place_at,
    place_at,
    text_at,
    to_value,
    walk_scalars,
    with_entries,
)
from compozy.config.validate import validate
from compozy.errors import Diagnostic, TemplateSyntaxError
from compozy.memory.config import MemoryResource
from compozy.project.check_models import check_models
from compozy.project.check_servers import check_server, check_servers_in
from compozy.project.check_tools import check_tool, check_tools_in
from compozy.project.check_workflows import check_schema_at
from compozy.project.link import LinkedProject
from compozy.project.outline import ProjectOutline, id_place, map_items
from compozy.project.resource_kinds import AGENT, MCP, MEMORY, SCHEMA, TASK, TOOL
from compozy.project.resources import Resource, find_duplicates
from compozy.schema import check_schema
from compozy.schema.resource import SchemaResource
from compozy.task.kind import DEFAULT_KIND
from compozy.task.registry import KINDS
from compozy.template import compile as compile_template
from compozy.template import has_actions
from compozy.tool.config import ToolResource
from compozy.tool.mcp.config import McpResource

_NO_KIND: Mapping[str, Node | None] = {"resource": None}


def check_resources(linked: LinkedProject, project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with the resources of the project and of its workflows."""
    for resources in (linked.resources, *linked.own_resources.values()):
        yield from find_duplicates(resources)
        for resource in resources:
            yield from _CHECKS[resource.kind.name](resource, project)


def _check_agent(resource: Resource, project: ProjectOutline) -> Iterator[Diagnostic]:
    node = resource.node
    yield from validate(AgentResource, node, label=_label(resource))[1]
    if project.knows_providers:
        yield from check_models(node, (), project.providers)
    yield from check_schema_at(node, ("output",))
    seen: dict[str, ScalarNode] = {}
    for _, action in map_items(node, "actions"):
        for key in ("input", "output"):
            yield from check_schema_at(action, (key,))
        name = child(action, "id")
        if isinstance(name, ScalarNode) and name.text in seen:
            message = f"duplicate action id {name.text!r}, first in line {seen[name.text].place.line}"
            yield Diagnostic(location=name.place, message=message, code="duplicate_id")
        elif isinstance(name, ScalarNode):
            seen[name.text] = name
        yield from _check_syntax(action, "prompt")
    for _, use in map_items(node, "memory"):
        yield from _check_syntax(use, "key")
    yield from _check_syntax(node, "instructions")
    yield from check_tools_in(node, (), project.root)
    yield from check_servers_in(node, ())


def _check_schema(resource: Resource, _: ProjectOutline) -> Iterator[Diagnostic]:
    node = resource.node
    if not text_at(node, "id"):
        yield from validate(SchemaResource, node, label=_label(resource))[1]
    schema = with_entries(node, {"id": None, "resource": None})
    for problem in check_schema(to_value(schema)):
        place = (key_place_at if problem.at_key else place_at)(schema, problem.path)
        yield Diagnostic(location=place, message=f"schema: {problem.message}", code="schema")


def _check_task(resource: Resource, _: ProjectOutline) -> Iterator[Diagnostic]:
    node = with_entries(resource.node, _NO_KIND)
    kind = KINDS.get(text_at(node, "type") or DEFAULT_KIND)
    if kind is None:
        message = f"type: expected one of {', '.join(KINDS)}, got {text_at(node, 'type')!r}"
        yield Diagnostic(location=id_place(node), message=message, code="value")
        return
    yield from validate(kind.model, node, label=_label(resource))[1]
    for path, scalar in walk_scalars(node):
        yield from _check_text(scalar, ".".join(map(str, path)))


def _label(resource: Resource) -> str:
    return f"{resource.kind.words} {resource.id!r}" if resource.id else f"the {resource.kind.words}"


def _check_syntax(node: MappingNode, key: str) -> Iterator[Diagnostic]:
    found = child(node, key)
    if isinstance(found, ScalarNode):
        yield from _check_text(found, key)


def _check_text(scalar: ScalarNode, name: str) -> Iterator[Diagnostic]:
    if not isinstance(scalar.value, str) or not has_actions(scalar.value):
        return
    try:
        compile_template(scalar.text, name=name, dialect="compozy", locate=scalar.locate)
    except TemplateSyntaxError as error:
        yield Diagnostic(
            location=error.location or scalar.place, message=error.message, hint=error.hint, code=error.code
        )


def _check_tool(resource: Resource, project: ProjectOutline) -> Iterator[Diagnostic]:
    yield from validate(ToolResource, resource.node, label=_label(resource))[1]
    for key in ("input", "output"):
        yield from check_schema_at(resource.node, (key,))
    yield from check_tool(resource.node, project.root, is_definition=True)


def _check_mcp(resource: Resource, _: ProjectOutline) -> Iterator[Diagnostic]:
    yield from validate(McpResource, resource.node, label=_label(resource))[1]
    yield from check_server(resource.node)


def _check_memory(resource: Resource, _: ProjectOutline) -> Iterator[Diagnostic]:
    yield from validate(MemoryResource, resource.node, label=_label(resource))[1]
    yield from _check_syntax(resource.node, "default_key_template")


_CHECKS: dict[str, Callable[[Resource, ProjectOutline], Iterator[Diagnostic]]] = {
    AGENT.name: _check_agent,
    MCP.name: _check_mcp,
    MEMORY.name: _check_memory,
    SCHEMA.name: _check_schema,
    TASK.name: _check_task,
    TOOL.name: _check_tool,
}
