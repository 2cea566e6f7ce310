"""Names of the steps in which an agent records model requests and tool calls. Loads no model library."""

from __future__ import annotations

import re

_STEP = re.compile(r"(.+)\.model\.request(?:\.\d+)?")


def request_step(path: str, number: int = 0) -> str:
    """Return the name of the steps that record the model requests of the task at `path`.

    `number` counts the models that are asked for one answer, from 0; each after the first has steps of its own.
    """
    return f"{path}.model.request" + (f".{number + 1}" if number else "")


def tool_step(path: str, request: int, index: int, tool: str) -> str:
    """Return the name of the step that records one call of a tool.

    Args:
        path: of the task.
        request: number of the model request that asked for the call, among those of the task, from 0.
        index: number of the call in the answer, from 0.
        tool: ID of the tool.
    """
    return f"{path}.tool.{request}.{index}.{tool}"


def path_of_request(name: str) -> str | None:
    """Return the path of the task whose model requests the step `name` records, None for any other step."""
    found = _STEP.fullmatch(name)
    return found[1] if found else None
