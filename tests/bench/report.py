"""The figures of a benchmark: rows that are printed as a table, and written to a file for `make figures`.

A long benchmark prints a line of progress for each part.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE` to the options of a benchmark."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file as JSON")


def announce(part: str) -> None:
    """Print the part of a benchmark that begins, to standard error."""
    print(f"{part} ...", file=sys.stderr, flush=True)


def report(rows: Sequence[Row], file: Path | None) -> None:
    """Print the rows as a table, below the load of the machine, and write them to `file`."""
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print_rows(rows)
    write_rows(rows, file)


def print_rows(rows: Sequence[Row]) -> None:
    """Print the rows as a table with a column for each name."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def write_rows(rows: Sequence[Row], file: Path | None) -> None:
    """Write the rows to `file`, if there is one."""
    if file is not None:
        file.write_text(json.dumps(list(rows)), encoding="utf-8")


def compare(few: Row, many: Row, *names: str) -> dict[str, float]:
    """Return figures for a few and for many stored things, with their ratios: `few_x_ms`, `many_x_ms`, `x_ratio`."""
    compared: dict[str, float] = {}
    for name in names:
        compared[f"few_{name}"] = round(few[name], 2)
        compared[f"many_{name}"] = round(many[name], 2)
        compared[f"{name.removesuffix('_ms')}_ratio"] = round(many[name] / few[name], 2)
    return compared


def medians(rows: Sequence[Row], by: str) -> list[dict[str, Any]]:
    """Return a row for each value of `by`, with the medians of all other figures."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(row)
    return [
        {
            by: value,
            **{name: round(statistics.median(row[name] for row in group), 2) for name in group[0] if name != by},
        }
        for value, group in groups.items()
    ]
