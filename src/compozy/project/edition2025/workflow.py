"""Workflows, tasks and agents in the spelling of the 2025 edition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from compozy.config.nodes import MappingNode, Node, ScalarNode, child, text_at, text_node, with_entries
from compozy.project.edition2025.notes import Notes
from compozy.project.edition2025.project import TEMPORAL_TIMEOUTS, flattened, renamed_params, with_items, with_params
from compozy.project.edition2025.tools import modernize_tool

# `agent(local::agents.#(id=="x"))`, `global::models.#(provider="openai")`
_SELECTOR = re.compile(
    r"""(?:(\w+)\()?\$?(?:local|global|resource)::(\w+)\.?(?:#\(|::#\()(\w+)\s*==?\s*['"]([^'"]+)['"]\)\)?"""
)
_JSON_MODE = {"json_mode": "give the answer a JSON Schema with `output`"}
_KEY_OF_AGENT = {"api_key": "the API key is that of the provider in `llm.providers`"}
_WORKFLOW = {"author": "`author` belongs to compozy.yaml"}
_TASK = {"name": "use `description`"}
_DEDUPE = {"ttl": "a delivery is recognized for as long as its run exists"}
_NO_DEFAULT_ROUTE = {"default_route": "a value without a route fails the router; add a route for it"}
_OF_BASIC_TASKS = {"action": "only a basic task asks an agent"}
_OF_AGENTS = {"action": "the task has a `prompt` and no agent"}
_OF_CONTAINERS = {"strategy": "its tasks run one after another"}


def modernize_workflow(node: MappingNode, notes: Notes) -> MappingNode:
    """Return a workflow in today's spelling."""
    node = _without_selectors(notes.drop(node, _WORKFLOW))
    node = notes.drop_below(node, "config", TEMPORAL_TIMEOUTS)
    config = child(node, "config")
    env = child(config, "env") if isinstance(config, MappingNode) else None
    if isinstance(config, MappingNode) and env is not None and child(node, "env") is None:
        node = with_entries(node, {"env": env, "config": with_entries(config, {"env": None})})
    node = _with_bindings(_unwrapped(node, notes, is_workflow=True))
    node = with_items(node, "agents", lambda agent: modernize_agent(agent, notes))
    node = with_items(node, "tools", modernize_tool)
    node = with_items(node, "triggers", lambda trigger: _without_ttl(trigger, notes))
    return with_items(node, "tasks", lambda task: modernize_task(task, notes))


def _without_ttl(trigger: MappingNode, notes: Notes) -> MappingNode:
    webhook = child(trigger, "webhook")
    if not isinstance(webhook, MappingNode):
        return trigger
    return with_entries(trigger, {"webhook": notes.drop_below(webhook, "dedupe", _DEDUPE)})


def modernize_resources(root: MappingNode, notes: Notes) -> MappingNode:
    """Return compozy.yaml with its lists of agents, tools and tasks in today's spelling."""
    root = with_items(root, "agents", lambda agent: modernize_agent(agent, notes))
    root = with_items(root, "tools", modernize_tool)
    return with_items(root, "tasks", lambda task: modernize_task(task, notes))


def modernize_agent(node: MappingNode, notes: Notes) -> MappingNode:
    """Return an agent in today's spelling: which model answers is said by `llm`, `model` and settings."""
    node = _with_bindings(notes.drop(_without_selectors(node), _JSON_MODE))
    node = with_items(node, "actions", lambda action: notes.drop(action, _JSON_MODE))
    node = with_items(node, "tools", modernize_tool)
    for key in ("config", "model"):
        node = _with_model(notes.drop_below(node, key, _KEY_OF_AGENT), key)
    return with_params(node)


def modernize_task(node: MappingNode, notes: Notes) -> MappingNode:
    """Return a task in today's spelling, with the tasks inside it."""
    node = with_items(notes.drop(_without_selectors(node), _TASK), "tools", modernize_tool)
    node = notes.drop_below(node, "config", TEMPORAL_TIMEOUTS)
    node = _unwrapped(node, notes, is_workflow=False)
    # Imported here: commands that only ask a server read compozy.yaml too, and load no models of tasks.
    from compozy.task.registry import DEFAULT_KIND, KINDS

    kind = KINDS.get(text_at(node, "type") or DEFAULT_KIND)
    if kind is None:
        return node
    if kind.routes:
        node = notes.drop(node, _NO_DEFAULT_ROUTE)
    if not kind.takes_prompt:
        node = notes.drop(node, _OF_BASIC_TASKS)
    if "strategy" not in kind.model.model_fields:
        node = notes.drop(node, _OF_CONTAINERS)
    node = _with_agent(node, notes) if kind.takes_prompt else node
    if kind.inside is not None:
        node = with_items(node, kind.inside.key, lambda task: modernize_task(task, notes))
        below = child(node, kind.inside.key)
        if isinstance(below, MappingNode):
            node = with_entries(node, {kind.inside.key: modernize_task(below, notes)})
    routes = child(node, kind.routes) if kind.routes else None
    if isinstance(routes, MappingNode):
        changed: dict[str, Node | None] = {
            entry.key: modernize_task(entry.value, notes)
            for entry in routes.entries
            if isinstance(entry.value, MappingNode)
        }
        node = with_entries(node, {kind.routes: with_entries(routes, changed)})
    return node


def _with_agent(task: MappingNode, notes: Notes) -> MappingNode:
    """Return a task whose `$use`, `model_config` and inline agent are an agent of today."""
    task = renamed_params(task)
    if child(task, "prompt") is not None and child(task, "agent") is None and child(task, "$use") is None:
        task = notes.drop(task, _OF_AGENTS)
    used = child(task, "$use")
    if (
        isinstance(used, ScalarNode)
        and (found := _SELECTOR.fullmatch(used.text.strip()))
        and child(task, "agent") is None
    ):
        task = with_entries(task, {"$use": None, found[1] or "agent": text_node(found[4], used.place)})
    agent = child(task, "agent")
    if isinstance(agent, MappingNode):
        task = with_entries(task, {"agent": modernize_agent(agent, notes)})
    provider = child(task, "provider")
    if provider is not None and child(task, "agent") is None and child(task, "model_config") is None:
        named = {key: value for key in ("provider", "model") if (value := child(task, key)) is not None}
        config = with_entries(MappingNode(entries=(), place=provider.place), named)
        task = with_entries(task, {**dict.fromkeys(named), "model_config": config})
    config = child(task, "model_config")
    if config is not None and child(task, "agent") is None:
        key = "config" if isinstance(config, MappingNode) else "model"
        agent = with_entries(MappingNode(entries=(), place=config.place), {key: config})
        task = with_entries(task, {"model_config": None, "agent": modernize_agent(agent, notes)})
    text = child(task, "with")
    if text_at(task, "action") == "default" and isinstance(text, MappingNode) and child(task, "prompt") is None:
        words = child(text, "task")
        if isinstance(words, ScalarNode) and not _has_actions(task):
            task = with_entries(task, {"action": None, "prompt": words})
    return task


def _with_bindings(node: MappingNode) -> MappingNode:
    return with_items(node, "knowledge", lambda item: flattened(item, "retrieval"))


def _has_actions(task: MappingNode) -> bool:
    agent = child(task, "agent")
    return isinstance(agent, MappingNode) and child(agent, "actions") is not None


def _with_model(agent: MappingNode, key: str) -> MappingNode:
    """Return an agent whose map `{provider, model, params}` under `key` is written as keys of the agent."""
    config = child(agent, key)
    if not isinstance(config, MappingNode):
        return agent
    config = with_params(_without_selectors(config))
    names = {"provider": "llm", "$ref": "llm"}
    changed = [replace(entry, key=names.get(entry.key, entry.key)) for entry in config.entries]
    own = {entry.key for entry in agent.entries} - {key}
    above = (entry for entry in agent.entries if entry.key != key)
    return MappingNode(entries=(*above, *(entry for entry in changed if entry.key not in own)), place=agent.place)


def _without_selectors(node: MappingNode) -> MappingNode:
    """Return a map in which selectors are the ID that they name: alone as `{$ref: ...}`, or as text."""
    changes: dict[str, Node | None] = {}
    for entry in node.entries:
        value = entry.value
        if entry.key in {"input", "output"} and isinstance(value, MappingNode) and len(value.entries) == 1:
            value = child(value, "$ref") or value
        if isinstance(value, ScalarNode) and isinstance(value.value, str):
            found = _SELECTOR.fullmatch(value.text.strip())
            if found is not None and entry.key != "$use":
                changes[entry.key] = text_node(found[4], value.place)
    config = child(node, "config")
    if isinstance(config, MappingNode):
        changes["config"] = _without_selectors(config)
    return with_entries(node, changes) if changes else node


def _unwrapped(node: MappingNode, notes: Notes, *, is_workflow: bool) -> MappingNode:
    """Return a map whose `input: {schema: X}` is `input: X`; a schema of the output of a workflow is ignored."""
    for key in ("input", "output"):
        wrapper = child(node, key)
        if not isinstance(wrapper, MappingNode) or [entry.key for entry in wrapper.entries] != ["schema"]:
            continue
        schema = child(wrapper, "schema")
        if not _is_schema(schema):
            continue
        if key == "output" and is_workflow:
            node = notes.drop(node, {"output": "the output of a run is not validated; `outputs` says what it is"})
        else:
            node = with_entries(node, {key: schema})
    return node


def _is_schema(node: Node | None) -> bool:
    if isinstance(node, ScalarNode):
        return isinstance(node.value, str) and "{{" not in node.value
    keys: Mapping[str, Node] = {e.key: e.value for e in node.entries} if isinstance(node, MappingNode) else {}
    return bool(keys.keys() & {"type", "properties", "$ref", "anyOf", "allOf", "oneOf", "enum"})
