"""Python tools: a function of a file, in a separate process, or in this one if the project allows it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from compozy.errors import ToolError
from compozy.jsoninput import parse_json
from compozy.tool import python_worker
from compozy.tool.config import ToolConfig
from compozy.tool.environment import mask_values, own_environment, process_environment
from compozy.tool.kind import Tool, ToolCall, ToolHome, ToolResult, ToolSpec, effect_of
from compozy.tool.process import ProcessLimits, run_worker
from compozy.tool.source_file import find_function

# Longest time that a tool's file may take to load; a shorter `timeout` of the tool counts here, too.
_DESCRIBE_S = 30.0


def new_tool(config: ToolConfig, home: ToolHome) -> Tool:
    """Return the tool that `run` names.

    Raises:
        ToolError: its file does not exist or is outside of the project, or it cannot run in this process.
    """
    path, function = find_function(config, home)
    if config.runtime == "python-inprocess":
        if not home.settings.allow_inprocess:
            raise ToolError(
                f"tool {config.id!r} would run inside the Compozy process, which the project does not allow",
                hint="write `runtime: {allow_inprocess: true}` in compozy.yaml, or `runtime: python` in the tool",
            )
        return InProcessTool(config, home, path, function)
    return PythonTool(config, home, path, function)


class PythonTool:
    """A function that runs in a new process for each call."""

    def __init__(self, config: ToolConfig, home: ToolHome, file: Path, function: str) -> None:
        self._config = config
        self._home = home
        self._file = file
        self._function = function

    async def describe(self) -> ToolSpec:
        """Return the description for the model: `description` and `input` of the tool, else docstring and type hints.

        Raises:
            ToolError: the file cannot be loaded, or its arguments are not described.
        """
        config = self._config
        if config.input is not None and config.description is not None:
            return _spec(config, {})
        answer = await self._ask({"verb": "describe"}, min(config.timeout or _DESCRIBE_S, _DESCRIBE_S))
        if answer.outcome != "ok":
            raise ToolError(f"tool {config.id!r} cannot be used: {answer.content}", details={"tool": config.id})
        return _spec(config, cast("dict[str, Any]", answer.content))

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the function; its process and all that it started are killed at the end of the time limit."""
        request = _call_request(self._config, call)
        return await self._ask(request, call.timeout_s, {"COMPOZY_IDEMPOTENCY_KEY": call.key})

    async def _ask(
        self, request: Mapping[str, Any], timeout_s: float, more: Mapping[str, str] | None = None
    ) -> ToolResult:
        config, home = self._config, self._home
        limits = ProcessLimits(
            memory=config.limits.memory,
            cpu_s=config.limits.cpu or timeout_s,
            output=config.limits.output,
            timeout_s=timeout_s,
        )
        environment = {**process_environment(config, home.environ), **(more or {})}
        where = {"file": str(self._file), "function": self._function, "path": [str(home.root)]}
        result = await run_worker(
            [_interpreter(config, home), "-I", "-X", "utf8", python_worker.__file__],
            {**where, **request},
            limits=limits,
            environment=environment,
            cwd=home.root,
            name=config.id,
        )
        secrets = own_environment(config, home.environ).values()
        return ToolResult(outcome=result.outcome, content=mask_values(result.content, secrets))


class InProcessTool:
    """A function that runs in this process: faster, but it can neither be stopped nor limited."""

    def __init__(self, config: ToolConfig, home: ToolHome, file: Path, function: str) -> None:
        self._config = config
        self._home = home
        self._file = file
        self._function = function

    async def describe(self) -> ToolSpec:
        """Return the description for the model.

        Raises:
            ToolError: the file cannot be loaded, or its arguments are not described.
        """
        answer = await asyncio.to_thread(self._answer, {"verb": "describe"})
        if "error" in answer:
            raise ToolError(f"tool {self._config.id!r} cannot be used: {answer['error']}")
        return _spec(self._config, answer["ok"])

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the function in a thread, which keeps running after the time limit."""
        request = _call_request(self._config, call)
        try:
            answer = await asyncio.wait_for(asyncio.to_thread(self._answer, request), call.timeout_s)
        except TimeoutError:
            return ToolResult(outcome="unknown", content=f"the tool did not end within {call.timeout_s:g} s")
        outcome = "failed" if "error" in answer else "ok"
        return ToolResult(outcome=outcome, content=answer["error"] if "error" in answer else answer["ok"])

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        where = {"file": str(self._file), "function": self._function}
        text = python_worker.answer({**where, **request}, python_worker.Context(dict(request)), prints_traces=False)
        return cast("dict[str, Any]", parse_json(text))


def _call_request(config: ToolConfig, call: ToolCall) -> dict[str, Any]:
    """Return what `python_worker` is asked for one call."""
    return {
        "verb": "call",
        "input": dict(call.input),
        "is_typed": config.input is None,
        "config": config.config or {},
        "idempotency_key": call.key,
        "execution_id": call.execution_id,
        "task": call.task,
    }


def _spec(config: ToolConfig, found: Mapping[str, Any]) -> ToolSpec:
    schema = config.input if config.input is not None else found.get("schema")
    if schema is None:
        raise ToolError(
            f"tool {config.id!r} does not describe its arguments",
            hint="write `input`, or install `pydantic` for the interpreter of the tool so that type hints are read",
        )
    return ToolSpec(
        name=config.id,
        description=config.description or str(found.get("description") or ""),
        schema=_untitled(schema),
        effect=effect_of(config),
        kind="python",
        version=config.version,
    )


def _untitled(schema: Any) -> Any:
    """Return a schema without the titles that are only names once more; models pay for each word."""
    if isinstance(schema, list):
        return [_untitled(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    return {
        key: {name: _untitled(below) for name, below in value.items()} if key == "properties" else _untitled(value)
        for key, value in fields.items()
        if key != "title" or not isinstance(value, str)
    }


def _interpreter(config: ToolConfig, home: ToolHome) -> str:
    """Return the interpreter of Python tools.

    Raises:
        ToolError: there is none.
    """
    chosen = home.settings.python
    if chosen is None and not getattr(sys, "frozen", False):
        return sys.executable
    name = chosen or "python3"
    found = str(home.root / name) if "/" in name else shutil.which(name, path=home.environ.get("PATH"))
    if found is None or not Path(found).exists():
        raise ToolError(
            f"tool {config.id!r} needs the Python interpreter {name!r}, which does not exist",
            hint="name one as `runtime.python` in compozy.yaml",
        )
    return found
