"""Hooks around every commit, including the journal's: to publish changes, and for tests to kill the process there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from compozy.database.changes import publish_changes

CommitHook = Callable[[str], None]
_hooks: list[CommitHook] = []


def add_commit_hook(hook: CommitHook) -> None:
    """Call `hook("before")` and `hook("after")` around each writing commit, on every engine of this process."""
    _hooks.append(hook)


def remove_commit_hook(hook: CommitHook) -> None:
    """Undo `add_commit_hook`."""
    _hooks.remove(hook)


def watch_commits(engine: sa.Engine, *, wrote: Callable[[Any], bool]) -> None:
    """Call the hooks around the commits of `engine`, and publish the changes of each.

    Args:
        engine: any engine.
        wrote: returns whether the transaction of a driver connection changed anything; called only if there are hooks.
    """
    commit = engine.dialect.do_commit

    def do_commit(connection: Any) -> None:
        # A commit without a transaction writes nothing. Only commits that write are points at which a kill matters.
        if not _hooks or not wrote(connection):
            commit(connection)
        else:
            for hook in _hooks:
                hook("before")
            commit(connection)
            for hook in _hooks:
                hook("after")
        publish_changes()

    # An instance attribute: other engines of the process keep their own.
    vars(engine.dialect)["do_commit"] = do_commit
