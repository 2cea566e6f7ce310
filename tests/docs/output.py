"""Comparing what a page shows with what a command printed.

In a page, `...` stands for anything within a line, and a line of its own with `...` for any number of lines. Ids of
executions, times and process ids are different each time, and count as equal; so do columns that are set wider.
"""

from __future__ import annotations

import re

_VARIABLE: tuple[tuple[str, str], ...] = (
    (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "<id>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<moment>"),
    (r"\b(?:\d+\.\ds|\d+m\d\ds)(?![\w.])", "<time>"),
    (r"\bprocess \d+ ", "process <pid> "),
    (r"(?<=\S) {2,}", "  "),
)
# What bash tells about a background process that was killed; each shell has words of its own for it.
_NOTICE = re.compile(r"^bash: line \d+: +\d+ (?:Killed|Terminated) .*\n", re.MULTILINE)
_REPAINTED = re.compile(r"^.*\r\x1b\[K")


def matches(shown: str, printed: str) -> bool:
    """Return whether `printed` is what a page shows."""
    pattern = "".join(_line_pattern(line) for line in _normalize(shown).splitlines())
    return re.fullmatch(pattern, _normalize(printed)) is not None


def settle(raw: str) -> str:
    """Return what is left on a terminal after `raw`: without the lines that were painted over, and bash's notices."""
    lines = (_REPAINTED.sub("", line) for line in raw.replace("\r\n", "\n").split("\n"))
    return _NOTICE.sub("", "\n".join(lines))


def _normalize(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        for pattern, replacement in _VARIABLE:
            line = re.sub(pattern, replacement, line)
        lines.append(line.rstrip())
    return "".join(f"{line}\n" for line in lines).strip("\n") + "\n" if lines else ""


def _line_pattern(line: str) -> str:
    if line == "...":
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]*".join(re.escape(part) for part in line.split("...")) + r"\n"
