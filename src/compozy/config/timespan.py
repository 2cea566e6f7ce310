"""Durations as people write them: `5s`, `1h30m`, `500ms`, `5 minutes`, or a plain number of seconds."""

from __future__ import annotations

import re
from typing import Any

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"millisecond": "ms", "second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "day": "d"}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)")
MAX_DURATION_S = 366 * 86400.0


def parse_duration_s(value: Any) -> float:
    """Return `value` in seconds.

    Args:
        value: a number of seconds, or text such as `500ms`, `5s`, `1h30m`, `5 minutes`.

    Raises:
        ValueError: it is none of these, is negative, or exceeds a year.
    """
    seconds = float(value) if _is_number(value) else _sum_parts(value)
    if not 0 <= seconds <= MAX_DURATION_S:
        raise ValueError(f"a duration lies between 0 and 366 days, got {value!r}")
    return seconds


def format_duration(seconds: float) -> str:
    """Return `seconds` for people: `0.4s`, `12.0s`, `3m20s`, `2h05m`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sum_parts(value: Any) -> float:
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    seconds, end = 0.0, 0
    for part in _PART.finditer(text):
        unit = _unit_of(part[2].lower())
        if part.start() != end or unit is None:
            break
        seconds, end = seconds + float(part[1]) * _UNIT_S[unit], part.end()
    if not text or end != len(text):
        raise ValueError(f"expected a duration such as 500ms, 30s or 1h30m, got {value!r}")
    return seconds


def _unit_of(word: str) -> str | None:
    if word in _UNIT_S:
        return word
    return _WORDS.get(word.removesuffix("s"))
