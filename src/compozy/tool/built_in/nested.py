"""Built-in tools that ask other agents, and run tasks and workflows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from compozy.tool.built_in.folder import CallError
from compozy.tool.config import ToolConfig
from compozy.tool.kind import NestedEnd, NestedRequest, ToolCall, ToolResult

# The keys of an action that a model reads.
_PUBLIC_ACTION = ("id", "description", "input")


def describe_nested(config: ToolConfig, schema: dict[str, Any], description: str) -> tuple[dict[str, Any], str]:
    """Return schema and description of a tool, with what it can call."""
    targets = config.agents or config.tasks or config.workflows
    key = "agent_id" if config.agents else "task_id" if config.tasks else "workflow_id"
    ids = [target["id"] for target in targets]
    properties = dict(schema["properties"])
    if key in properties:
        properties[key] = {**properties[key], "enum": ids}
    for name, value in properties.items():
        if value.get("type") == "array":
            item = value["items"]
            below = {**item["properties"], key: {**item["properties"][key], "enum": ids}}
            properties[name] = {**value, "items": {**item, "properties": below}}
    lines = [_line(target) for target in targets]
    return {**schema, "properties": properties}, "\n".join([description, *lines])


def _line(target: Mapping[str, Any]) -> str:
    """Return what the description of a tool says about an agent, a task or a workflow."""
    about = target.get("description") or target.get("name")
    actions = ", ".join(action["id"] for action in target.get("actions") or ())
    line = f"- {target['id']}" + (f": {about}" if about else "") + (f" (actions: {actions})" if actions else "")
    schema = target.get("input")
    return f"{line} (input: {json.dumps(schema, ensure_ascii=False)})" if schema else line


def list_agents(config: ToolConfig) -> dict[str, Any]:
    """Return the agents of a tool."""
    return {"agents": [_public(agent) for agent in config.agents]}


def describe_agent(config: ToolConfig, agent_id: str) -> dict[str, Any]:
    """Return one agent of a tool with its actions.

    Raises:
        CallError: the tool has no such agent.
    """
    agent = _find(config.agents, agent_id, "agent")
    actions = [{key: action[key] for key in _PUBLIC_ACTION if action.get(key)} for action in agent.get("actions") or ()]
    return {**_public(agent), "actions": actions}


def _public(agent: Mapping[str, Any]) -> dict[str, Any]:
    about = {"description": agent["description"]} if agent.get("description") else {}
    return {"agent_id": agent["id"], **about}


async def call_nested(config: ToolConfig, call: ToolCall) -> ToolResult:
    """Run what the arguments name, and return how it ended.

    Raises:
        CallError: the arguments name no agent, action or task of the tool, or say nothing to ask.
    """
    assert call.tasks is not None  # noqa: S101 - given to every tool that runs tasks
    calls = next((call.input[key] for key in ("agents", "tasks", "workflows") if key in call.input), None)
    each: Sequence[Mapping[str, Any]] = [call.input] if calls is None else calls
    ends = await call.tasks.run([_request(config, one) for one in each])
    results = [_result(one, end) for one, end in zip(each, ends, strict=True)]
    if calls is None:
        return ToolResult(outcome="ok" if results[0]["success"] else "failed", content=results[0])
    succeeded = sum(result["success"] for result in results)
    content = {
        "results": results,
        "total_count": len(results),
        "success_count": succeeded,
        "failure_count": len(results) - succeeded,
    }
    return ToolResult(outcome="ok" if succeeded else "failed", content=content)


def _request(config: ToolConfig, given: Mapping[str, Any]) -> NestedRequest:
    timeout_s = given["timeout_ms"] / 1000 if given.get("timeout_ms") else config.timeout
    values: Mapping[str, Any] = given.get("with") or {}
    if "task_id" in given:
        task = _find(config.tasks, given["task_id"], "task")
        return NestedRequest(target=task["id"], given=values, timeout_s=timeout_s)
    if "workflow_id" in given:
        workflow = _find(config.workflows, given["workflow_id"], "workflow")
        return NestedRequest(target=workflow["id"], given=given.get("input") or {}, timeout_s=timeout_s)
    agent = _find(config.agents, given["agent_id"], "agent")
    action_id, prompt = given.get("action_id"), given.get("prompt")
    if action_id is not None:
        _find(agent.get("actions") or (), action_id, "action")
    elif prompt is None:
        raise CallError("InvalidArgument", "write `prompt`, or `action_id` for an action of the agent")
    return NestedRequest(target=agent["id"], given=values, prompt=prompt, action_id=action_id, timeout_s=timeout_s)


def _find(targets: Sequence[Mapping[str, Any]], name: str, kind: str) -> Mapping[str, Any]:
    found = next((target for target in targets if target["id"] == name), None)
    if found is None:
        known = ", ".join(target["id"] for target in targets) or "none"
        raise CallError("InvalidArgument", f"unknown {kind} {name!r}; known: {known}")
    return found


def _result(given: Mapping[str, Any], end: NestedEnd) -> dict[str, Any]:
    named = {key: given[key] for key in ("agent_id", "action_id", "task_id", "workflow_id") if key in given}
    about = {"success": end.status == "SUCCESS", **named, "exec_id": end.path}
    if "workflow_id" in given:
        about["status"] = end.status
    if end.error is not None:
        return {**about, "error": {"code": end.error.get("code"), "message": end.error.get("message")}}
    if "agent_id" not in given:
        return {**about, "output": end.output}
    output = end.output
    if isinstance(output, dict):
        output = cast("dict[str, Any]", output)
        output = output["text"] if output.keys() >= {"text", "response"} else output
    return {**about, "response": output}
