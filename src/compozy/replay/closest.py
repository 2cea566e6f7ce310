"""The recorded request that is closest to one that has no recording, and how the two differ."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from compozy.plural import plural
from compozy.replay.cassette import Exchange
from compozy.replay.yamltext import to_yaml

_MAX_LINES = 60
# Comparing texts takes time with the product of their lengths.
_MAX_COMPARED = 20_000


def explain_miss(kind: str, path: str, request: Mapping[str, Any], recorded: Sequence[Exchange], missing: str) -> str:
    """Return why a request has no answer: how it differs from the recorded request that is most like it.

    Args:
        kind: of the request.
        path: of its task.
        request: its content.
        recorded: the recording of the test.
        missing: why it has no request of this kind, and what to do.
    """
    about = f"task {path!r}: no recorded answer for this {_NAMES[kind]}"
    candidates = [exchange for exchange in recorded if exchange.kind == kind]
    if not candidates:
        return f"{about}; {missing}"
    text = to_yaml(dict(request))
    closest = max(candidates, key=lambda exchange: (_likeness(text, exchange), exchange.path == path))
    recorded_text = to_yaml(dict(closest.request))
    if recorded_text == text:
        count = sum(exchange.key == closest.key for exchange in candidates)
        return f"{about}; it was recorded {plural(count, 'time')}, and the run asks once more"
    diff = difflib.unified_diff(
        recorded_text.splitlines(), text.splitlines(), f"recorded for {closest.path}", "now", lineterm="", n=2
    )
    lines = list(diff)
    shown = [*lines[:_MAX_LINES], *([f"... {len(lines) - _MAX_LINES} more lines"] if len(lines) > _MAX_LINES else [])]
    return "\n".join([f"{about}; the closest one differs:", *(f"  {line}" for line in shown)])


_NAMES = {
    "model": "model request",
    "tool": "tool call",
    "tools": "list of tools",
    "knowledge": "search",
    "attachment": "URL",
}


def _likeness(text: str, exchange: Exchange) -> float:
    other = to_yaml(dict(exchange.request))[:_MAX_COMPARED]
    return difflib.SequenceMatcher(None, text[:_MAX_COMPARED].splitlines(), other.splitlines()).ratio()
