"""A progress bar on stderr; prints nothing if stderr is not a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from compozy.cli.output import write_note, write_transient

_WIDTH = 30


class Bar:
    """Draws itself over and over on one line, and takes itself away at the end of its `with`."""

    def __init__(self, *, quiet: bool) -> None:
        self._is_shown = sys.stderr.isatty() and not quiet
        self._is_dirty = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bar away."""
        if self._is_dirty:
            write_note("")

    def draw(self, done: int, total: int, words: str) -> None:
        """Redraw the bar, followed by `words`."""
        if not self._is_shown or not total:
            return
        full = min(_WIDTH, _WIDTH * done // total)
        write_transient(f"  {'█' * full}{'░' * (_WIDTH - full)} {words}")
        self._is_dirty = True
