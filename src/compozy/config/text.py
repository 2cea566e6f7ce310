"""The text of one file, and where in it a character stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from compozy.errors import SourceLocation

_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceText:
    """`text` of `file` (the name that places show), without a byte order mark."""

    file: str
    text: str
    line_starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = (0, *(found.end() for found in _BREAK.finditer(self.text)))
        object.__setattr__(self, "line_starts", starts)

    def place(self, index: int) -> SourceLocation:
        """Return the line and column of the character at `index`."""
        line = bisect_right(self.line_starts, index)
        return SourceLocation(file=self.file, line=line, col=index - self.line_starts[line - 1] + 1)
