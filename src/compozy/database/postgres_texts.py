"""Text of models on its way to other processes: a process asks for the texts of runs, and those that write them answer.

Both use notifications on their own channels. Nobody asks, nothing is sent. A notification may be lost; the pieces of an
answer carry their offsets, so the process that asked notices it and asks again.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from typing import Any

from compozy.clock import monotonic_s
from compozy.database.live_text import TextDelta, is_watched_by_others, watch_for
from compozy.ids import new_process_mark

TEXT_CHANNEL = "compozy_text"
WATCH_CHANNEL = "compozy_watch"
PAYLOAD_MAX = 7000
"""Bytes of a notification; PostgreSQL allows 8,000. An execution ID has at most 128."""
# A character takes at most 12 bytes in JSON.
_PIECE = 300
# Pieces that wait to be sent. If there are more, the oldest are lost, and asked for again.
_QUEUE_MAX = 4000
_RENEW_S = 5.0
_WATCHED_S = 16.0
_NEW, _STILL = "new", "still"

Send = Callable[[str, str], None]
"""Sends a notification: channel, payload."""
_COLUMNS = tuple(field.name for field in fields(TextDelta))
_mark = new_process_mark()


class TextSender:
    """The texts of this process that others asked for. `add` is called by any thread, the rest by one."""

    def __init__(self) -> None:
        self._pieces: deque[TextDelta] = deque(maxlen=_QUEUE_MAX)
        self._lock = threading.Lock()

    def add(self, delta: TextDelta) -> bool:
        """Keep a piece to be sent; return whether another process reads it."""
        if not is_watched_by_others(delta.execution_id):
            return False
        with self._lock:
            self._pieces.extend(_split(delta))
        return True

    def obey(self, payload: str) -> None:
        """Read what another process asks for."""
        origin, kind, *runs = payload.split("\n")
        if origin == _origin():
            return
        for text in watch_for(runs, seconds=_WATCHED_S):
            if kind == _NEW:
                self.add(text)

    def send(self, send: Send) -> None:
        """Send what is kept."""
        with self._lock:
            pieces, self._pieces = self._pieces, deque(maxlen=_QUEUE_MAX)
        for payload in _payloads([json.dumps(_row(piece), separators=(",", ":")) for piece in pieces], ",\n"):
            send(TEXT_CHANNEL, f"[{payload}]")


class TextRequests:
    """The runs whose texts this process asks others for."""

    def __init__(self) -> None:
        self._asked: frozenset[str] = frozenset()
        self._asked_s = 0.0

    def ask(self, runs: frozenset[str], again: Collection[str], send: Send) -> None:
        """Ask for the texts of `runs`: for those that are new or to be sent `again` from their start."""
        new = runs.difference(self._asked).union(runs.intersection(again))
        now_s = monotonic_s()
        if new:
            _send_watch(_NEW, new, send)
        if runs and now_s - self._asked_s > _RENEW_S:
            _send_watch(_STILL, runs, send)
            self._asked_s = now_s
        self._asked = runs

    def forget(self) -> None:
        """Ask for everything again; called after the connection was lost."""
        self._asked, self._asked_s = frozenset(), 0.0


def read_texts(payload: str) -> list[TextDelta]:
    """Read the pieces in a notification."""
    return [TextDelta(**dict(zip(_COLUMNS, row, strict=True))) for row in json.loads(payload)]


def payloads_of(runs: Collection[str]) -> Iterator[str]:
    """Yield the IDs of runs, one on a line, in texts that fit into a notification."""
    return _payloads(sorted(runs), "\n")


def _payloads(items: Collection[str], separator: str) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for item in items:
        if lines and size + len(item) + len(separator) > PAYLOAD_MAX:
            yield separator.join(lines)
            lines, size = [], 0
        lines.append(item)
        size += len(item) + len(separator)
    if lines:
        yield separator.join(lines)


def _send_watch(kind: str, runs: Collection[str], send: Send) -> None:
    for payload in payloads_of(runs):
        send(WATCH_CHANNEL, f"{_origin()}\n{kind}\n{payload}")


def _origin() -> str:
    # A forked process has the mark of its parent.
    return f"{os.getpid()}-{_mark}"


def _split(delta: TextDelta) -> Iterator[TextDelta]:
    """Yield a piece as pieces that fit into a notification."""
    size = len(delta.text)
    for start in range(0, max(1, size), _PIECE):
        is_last = delta.is_last and start + _PIECE >= size
        text = delta.text[start : start + _PIECE]
        yield replace(delta, offset=delta.offset + start, text=text, is_last=is_last)


def _row(delta: TextDelta) -> list[Any]:
    return [
        delta.execution_id,
        delta.path,
        delta.request,
        delta.attempt,
        delta.offset,
        delta.text,
        delta.is_last,
    ]
