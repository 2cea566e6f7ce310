"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

# A table of more columns than people look at has no cells that span others.
_MAX_SPAN, _MAX_SPREAD = 32, 256
# Cells of a table up to which short rows are filled up: a few long rows among many others come to billions.
_MAX_PADDED = 1_000_000


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table whose first row is the head; "" if they contain no text."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    width = max(map(len, filled))
    is_small = width * len(filled) <= _MAX_PADDED
    head, *body = (_line([*row, *[""] * (width - len(row) if is_small else 0)]) for row in filled)
    return "\n".join((head, _line(["---"] * width), *body))


def spread_cells(rows: Sequence[Sequence[tuple[str, int, int]]]) -> list[list[str]]:
    """Return rows in which each text is in its column.

    Args:
        rows: for each cell its text, and how many columns and rows it spans.
    """
    spread: list[list[str]] = []
    # By column, how many rows a cell from above still reaches into, the next one included.
    reach: dict[int, int] = {}
    for row in rows:
        line: list[str] = []
        below = {column: left - 1 for column, left in reach.items() if left > 1}
        for text, columns, depth in row:
            while reach.get(len(line)):
                line.append("")
            if len(line) < _MAX_SPREAD:
                width = max(1, min(columns, _MAX_SPAN))
                below |= dict.fromkeys(range(len(line), len(line) + width), depth - 1)
                line += [text, *[""] * (width - 1)]
            else:
                line.append(text)
        spread.append(line)
        reach = below
    return spread


def _line(cells: Sequence[str]) -> str:
    texts = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"
