"""A hook around every commit, the journal's included, so that a test can kill the process exactly there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

CommitHook = Callable[[str], None]
_hooks: list[CommitHook] = []


def add_commit_hook(hook: CommitHook) -> None:
    """Call `hook("before")` and `hook("after")` around each commit that writes, on every engine of this process."""
    _hooks.append(hook)


def remove_commit_hook(hook: CommitHook) -> None:
    """Undo `add_commit_hook`."""
    _hooks.remove(hook)


def watch_commits(engine: sa.Engine, *, wrote: Callable[[Any], bool]) -> None:
    """Route the commits of `engine` past the hooks.

    Args:
        engine: any.
        wrote: tells whether the transaction of a driver's connection changes anything; asked only when there are hooks.
    """
    commit = engine.dialect.do_commit

    def do_commit(connection: Any) -> None:
        # A commit that ends no transaction writes nothing; only those that write are places to die at.
        if not _hooks or not wrote(connection):
            commit(connection)
            return
        for hook in _hooks:
            hook("before")
        commit(connection)
        for hook in _hooks:
            hook("after")

    # An instance attribute: other engines of the process keep their own.
    vars(engine.dialect)["do_commit"] = do_commit
