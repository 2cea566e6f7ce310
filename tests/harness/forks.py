"""Children of a process that has imported the program once. They start quickly and may be killed at any moment."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Exit status of a child that did not set one.
BROKEN = 70


def import_program() -> None:
    """Import everything that a run needs, so that each child starts quickly."""
    for name in (
        "alembic.command",
        "openai",
        "pydantic_ai.models.openai",
        "compozy.app",
        "compozy.storage",
        "compozy.cli.executions",
        "compozy.database.postgres",
        "compozy.cli.main",
        "compozy.cli.run",
        "compozy.durable.runtime",
        "compozy.project.definition",
        "compozy.project.load",
        "compozy.workflow.execute",
    ):
        importlib.import_module(name)
    # A collection in a child would copy all pages that it shares with this process.
    gc.freeze()


def fork(body: Callable[..., None], *arguments: object) -> int:
    """Run `body` in a child and return its process ID. The calling process must have a single thread."""
    child = os.fork()
    if child == 0:
        try:
            body(*arguments)
        finally:
            os._exit(BROKEN)
    return child


def is_killed(status: int) -> bool:
    """Return whether a status of `os.waitpid` means that the child was killed."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def write_to(folder: Path, out: str, err: str, *, append: bool = False) -> None:
    """Redirect the output of this process to files."""
    for number, name in ((1, out), (2, err)):
        mode = os.O_APPEND if append else os.O_TRUNC
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | mode, 0o644), number)


def die_at_commit(number: int) -> None:
    """Kill this process at a given point before or after one of its commits, counted from 1.

    Renewals of the lease are not counted: their number depends on time.
    """
    from compozy.database.commits import add_commit_hook

    passed = 0

    def hook(_when: str) -> None:
        nonlocal passed
        passed += threading.current_thread().name != "compozy-lease"
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    add_commit_hook(hook)


def die_at_step(ending: str | tuple[str, ...], number: int, when: str) -> None:
    """Kill this process `before` or `after` it commits the `number`-th step whose name has one of these endings."""
    from sqlalchemy import Engine, event

    from compozy.database.commits import add_commit_hook

    in_hand = threading.local()
    passed = 0

    def note(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        if statement.startswith("INSERT INTO") and "operation_outputs" in statement:
            # Migrations of the journal copy its rows without one.
            names = [str(row.get("function_name", "")) for row in context.compiled_parameters]
            in_hand.step = next((name for name in names if name.endswith(ending)), "")

    def hook(which: str) -> None:
        nonlocal passed
        # A single thread executes and commits a transaction.
        if not getattr(in_hand, "step", "").endswith(ending):
            return
        passed += which == "before"
        if passed == number and which == when:
            os.kill(os.getpid(), signal.SIGKILL)
        if which == "after":
            in_hand.step = ""

    event.listen(Engine, "before_cursor_execute", note)
    add_commit_hook(hook)


def shorten_leases(lease_s: float) -> None:
    """Shorten the lease of this process and of its children, so that others take over sooner."""
    from compozy.durable import lease, runtime

    for module in (lease, runtime):
        setattr(module, "LEASE_S", lease_s)  # noqa: B010 - a constant to those who read it
    setattr(lease, "_RENEW_S", lease_s / 8)  # noqa: B010 - as above


def wait_for_file(path: Path) -> str:
    """Return the content of a file as soon as another process has written it."""
    for _ in range(500):
        if path.exists():
            return path.read_text()
        time.sleep(0.01)
    raise TimeoutError(f"{path} did not appear")
