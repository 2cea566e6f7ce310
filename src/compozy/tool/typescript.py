"""TypeScript tools: a function of a file, in a process of Deno with separate permissions, or of Node.js or Bun."""

from __future__ import annotations

import asyncio
import os.path
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from compozy.config.settings import Reach, ToolPermissions
from compozy.errors import ToolError
from compozy.installation import extra_hint
from compozy.tool.config import ToolConfig
from compozy.tool.environment import mask_values, own_environment, process_environment
from compozy.tool.kind import Tool, ToolCall, ToolHome, ToolResult, ToolSpec, effect_of
from compozy.tool.kinds.typescript import EXTRA, packaged_deno, runtime_of
from compozy.tool.process import ProcessLimits, run_worker
from compozy.tool.source_file import find_function

KEY_VARIABLE = "COMPOZY_IDEMPOTENCY_KEY"
_WORKER = Path(__file__).with_name("typescript_worker.mjs")
_MB = 1024 * 1024
# Memory that V8 reserves before it loads anything: with 512 MB of data Deno does not start. The engine of Bun aborts at
# some limits, but not at higher or lower ones.
_RESERVED = {"deno": 768 * _MB, "node": 768 * _MB, "bun": None}
_OLDEST_DENO = (2, 9)
_QUIET = {"DENO_NO_UPDATE_CHECK": "1", "DENO_NO_PROMPT": "1", "NO_COLOR": "1"}


def new_tool(config: ToolConfig, home: ToolHome) -> Tool:
    """Return the tool that `run` names.

    Raises:
        ToolError: its file does not exist or is outside of the project.
    """
    file, function = find_function(config, home)
    return TypeScriptTool(config, home, file, function)


class TypeScriptTool:
    """A function that runs in a new process for each call."""

    def __init__(self, config: ToolConfig, home: ToolHome, file: Path, function: str) -> None:
        self._config = config
        self._home = home
        self._file = file
        self._function = function
        self._runtime = runtime_of(config, home.settings)

    async def describe(self) -> ToolSpec:
        """Return the description for the model: `description` and `input` of the tool.

        Raises:
            ToolError: its arguments are not described, or what executes it is not installed.
        """
        config = self._config
        if config.input is None:
            raise ToolError(f"tool {config.id!r} does not describe its arguments", hint="write `input`")
        await self._program()
        return ToolSpec(
            name=config.id,
            description=config.description or "",
            schema=config.input,
            effect=effect_of(config),
            kind="typescript",
            version=config.version,
        )

    async def call(self, call: ToolCall) -> ToolResult:
        """Call the function; its process and all that it started are killed at the end of the time limit."""
        config, home = self._config, self._home
        try:
            program = await self._program()
        except ToolError as error:
            return ToolResult(outcome="failed", content=error.message)
        limits = ProcessLimits(
            memory=config.limits.memory,
            cpu_s=config.limits.cpu or call.timeout_s,
            output=config.limits.output,
            timeout_s=call.timeout_s,
            reserved=_RESERVED[self._runtime],
        )
        result = await run_worker(
            program,
            self._request(call),
            limits=limits,
            environment={**process_environment(config, home.environ), **_QUIET, KEY_VARIABLE: call.key},
            cwd=home.root,
            name=config.id,
            prints_answer=True,
        )
        secrets = own_environment(config, home.environ).values()
        return ToolResult(outcome=result.outcome, content=mask_values(result.content, secrets))

    def _request(self, call: ToolCall) -> dict[str, object]:
        """Return the request in the form of the 2025 edition, with what came later."""
        entrypoint = self._home.settings.entrypoint
        return {
            "tool_id": self._config.id,
            "tool_exec_id": call.key,
            "input": dict(call.input),
            "config": self._config.config or {},
            "timeout_ms": round(call.timeout_s * 1000),
            "execution_id": call.execution_id,
            "task": call.task,
            "file": self._file.as_uri(),
            "file_name": self._file.name,
            "function": self._function,
            # The 2025 edition wraps results that are not objects.
            "wraps": entrypoint is not None and (self._home.root / entrypoint).resolve() == self._file,
        }

    async def _program(self) -> list[str]:
        """Return the command of the process.

        Raises:
            ToolError: what executes the tool is not installed.
        """
        config, home = self._config, self._home
        runtime = self._runtime
        memory = f"--max-old-space-size={max(1, config.limits.memory // _MB)}"
        if runtime == "deno":
            permissions = (config.permissions or ToolPermissions()).over(home.settings.permissions)
            flags = [f"--v8-flags={memory}", *_project_flags(home), *self._permission_flags(permissions)]
            return [await find_deno(config.id, home.environ), "run", *_DENO_FLAGS, *flags, str(_WORKER)]
        found = shutil.which(runtime, path=home.environ.get("PATH"))
        if found is None:
            raise ToolError(
                f"tool {config.id!r} needs {runtime!r}, which is not in PATH",
                hint="install it, or write `runtime: deno` in the tool or `runtime: {type: deno}` in compozy.yaml",
            )
        # Bun would fetch packages and read `.env` by itself.
        flags = [memory] if runtime == "node" else ["--no-install", "--no-env-file", "run"]
        return [found, *flags, str(_WORKER)]

    def _permission_flags(self, permissions: ToolPermissions) -> list[str]:
        home = self._home
        read = permissions.read if permissions.read is True else (str(self._file.parent), *_listed(permissions.read))
        own = (KEY_VARIABLE, *(self._config.env or {}))
        env = permissions.env if permissions.env is True else (*own, *_listed(permissions.env))
        # Secrets of the project and its database, whatever is allowed.
        closed = (".env", ".git", *sorted(map(str, home.closed)))
        return [
            *_flag("--allow-read", self._paths(read)),
            *_flag("--allow-write", self._paths(permissions.write)),
            *_flag("--allow-net", permissions.net),
            *_flag("--allow-env", env),
            *_flag("--deny-read", self._paths(closed)),
            *_flag("--deny-write", self._paths(closed)),
        ]

    def _paths(self, reach: Reach | None) -> Reach | None:
        """Return paths from the project's folder, where the process starts.

        Raises:
            ToolError: Deno would split a path.
        """
        root = self._home.root.resolve()
        paths = tuple(os.path.relpath(root / path, root) for path in _listed(reach))
        for path in paths:
            if "," in path:
                message = f"tool {self._config.id!r}: Deno does not accept a comma in the path {path}"
                raise ToolError(message, hint="rename the folder, or move the files")
        return paths or reach


_DENO_FLAGS = ("--quiet", "--no-prompt", "--cached-only", "--no-code-cache", "--sloppy-imports")


def _project_flags(home: ToolHome) -> list[str]:
    """Return the flags of the project's own `deno.json` and `deno.lock`, where it has them."""
    root = home.root
    config = next((root / name for name in ("deno.json", "deno.jsonc") if (root / name).is_file()), None)
    lock = root / "deno.lock"
    return [
        f"--config={config}" if config is not None else "--no-config",
        *([f"--lock={lock}", "--frozen"] if lock.is_file() else ["--no-lock"]),
    ]


def _listed(reach: Reach | None) -> tuple[str, ...]:
    return reach if isinstance(reach, tuple) else ()


def _flag(name: str, reach: Reach | None) -> list[str]:
    if not isinstance(reach, tuple):
        return [name] if reach else []
    return [f"{name}={','.join(reach)}"] if reach else []


async def find_deno(tool: str, environ: Mapping[str, str]) -> str:
    """Return the program Deno: that of the package `deno`, else the one in PATH.

    Raises:
        ToolError: there is none, or it is too old.
    """
    packaged = packaged_deno()
    if packaged is not None:
        return packaged
    found = shutil.which("deno", path=environ.get("PATH"))
    if found is None:
        raise ToolError(f"tool {tool!r} needs Deno, which is not installed", hint=extra_hint(EXTRA))
    version = await _version_of(found)
    if version < _OLDEST_DENO:
        shown, oldest = (".".join(map(str, parts)) for parts in (version, _OLDEST_DENO))
        message = f"tool {tool!r} needs Deno {oldest} or newer; {found} has version {shown}"
        raise ToolError(message, hint=extra_hint(EXTRA))
    return found


async def _version_of(program: str) -> tuple[int, ...]:
    """Return the version that a program prints, (0,) if it prints none."""
    child = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await child.communicate()
    found = re.search(rb"(\d+)\.(\d+)", output)
    return tuple(map(int, found.groups())) if found else (0,)
