"""Hints that HTTP clients can get refer to headers, fields and paths, not to options and commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import compozy
from tests.generated.sources import nodes_of

SOURCE = Path(compozy.__file__).parent
# Modules without hints for requests: commands, the start of the server, and programs that Compozy starts.
LOCAL = (
    "bench", "verify", "cli", "replay", "upkeep", "transfer", "config", "client.py", "installation.py", "storage.py",
    "database/backup.py", "database/migrate.py", "database/scratch.py",
    "database/database.py", "database/owner.py", "database/postgres.py", "database/sqlite.py", "project/file.py",
    "project/scaffold.py", "project/sources.py", "project/edition2025/tools.py", "server/dev.py", "server/inherited.py",
    "server/ports.py", "server/processes.py", "server/worker.py", "task/kinds/wait.py", "tool/typescript.py",
)  # fmt: skip
COMMAND_LINE = re.compile(r"(?<![\w!-])--(?:[a-z]|$)|`compozy [a-z]")


def texts(file: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield the texts of a module that refer to the command line, without docstrings."""
    docstrings = {node.value for node in nodes_of(file, ast.Expr)}
    for node in nodes_of(file, ast.Constant):
        if isinstance(node.value, str) and node not in docstrings and COMMAND_LINE.search(node.value):
            yield node, node.value


def hinted(file: Path) -> Iterator[ast.AST]:
    """Yield every node of a `hint` that has an `http_hint` next to it."""
    for node in nodes_of(file, ast.Call):
        hints = {keyword.arg: keyword.value for keyword in node.keywords}
        if "http_hint" in hints and "hint" in hints:
            yield from ast.walk(hints["hint"])


def test_hints_for_http_clients_do_not_mention_the_command_line() -> None:
    found: list[str] = []
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).as_posix()
        if name in LOCAL or name.partition("/")[0] in LOCAL:
            continue
        allowed = set(hinted(file))
        found += [f"{name}: {text}" for node, text in texts(file) if node not in allowed]
    assert found == []


def test_the_modules_that_are_passed_over_exist() -> None:
    assert [name for name in LOCAL if not (SOURCE / name).exists()] == []
