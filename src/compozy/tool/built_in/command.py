"""`cp__exec`: a command that the project names, without a shell, with few variables and arguments that are confined."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.clock import monotonic_s
from compozy.ids import new_process_mark
from compozy.tool.built_in.arguments import check_arguments
from compozy.tool.built_in.folder import CallError, Folder, split_path
from compozy.tool.built_in.specs import EXEC_TIMEOUT_MS, MAX_STDERR, MAX_STDOUT
from compozy.tool.config import ToolConfig
from compozy.tool.environment import mask_values, own_environment
from compozy.tool.kind import ToolCall, ToolHome
from compozy.tool.process import MARK, end_processes, limit_process, reading, watched

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# Settings of programs in the home folder of the user can name other programs and hold secrets.
_NO_HOME = "/nonexistent"
_SETTABLE = frozenset({"LANG", "LC_ALL", "TZ", "COLUMNS", "NO_COLOR", "TERM"})
# Bytes that are read and discarded beyond the limit; a command that writes more is ended.
_DISCARDED = 8 * 1024 * 1024
_GRACE_S = 1.0
_HAS_PROC = Path("/proc/self/fd").is_dir()


def find_commands(home: ToolHome) -> dict[str, str]:
    """Return the programs of `runtime.native_tools.exec.commands`: their names, and their paths where they exist."""
    path = home.environ.get("PATH")
    found = {name: shutil.which(name, path=path) for name in home.settings.native_tools.exec.commands}
    return {name: where for name, where in found.items() if where is not None and Path(where).is_absolute()}


async def run_command(config: ToolConfig, home: ToolHome, call: ToolCall) -> dict[str, Any]:
    """Run a command and return what it printed and how it ended.

    Raises:
        CallError: it is not allowed to run, or cannot be started.
    """
    arguments: Mapping[str, Any] = call.input
    program = _find_program(str(arguments["command"]), find_commands(home))
    folder = Folder(home)
    working_dir = split_path(arguments.get("working_dir") or "/")
    given: list[str] = arguments.get("args", [])
    environment = {**_environment(config, home), **_set_by_call(folder, working_dir, arguments.get("env", {}))}
    await asyncio.to_thread(check_arguments, folder, working_dir, given)
    timeout_s = min(arguments.get("timeout_ms", EXEC_TIMEOUT_MS) / 1000, call.timeout_s)
    with folder.open_folder(working_dir) as descriptor:
        # By its descriptor: the path can lead elsewhere by now.
        cwd = f"/proc/self/fd/{descriptor}" if _HAS_PROC else str(folder.path.joinpath(*working_dir))
        result = await _run([program, *given], environment, cwd, config, timeout_s)
    return mask_values(result, own_environment(config, home.environ).values())


def _find_program(command: str, known: Mapping[str, str]) -> str:
    for name, path in known.items():
        if command in {name, path}:
            return path
    allowed = ", ".join(known) or "none"
    raise CallError("CommandNotAllowed", f"{command[:100]!r} cannot be run; the commands are: {allowed}")


def _environment(config: ToolConfig, home: ToolHome) -> dict[str, str]:
    passed_on = {name: home.environ[name] for name in _PASSED_ON if name in home.environ}
    return {**passed_on, "HOME": _NO_HOME, **own_environment(config, home.environ)}


def _set_by_call(folder: Folder, working_dir: tuple[str, ...], env: Mapping[str, str]) -> dict[str, str]:
    for name in env:
        if name not in _SETTABLE:
            words = f"a call cannot set the variable {name[:100]}; it can set {', '.join(sorted(_SETTABLE))}"
            raise CallError("PermissionDenied", words)
    check_arguments(folder, working_dir, list(env.values()))
    return dict(env)


@dataclass(kw_only=True)
class _Output:
    """The output of a pipe: at most `limit` bytes of it are kept."""

    limit: int
    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    async def collect(self, pipe: asyncio.StreamReader) -> bool:
        """Read to the end; return whether so much came that reading stopped before it."""
        while block := await pipe.read(65536):
            self.size += len(block)
            self.data += block[: max(0, self.limit - len(self.data))]
            if self.size > self.limit + _DISCARDED:
                return True
        return False

    @property
    def text(self) -> str:
        """The kept bytes as text."""
        return self.data.decode(errors="replace")

    @property
    def is_cut(self) -> bool:
        """Whether there was more."""
        return self.size > self.limit


async def _run(
    command: Sequence[str], environment: Mapping[str, str], cwd: str, config: ToolConfig, timeout_s: float
) -> dict[str, Any]:
    began_s = monotonic_s()
    mark = new_process_mark()
    out_pipe, err_pipe = os.pipe(), os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out_pipe[1],
            stderr=err_pipe[1],
            start_new_session=True,
            env={**environment, MARK: mark},
            cwd=cwd,
        )
    except OSError as error:
        os.close(out_pipe[0])
        os.close(err_pipe[0])
        raise CallError("Internal", f"{command[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(out_pipe[1])
        os.close(err_pipe[1])
    cpu_s = max(1, round(config.limits.cpu or timeout_s))
    limit_process(child.pid, {resource.RLIMIT_AS: config.limits.memory, resource.RLIMIT_CPU: cpu_s})
    out, err = _Output(limit=MAX_STDOUT), _Output(limit=MAX_STDERR)
    async with reading(out_pipe[0]) as out_reader, reading(err_pipe[0]) as err_reader:
        readers = [asyncio.create_task(out.collect(out_reader)), asyncio.create_task(err.collect(err_reader))]
        try:
            async with watched(child.pid, mark):
                ended = await _wait(child, readers, timeout_s)
        finally:
            await end_processes(child, mark)
        # Everything that held the pipes open has been killed.
        await asyncio.wait(readers, timeout=_GRACE_S)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    code = child.returncode if ended == "exit" and child.returncode is not None else -1
    return {
        "stdout": out.text,
        "stderr": err.text,
        "exit_code": code,
        "success": code == 0,
        "duration_ms": round((monotonic_s() - began_s) * 1000),
        "timed_out": ended == "timeout",
        "stdout_truncated": out.is_cut,
        "stderr_truncated": err.is_cut,
    }


async def _wait(child: asyncio.subprocess.Process, readers: Sequence[asyncio.Task[bool]], timeout_s: float) -> str:
    """Return how a command ended: `exit`, `timeout`, or `output` if it wrote far too much."""
    exited = asyncio.create_task(child.wait())
    try:
        async with asyncio.timeout(timeout_s):
            waiting: set[asyncio.Task[Any]] = {exited, *readers}
            while True:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if exited in done:
                    return "exit"
                if any(reader.result() for reader in readers if reader in done):
                    return "output"
    except TimeoutError:
        return "timeout"
    finally:
        exited.cancel()
        await asyncio.gather(exited, return_exceptions=True)
