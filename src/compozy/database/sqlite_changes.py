"""Notices commits of other connections to a SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from compozy.clock import monotonic_s
from compozy.errors import DatabaseError

# One look takes 8 microseconds, but what it notices is mostly commits of this process, which its streams know already.
_LOOK_S = 0.2


class SqliteFeed:
    """Compares `PRAGMA data_version`, which changes with each commit of another connection.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None

    def watch(self, runs: frozenset[str], again: Collection[str]) -> None:
        """Do nothing: the process that serves a file is the one that executes its runs."""

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Return an empty set after a commit, None if there was none in time."""
        ends_s = monotonic_s() + timeout_s
        try:
            while (version := self._look()) == self._version:
                if monotonic_s() >= ends_s:
                    return None
                time.sleep(_LOOK_S)
        except sqlite3.Error as error:
            self.close()
            raise DatabaseError(f"cannot watch {str(self._path)!r}: {error}") from error
        self._version = version
        return frozenset()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self) -> int:
        if self._connection is None:
            uri = f"file:{quote(str(self._path))}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._version = None
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
