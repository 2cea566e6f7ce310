"""The content of a terminal over time. Supports the few control sequences that Compozy prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")
_STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow"}

Cell = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Output of a program at one moment. `at_s` counts from its start."""

    at_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One line of the terminal while it does not change.

    Attributes:
        row: from the top, 0 is the first.
        spans: pieces of text, each with its style, "" for none.
        from_s: when it appears.
        until_s: when it is replaced; None for never.
        wraps: whether it continues the line above it, which was full.
    """

    row: int
    spans: tuple[tuple[str, str], ...]
    from_s: float
    until_s: float | None = None
    wraps: bool = False

    @property
    def text(self) -> str:
        """Return the line without its styles."""
        return "".join(text for text, _ in self.spans)


@dataclass(kw_only=True)
class Screen:
    """A terminal with `columns` columns that grows downwards.

    Raises:
        ValueError: an unknown control sequence, from `write`.
    """

    columns: int
    _rows: list[list[Cell]] = field(default_factory=lambda: [[]])
    _wrapped: set[int] = field(default_factory=set[int])
    _column: int = 0
    _style: str = ""
    _now: dict[int, Shown] = field(default_factory=dict[int, Shown])
    _past: list[Shown] = field(default_factory=list[Shown])

    @property
    def row(self) -> int:
        """Return the row of the cursor."""
        return len(self._rows) - 1

    def write(self, text: str, at_s: float) -> None:
        """Print `text` at a moment."""
        for parameters, command, back, line, plain in _TOKEN.findall(text):
            if plain:
                for character in plain:
                    self._put(character)
            elif back:
                self._column = 0
            elif line:
                self._next_row()
            else:
                self._control(parameters, command)
        self._settle(at_s)

    def lines(self) -> list[Shown]:
        """Return every line that was ever visible, by row and time."""
        everything = [*self._past, *(line for line in self._now.values() if line.text)]
        return sorted(everything, key=lambda line: (line.row, line.from_s))

    def _put(self, character: str) -> None:
        if self._column == self.columns:
            self._next_row()
            self._wrapped.add(self.row)
        row = self._rows[-1]
        row[self._column :] = [(character, self._style), *row[self._column + 1 :]]
        self._column += 1

    def _next_row(self) -> None:
        self._rows.append([])
        self._column = 0

    def _control(self, parameters: str, command: str) -> None:
        if command == "K":
            del self._rows[-1][self._column :]
        elif command == "m":
            self._style = _STYLES.get(parameters, "")
        else:
            raise ValueError(f"a control sequence that is not known: {parameters}{command}")

    def _settle(self, at_s: float) -> None:
        """Record which lines have changed."""
        for row, cells in enumerate(self._rows):
            spans = _spans(cells)
            before = self._now.get(row)
            if before is not None and before.spans == spans:
                continue
            if before is not None and before.text:
                ended = Shown(
                    row=row, spans=before.spans, from_s=before.from_s, until_s=at_s, wraps=row in self._wrapped
                )
                self._past.append(ended)
            self._now[row] = Shown(row=row, spans=spans, from_s=at_s, wraps=row in self._wrapped)


def _spans(cells: list[Cell]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for character, style in cells:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + character, style)
        else:
            found.append((character, style))
    return tuple(found)
