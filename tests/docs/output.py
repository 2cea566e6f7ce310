"""Compares the output that a page shows with the output of a command.

In a page, `...` matches anything within a line, and a line with only `...` matches any number of lines. Execution IDs,
times and process IDs count as equal, and so do columns of different widths.
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
# Notices of bash about a background process that was killed. Their wording depends on the shell.
_NOTICE = re.compile(r"^bash: line \d+: +\d+ (?:Killed|Terminated) .*\n", re.MULTILINE)
_REPAINTED = re.compile(r"^.*\r\x1b\[K")


def matches(shown: str, printed: str) -> bool:
    """Return whether `printed` matches the output that a page shows."""
    pattern = "".join(_line_pattern(line) for line in _normalize(shown).splitlines())
    return re.fullmatch(pattern, _normalize(printed)) is not None


def settle(raw: str) -> str:
    """Return the text on a terminal after `raw`, without lines that were overwritten and without bash's notices."""
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
