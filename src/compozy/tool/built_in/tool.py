"""A built-in tool, ready to be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from compozy.errors import ToolError
from compozy.tool.built_in.command import find_commands, run_command
from compozy.tool.built_in.fetch import fetch
from compozy.tool.built_in.files import delete_file, read_file, write_file
from compozy.tool.built_in.folder import CallError, Deadline, Folder
from compozy.tool.built_in.grep import grep
from compozy.tool.built_in.listing import list_dir, list_files
from compozy.tool.built_in.nested import call_nested, describe_agent, describe_nested, list_agents
from compozy.tool.built_in.specs import NESTING, SPECS, TARGETS
from compozy.tool.config import ToolConfig
from compozy.tool.kind import Tool, ToolCall, ToolHome, ToolResult, ToolSpec, effect_of

_FILE_TOOLS: Mapping[str, Callable[[Folder, Mapping[str, Any], Deadline], dict[str, Any]]] = {
    "cp__read_file": read_file,
    "cp__write_file": write_file,
    "cp__delete_file": delete_file,
    "cp__list_dir": list_dir,
    "cp__list_files": list_files,
    "cp__grep": grep,
}
# Time for a thread to notice its time limit itself; a regular expression counts processor time.
_GRACE_S = 5.0


def new_tool(config: ToolConfig, home: ToolHome) -> Tool:
    """Return the built-in tool with the ID of a configuration.

    Raises:
        ToolError: there is none.
    """
    if config.id not in SPECS:
        raise ToolError(f"unknown built-in tool {config.id!r}")
    return BuiltInTool(config, home)


class BuiltInTool:
    """A tool that Compozy brings."""

    def __init__(self, config: ToolConfig, home: ToolHome) -> None:
        self._config = config
        self._home = home

    async def describe(self) -> ToolSpec:
        """Return the description for the model.

        Raises:
            ToolError: the folder of the tools does not exist, or there is no command to run.
        """
        config, spec = self._config, SPECS[self._config.id]
        schema, description = spec.schema, config.description or spec.description
        if config.id == "cp__exec":
            schema["properties"]["command"] = {**schema["properties"]["command"], "enum": self._commands()}
        if config.id in TARGETS:
            schema, description = describe_nested(config, schema, description)
        elif config.id != "cp__fetch" and not Folder(self._home).path.is_dir():
            folder = self._home.settings.native_tools.root_dir
            raise ToolError(
                f"tool {config.id!r}: the folder {folder!r} does not exist",
                hint="create it, or name another one as `runtime.native_tools.root_dir` in compozy.yaml",
            )
        return ToolSpec(
            name=config.id,
            description=description,
            schema=schema,
            effect=effect_of(config),
            kind="built-in",
            version=config.version,
        )

    def _commands(self) -> list[str]:
        commands = list(find_commands(self._home))
        if not commands:
            raise ToolError(
                "tool 'cp__exec' has no command to run",
                hint="list programs of this machine in `runtime.native_tools.exec.commands` in compozy.yaml",
            )
        return commands

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the tool. A failure is `code: message`."""
        try:
            if self._config.id in NESTING:
                return await call_nested(self._config, call)
            if self._config.id == "cp__list_agents":
                return ToolResult(outcome="ok", content=list_agents(self._config))
            if self._config.id == "cp__describe_agent":
                return ToolResult(outcome="ok", content=describe_agent(self._config, call.input["agent_id"]))
            if self._config.id == "cp__fetch":
                return await fetch(self._config, self._home, call)
            if self._config.id == "cp__exec":
                return ToolResult(outcome="ok", content=await run_command(self._config, self._home, call))
            return await self._use_files(call)
        except CallError as error:
            return ToolResult(outcome="failed", content=str(error))

    async def _use_files(self, call: ToolCall) -> ToolResult:
        work = asyncio.to_thread(self._in_thread, call)
        try:
            return await asyncio.wait_for(work, call.timeout_s + _GRACE_S)
        except TimeoutError:
            return ToolResult(outcome="unknown", content=f"the call did not end within {call.timeout_s:g} s")

    def _in_thread(self, call: ToolCall) -> ToolResult:
        try:
            content = _FILE_TOOLS[self._config.id](Folder(self._home), call.input, Deadline(call.timeout_s))
        except OSError as error:
            raise CallError("Internal", error.strerror or type(error).__name__) from error
        return ToolResult(outcome="ok", content=content)
