"""Executes console fences, with a scratch folder for each page and a terminal for each fence."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from compozy.config.settings import DatabaseSettings
from tests.conftest import CLOSED_PORT
from tests.docs.output import matches, settle
from tests.docs.pages import ROOT, Fence
from tests.docs.terminal import LastingShell, run_in_terminal
from tests.harness.postgres import find_program, new_database, running_server
from tests.harness.servers import free_port

DEFAULT_FOLDER = "examples/database/sqlite-quickstart"
EMPTY = "empty"
_MARK = "\x1e"
_ASKS_MODELS = re.compile(r"compozy start|workflow run|--wait\b")
_LOCAL = re.compile(r"^( *)(- )?(.*)type: local\b.*$", re.MULTILINE)
_SKIPPED = shutil.ignore_patterns("data", ".env", "*.db", "*.db-*")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a console fence, and the output that the page shows."""

    line: int
    text: str
    shown: str


class Session:
    """The shared state of the fences of one page: a scratch folder, and the current folder.

    Args:
        scratch: an empty folder.
        folder: the project that is copied into it, from the repository's root; `empty` for none.
        scripted: answer with a script instead of the local model.
    """

    def __init__(self, scratch: Path, *, folder: str, scripted: bool) -> None:
        self._scratch = scratch
        self._scripted = scripted
        self._folder = folder
        self._cwd: Path | None = None
        self._server = contextlib.ExitStack()
        self._variables: dict[str, str] = {}
        self._database: DatabaseSettings | None = None
        self._programs = ""
        # The port for a server of this page. The page itself shows the default port.
        self._port: int | None = None
        self._lasting: list[tuple[str, LastingShell]] = []

    @property
    def project(self) -> Path:
        """Return the folder in which commands run, and create it on first use."""
        if self._cwd is None:
            self._cwd = self._open(self._folder)
        return self._cwd

    def write(self, name: str, text: str) -> None:
        """Write a file that the page shows under a title into the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, fence: Fence) -> list[str]:
        """Run the commands of a fence and return the errors."""
        if "dir" in fence.meta:
            self._cwd = self._open(fence.meta["dir"])
        if "postgres" in fence.meta:
            self._give_postgres(with_vectors=fence.meta["postgres"] == "vector")
        commands = read_commands(fence)
        if "background" in fence.meta:
            return self._start(fence, commands)
        pace_s = [float(word) for word in fence.meta.get("pace", "0").split()]
        with self._scripted_models(commands, pace_s):
            printed = self._run_all(commands)
        return [
            fault for command, found in zip(commands, printed, strict=True) for fault in _judge(fence, command, *found)
        ]

    def close(self) -> list[str]:
        """Press Ctrl-C in the open terminals, drop the databases of `postgres` fences, and return the errors."""
        ended = [(place, shell.interrupt()) for place, shell in self._lasting]
        self._server.close()
        return [f"{place}: Ctrl-C ended it with status {status}" for place, status in ended if status]

    def _give_postgres(self, *, with_vectors: bool) -> None:
        """Create a database for this page, with PostgreSQL's own programs, and do what requires an administrator."""
        if self._database is None:
            self._database = self._server.enter_context(new_database(migrated=False))
            self._variables = {
                "DB_HOST": str(self._database.host),
                "DB_PORT": str(self._database.port),
                "DB_USER": str(self._database.user),
                "DB_NAME": str(self._database.dbname),
            }
            self._programs = f"{find_program('pg_dump').parent}:"
        if with_vectors:
            with running_server().connect(str(self._database.dbname)) as admin:
                admin.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _start(self, fence: Fence, commands: list[Command]) -> list[str]:
        """Start a command that runs alongside the next fences, and wait for the output that the page shows."""
        (command,) = commands
        self._port = self._port or free_port()
        # Permanently: otherwise the server would report that its files changed.
        self._script_models(commands, [0.0])
        shell = LastingShell(command.text, self._environ(), str(self.project))
        self._lasting.append((fence.place, shell))
        printed = shell.read_until(lambda text: matches(command.shown, self._shown(text)))
        return _judge(fence, command, self._shown(printed), 0)

    def _shown(self, raw: str) -> str:
        text = settle(raw)
        return text if self._port is None else text.replace(f":{self._port}", ":8080")

    def _open(self, folder: str) -> Path:
        copy = self._scratch / Path(folder).name
        if copy.exists():
            return copy
        if folder == EMPTY:
            copy.mkdir()
        else:
            shutil.copytree(ROOT / folder, copy, ignore=_SKIPPED)
        return copy

    def _run_all(self, commands: list[Command]) -> list[tuple[str, int]]:
        where = self._scratch / "cwd"
        script = [f"cd '{self.project}'"]
        for command in commands:
            script += [f"printf '{_MARK}'", command.text, f"printf '{_MARK}%s{_MARK}' $?"]
        script += [f"pwd > '{where}'"]
        output = run_in_terminal("\n".join(script), self._environ())
        if where.exists():
            self._cwd = Path(where.read_text(encoding="utf-8").strip())
        parts = output.split(_MARK)[1:]
        found = [(self._shown(parts[at]), int(parts[at + 1])) for at in range(0, len(parts) - 2, 3)]
        return found + [("the shell ended before this command did", 1)] * (len(commands) - len(found))

    def _environ(self) -> dict[str, str]:
        home = self._scratch / "home"
        home.mkdir(exist_ok=True)
        return {
            "SERVER_PORT": CLOSED_PORT if self._port is None else str(self._port),
            "PATH": f"{Path(sys.executable).parent}:{self._programs}/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "NO_COLOR": "1",
            "COLUMNS": "80",
            "PS1": "",
            **self._variables,
        }

    @contextlib.contextmanager
    def _scripted_models(self, commands: list[Command], pace_s: list[float]) -> Generator[None, None, None]:
        """Use a script instead of the local model while the commands run."""
        written = {} if self._lasting else self._script_models(commands, pace_s)
        yield
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")

    def _script_models(self, commands: list[Command], pace_s: list[float]) -> dict[Path, str]:
        """Replace the local model with a script, and return the previous content of the files."""
        asks = any(_ASKS_MODELS.search(command.text) for command in commands)
        self.project.mkdir(exist_ok=True)
        files = list(self._scratch.rglob("compozy*.yaml")) if asks and self._scripted else []
        texts = {path: path.read_text(encoding="utf-8") for path in files}
        # A server reports every write to a file, even with the same content.
        written = {path: text for path, text in texts.items() if _LOCAL.search(text)}
        for path, text in written.items():
            path.write_text(_LOCAL.sub(lambda found: _script(found, pace_s), text), encoding="utf-8")
        return written


def read_commands(fence: Fence) -> list[Command]:
    """Return the commands of a fence: the lines after `$ ` and `> ` in a console, or a whole script."""
    if fence.kind != "console":
        return [Command(line=fence.line + 1, text=fence.text, shown="...")]
    commands: list[Command] = []
    for number, line in enumerate(fence.text.splitlines(), start=fence.line + 1):
        if line.startswith("$ "):
            commands.append(Command(line=number, text=line[2:], shown=""))
        elif not commands:
            raise ValueError(f"{fence.place}: a console fence begins with `$ `")
        elif line.startswith("> ") and not commands[-1].shown:
            commands[-1] = _extended(commands[-1], text=f"\n{line[2:]}")
        else:
            commands[-1] = _extended(commands[-1], shown=f"{line}\n")
    return commands


def _extended(command: Command, *, text: str = "", shown: str = "") -> Command:
    return Command(line=command.line, text=command.text + text, shown=command.shown + shown)


def _judge(fence: Fence, command: Command, printed: str, status: int) -> list[str]:
    place = f"{fence.place.rpartition(':')[0]}:{command.line}"
    if not matches(command.shown, printed):
        return [f"{place}: `{command.text}` printed:\n{printed}\nand the page shows:\n{command.shown}"]
    if status and (fence.kind != "console" or not printed.strip()):
        return [f"{place}: `{command.text}` ended with status {status} and printed:\n{printed}"]
    return []


def _script(found: re.Match[str], pace_s: list[float]) -> str:
    indent, dash, before = found[1], found[2] or "", found[3]
    inner = indent + " " * len(dash)
    answers = ["Hello, Ada!", *("It is good to meet you." for _ in range(5))]
    lines = [f"{indent}{dash}{before}type: scripted", f"{inner}model: smollm2-135m-instruct", f"{inner}responses:"]
    for index, answer in enumerate(answers):
        delay_ms = int(pace_s[min(index, len(pace_s) - 1)] * 1000)
        usage = "{input_tokens: 34, output_tokens: 9}"
        lines.append(f"{inner}  - {{text: '{answer}', delay_ms: {delay_ms}, usage: {usage}}}")
    return "\n".join(lines)
