"""Linking: IDs of shared resources in workflows are replaced by what they name.

It works on nodes, before anything is validated: each value keeps the location where it is written, so that checks and
errors point into the file of the agent, and a run keeps the resolved workflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from compozy.config.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    key_place_at,
    node_at,
    place_at,
    text_at,
    with_entries,
)
from compozy.config.words import show_value
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.project.edition2025.memory import modernize_memory
from compozy.project.edition2025.notes import Notes
from compozy.project.edition2025.tools import modernize_tool
from compozy.project.edition2025.workflow import modernize_agent, modernize_task, modernize_workflow
from compozy.project.link_calls import CallLinker
from compozy.project.link_memories import MemoryLinker
from compozy.project.link_models import ModelLinker, split_model_keys
from compozy.project.link_openapi import OpenApiLinker
from compozy.project.link_schemas import SchemaLinker
from compozy.project.link_servers import ServerLinker
from compozy.project.link_tools import ToolLinker
from compozy.project.link_workflows import WorkflowLinker
from compozy.project.outline import map_items
from compozy.project.resource_kinds import (
    AGENT,
    MCP,
    MEMORY,
    REFERENCE,
    RESOURCE_KINDS,
    SCHEMA,
    TASK,
    TOOL,
    WORKFLOW,
    ResourceKind,
)
from compozy.project.resources import (
    WORKFLOW_LISTS,
    Resource,
    ResourceScope,
    find_odd_items,
    kind_of_file,
    listed_resources,
    unknown_kind,
)
from compozy.project.sources import ProjectSources, SourceFile
from compozy.task.kind import DEFAULT_KIND
from compozy.task.registry import KINDS
from compozy.template import has_actions

_MAX_REFERENCES = 20
# Keys of a shared agent that say nothing about how it answers.
_OF_RESOURCES: dict[str, Node | None] = {"resource": None, "name": None, "description": None, "version": None}


@dataclass(frozen=True, kw_only=True, eq=False)
class LinkedProject:
    """A project in which nothing is named by ID any more.

    Attributes:
        read: the sources; `workflows` holds linked workflows only.
        resources: of the project, linked; those of compozy.yaml first.
        own_resources: of workflows, linked, by the file of the workflow.
        faults: what is wrong with kinds of files and with references.
        warnings: keys of the 2025 edition that have no effect.
    """

    read: ProjectSources
    resources: tuple[Resource, ...]
    own_resources: Mapping[str, tuple[Resource, ...]]
    faults: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]


def link_project(read: ProjectSources) -> LinkedProject:
    """Return the project with linked workflows and resources."""
    faults: list[Diagnostic] = []
    notes = Notes()
    files, resources = _modern_files(read, notes, faults)
    scope = ResourceScope().with_resources(tuple(resources))
    models = ModelLinker.of(read)
    entrypoint = node_at(read.node, ("runtime", "entrypoint"))
    new_linker = partial(
        Linker,
        root=read.root,
        cwd=read.cwd,
        models=models,
        faults=faults,
        entrypoint=entrypoint if isinstance(entrypoint, ScalarNode) else None,
    )

    def linker_of(workflow: MappingNode) -> Linker:
        listed = tuple(listed_resources(workflow, is_workflow=True))
        servers = tuple(resource.node for resource in listed if resource.kind is MCP)
        return new_linker(scope=scope.with_resources(listed), own_servers=servers, workflows=called)

    def link_workflow(node: MappingNode) -> tuple[MappingNode, frozenset[str]]:
        linker = linker_of(node)
        return linker.workflow(node), frozenset({node.place.file, *linker.files})

    nodes = {text_at(file.node, "id"): file.node for file in files if file.node is not None}
    called = WorkflowLinker(nodes=nodes, link=link_workflow)
    workflows: list[SourceFile] = []
    own: dict[str, tuple[Resource, ...]] = {}
    for file in files:
        if file.node is None:
            workflows.append(file)
            continue
        linker = linker_of(file.node)
        node = linker.workflow(file.node)
        workflows.append(replace(file, node=node, resource_files=frozenset(linker.files - {file.shown})))
        listed = listed_resources(file.node, is_workflow=True)
        own[file.shown] = tuple(linker.resource(resource) for resource in listed)
        faults += find_odd_items(file.node)
    linker = new_linker(scope=scope, workflows=called)
    linked = tuple(linker.resource(resource) for resource in resources)
    return LinkedProject(
        read=replace(read, node=models.project(read.node), workflows=tuple(workflows)),
        resources=linked,
        own_resources=own,
        faults=tuple(dict.fromkeys(faults)),
        warnings=(*read.warnings, *notes.items),
    )


def _modern_files(
    read: ProjectSources, notes: Notes, faults: list[Diagnostic]
) -> tuple[list[SourceFile], list[Resource]]:
    """Return the workflow files and the shared resources, in today's spelling."""
    resources = [_modern(resource, notes) for resource in listed_resources(read.node, is_workflow=False)]
    files: list[SourceFile] = []
    for file in read.workflows:
        kind = kind_of_file(file.path, file.node) if file.node is not None else WORKFLOW
        if kind == WORKFLOW:
            files.append(replace(file, node=modernize_workflow(file.node, notes)) if file.node is not None else file)
        elif kind in RESOURCE_KINDS and file.node is not None:
            node = file.node
            found = Resource(kind=RESOURCE_KINDS[kind], id=text_at(node, "id"), node=node, file=file.path)
            resources.append(_modern(found, notes))
        elif file.node is not None:
            faults.append(unknown_kind(file.node, kind))
    return files, resources


def _modern(resource: Resource, notes: Notes) -> Resource:
    """Return a resource in today's spelling."""
    if resource.kind is AGENT:
        return replace(resource, node=modernize_agent(resource.node, notes))
    if resource.kind is TOOL:
        return replace(resource, node=modernize_tool(resource.node))
    if resource.kind is MEMORY:
        return replace(resource, node=modernize_memory(resource.node, notes))
    return replace(resource, node=modernize_task(resource.node, notes)) if resource.kind is TASK else resource


@dataclass(kw_only=True)
class Linker:
    """Links what is written in one scope.

    Attributes:
        scope: the resources that can be named.
        root: the project's folder.
        cwd: folder from which locations name files.
        models: links what names a model.
        workflows: links workflows that are called.
        entrypoint: `runtime.entrypoint` of the project.
        own_servers: MCP servers of the workflow, for all its agents.
        faults: receives what is wrong with references.
        files: the files of the resources that were named.
    """

    scope: ResourceScope
    root: Path
    cwd: Path
    models: ModelLinker
    workflows: WorkflowLinker
    entrypoint: ScalarNode | None = None
    own_servers: tuple[MappingNode, ...] = ()
    faults: list[Diagnostic] = field(default_factory=list[Diagnostic])
    files: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        """Share what schemas add."""
        self._schemas = SchemaLinker(
            scope=self.scope, root=self.root, cwd=self.cwd, faults=self.faults, files=self.files
        )
        self._calls = CallLinker(
            agent=self._sub_agent, task=self._shared_task, workflow=self._workflow, fault=self._fault
        )
        self._tools = ToolLinker(
            find=partial(self._find, TOOL),
            schemas=self._schemas,
            root=self.root,
            cwd=self.cwd,
            knows=lambda name: self.scope.find(TOOL, name) is not None,
            shared=lambda: [found.node for found in self.scope.by_kind.get(TOOL.name, {}).values()],
            entrypoint=self.entrypoint,
            openapi=OpenApiLinker(root=self.root, cwd=self.cwd, report=self.faults.append),
            fault=self._fault,
        )
        self._memories = MemoryLinker(find=partial(self._find, MEMORY), fault=self._fault)
        self._servers = ServerLinker(find=partial(self._find, MCP), own=self.own_servers, scope=self.scope)

    def workflow(self, node: MappingNode) -> MappingNode:
        """Return a workflow without lists of resources, in which nothing is named by ID any more."""
        # A value that is not a list stays, and is reported by the validation.
        lists = [key for key in WORKFLOW_LISTS if isinstance(child(node, key), SequenceNode)]
        node = self._schemas.link_in(with_entries(node, dict.fromkeys(lists)), ("input",), ("config", "input"))
        tasks = child(node, "tasks")
        return with_entries(node, {"tasks": self._tasks(tasks)}) if tasks is not None else node

    def resource(self, resource: Resource) -> Resource:
        """Return a resource in which nothing is named by ID."""
        if resource.kind is AGENT:
            return replace(resource, node=self.agent(resource.node))
        if resource.kind is TASK:
            return replace(resource, node=self.task(resource.node))
        if resource.kind is TOOL:
            return replace(resource, node=self._tools.definition(resource.node))
        linked = self._schemas.link(resource.node) if resource.kind is SCHEMA else resource.node
        return replace(resource, node=linked) if isinstance(linked, MappingNode) else resource

    def agent(self, node: MappingNode) -> MappingNode:
        """Return an agent whose provider and schemas are linked."""
        node = self._tools.link_in(self._schemas.link_in(self.models.agent(node), ("output",)))
        node = self._memories.link_in(self._calls.link_in(self._servers.link_in(node)))
        actions = child(node, "actions")
        if not isinstance(actions, SequenceNode):
            return node
        items = tuple(
            self._schemas.link_in(item, ("input",), ("output",)) if isinstance(item, MappingNode) else item
            for item in actions.items
        )
        return with_entries(node, {"actions": SequenceNode(items=items, place=actions.place)})

    def task(self, node: MappingNode) -> MappingNode:
        """Return a task in which nothing is named by ID, with the tasks inside it."""
        node = self._expand(node)
        kind = KINDS.get(text_at(node, "type") or DEFAULT_KIND)
        schemas = ("input", "output", *(kind.schemas if kind is not None else ()))
        node = self._schemas.link_in(node, *((key,) for key in schemas))
        node = self._servers.link_in(self._servers.with_tool(self._link_agent(node)))
        node = self._memories.link_in(self._calls.link_in(self._tools.link_in(node)))
        if kind is not None and kind.takes_prompt:
            node = self._servers.with_own(node)
        if kind is None:
            return node
        if kind.calls and (written := child(node, kind.calls)) is not None:
            node = with_entries(node, {kind.calls: self._workflow(written) or self._nothing(written)})
        for key in (kind.inside.key if kind.inside is not None else "", kind.routes):
            below = child(node, key) if key else None
            if below is not None:
                node = with_entries(node, {key: self._routes(below) if key == kind.routes else self._tasks(below)})
        return node

    def _tasks(self, node: Node) -> Node:
        if isinstance(node, SequenceNode):
            return SequenceNode(items=tuple(self._tasks(item) for item in node.items), place=node.place)
        return self.task(node) if isinstance(node, MappingNode) else node

    def _routes(self, node: Node) -> Node:
        if not isinstance(node, MappingNode):
            return node
        return with_entries(node, {entry.key: self._tasks(entry.value) for entry in node.entries})

    def _expand(self, node: MappingNode) -> MappingNode:
        """Return the shared task that a `type: reference` names, with what the reference writes over it."""
        for _ in range(_MAX_REFERENCES):
            if text_at(node, "type") != REFERENCE:
                return node
            target = child(node, "target")
            if not isinstance(target, ScalarNode):
                self._fault(place_at(node, ("type",)), "this reference names no task", "add `target: <task id>`")
                return with_entries(node, {"type": None, "target": None})
            found = self._find(TASK, target)
            written = {entry.key: entry.value for entry in node.entries if entry.key not in {"type", "target"}}
            if found is None:
                return with_entries(node, {"type": None, "target": None})
            node = with_entries(found, {"resource": None, **written})
        self._fault(place_at(node, ("target",)), "these tasks refer to one another in a circle", "")
        return with_entries(node, {"type": None, "target": None})

    def _link_agent(self, task: MappingNode) -> MappingNode:
        written = child(task, "agent")
        rest, own = split_model_keys(task)
        if written is None and own:
            written = MappingNode(entries=(), place=next(iter(own.values())).place)
        agent = self._agent_of(written) if written is not None else None
        if not isinstance(agent, MappingNode):
            return task
        # The task's own model settings take precedence.
        agent = self.agent(with_entries(agent, {**_OF_RESOURCES, **own}))
        task = rest
        action = self._action_of(task, agent)
        changes: dict[str, Node | None] = {"agent": agent}
        if text_at(task, "action") and has_actions(text_at(task, "action")):
            # Chosen when the task runs.
            return with_entries(task, changes)
        for key in ("prompt", "output", "input"):
            value = child(action, key) if action is not None else None
            if value is None and key == "output":
                value = child(agent, "output")
            if value is not None and child(task, key) is None:
                changes[key] = value
            elif value is not None and key == "prompt":
                hint = "write the one or the other"
                place = key_place_at(task, ("prompt",))
                self._fault(place, f"task {text_at(task, 'id')!r} has both `prompt` and `action`", hint)
        changes["agent"] = with_entries(agent, {"actions": None, "output": None})
        return with_entries(task, changes)

    def _agent_of(self, node: Node) -> Node | None:
        named = child(node, "id") if isinstance(node, MappingNode) and len(node.entries) == 1 else node
        if not isinstance(named, ScalarNode) or not isinstance(named.value, str):
            return node
        found = self._find(AGENT, named)
        return found if found is not None else MappingNode(entries=(), place=named.place)

    def _sub_agent(self, node: Node) -> MappingNode | None:
        """Return the agent that an item of `sub_agents` names."""
        found = self._find_named(AGENT, node)
        return self.agent(found) if found is not None else None

    def _shared_task(self, node: Node) -> MappingNode | None:
        """Return the task that an item of `tasks` of a tool names."""
        found = self._find_named(TASK, node)
        return self.task(found) if found is not None else None

    def _workflow(self, node: Node) -> MappingNode | None:
        """Return the workflow that is called, without what only a reader of its file needs."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            self._fault(node.place, f"expected the ID of a workflow, got {show_value(node)}", "")
            return None
        found = self.workflows.find(node, self._fault)
        if found is None:
            return None
        self.files |= found[1]
        return with_entries(found[0], _OF_RESOURCES | {"description": child(found[0], "description"), "triggers": None})

    def _nothing(self, node: Node) -> MappingNode:
        """Return what is left of a reference that was reported."""
        nothing = MappingNode(entries=(), place=node.place)
        return with_entries(nothing, {"id": node}) if isinstance(node, ScalarNode) else nothing

    def _find_named(self, kind: ResourceKind, node: Node) -> MappingNode | None:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return self._find(kind, node)
        message = f"expected the ID of a shared {kind.name}, got {show_value(node)}"
        self._fault(node.place, message, f"write the {kind.name} as a file in `{kind.folder}/`")
        return None

    def _action_of(self, task: MappingNode, agent: MappingNode) -> MappingNode | None:
        action = child(task, "action")
        if not isinstance(action, ScalarNode) or has_actions(action.text):
            return None
        actions = {text_at(item, "id"): item for _, item in map_items(agent, "actions")}
        found = actions.get(action.text)
        # Without entries the agent is one that was not found.
        if found is None and agent.entries:
            name = text_at(agent, "id")
            known = f"its actions are {', '.join(actions)}" if actions else "it has no actions; write a `prompt`"
            message = f"agent {name!r} has no action {action.text!r}" if name else f"no action {action.text!r}"
            self._fault(action.place, message, suggest(action.text, actions) or known)
        return found

    def _find(self, kind: ResourceKind, name: ScalarNode) -> MappingNode | None:
        found = self.scope.find(kind, name.text)
        if found is None:
            hint = suggest(name.text, self.scope.ids(kind))
            where = f"define it in `{kind.folder}/*.yaml` or under `{kind.plural}`"
            self._fault(name.place, f"unknown {kind.words} {name.text!r}", hint or where)
            return None
        self.files.add(found.node.place.file)
        return found.node

    def _fault(self, place: SourceLocation, message: str, hint: str) -> None:
        self.faults.append(Diagnostic(location=place, message=message, hint=hint, code="reference"))
