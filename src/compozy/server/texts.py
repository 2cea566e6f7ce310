"""The answers that models are writing in the watched runs, and how much of them each stream has sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from compozy.clock import monotonic_s
from compozy.database.live_text import TextDelta, TextKey

# How long a complete answer stays for streams that have not sent all of it.
_KEPT_S = 30.0
# Answers that a stream remembers before it forgets those that are not kept.
_SENT_MAX = 200


Cursor = dict[TextKey, tuple[int, int, bool]]
"""The state of one stream: for each answer the attempt, the characters sent, and whether that was all of it."""


class Texts:
    """The text so far of each answer, put together from pieces that may come twice."""

    def __init__(self) -> None:
        self._texts: dict[TextKey, TextDelta] = {}
        self._ended_s: dict[TextKey, float] = {}

    def add(self, delta: TextDelta) -> bool:
        """Add a piece; return False if pieces before it are missing."""
        known = self._texts.get(delta.key)
        if known is None or delta.attempt > known.attempt:
            if delta.offset:
                return False
            self._texts[delta.key] = delta
        elif delta.attempt == known.attempt:
            if delta.offset > known.end:
                return False
            rest = delta.text[known.end - delta.offset :]
            self._texts[delta.key] = replace(
                known, text=known.text + rest, is_last=known.is_last or (delta.is_last and delta.end >= known.end)
            )
        if delta.is_last:
            self._end(delta.key)
        return True

    def take(self, cursor: Cursor, run_id: str, path: str | None = None) -> list[TextDelta]:
        """Return what a stream has not sent of the answers of a run, or of one task, and note it as sent."""
        found: list[TextDelta] = []
        if len(cursor) > _SENT_MAX:
            for key in [key for key in cursor if key not in self._texts]:
                del cursor[key]
        for key in self._keys_of(run_id, path):
            text = self._texts[key]
            attempt, offset, is_complete = cursor.get(key, (0, 0, False))
            if attempt != text.attempt:
                offset, is_complete = 0, False
            if offset < text.end or text.is_last > is_complete:
                found.append(replace(text, offset=offset, text=text.text[offset:]))
                cursor[key] = (text.attempt, text.end, text.is_last)
        return found

    def is_open(self, run_id: str, paths: Collection[str]) -> bool:
        """Return whether a part of the last answer of one of these tasks is here, and not its end."""
        latest = [max(keys) for path in paths if (keys := self._keys_of(run_id, path))]
        return any(not self._texts[key].is_last for key in latest)

    def keep_only(self, runs: Collection[str]) -> None:
        """Forget the answers of all other runs."""
        self._forget([key for key in self._texts if key[0] not in runs])

    def _keys_of(self, run_id: str, path: str | None) -> list[TextKey]:
        return [key for key in self._texts if key[0] == run_id and path in {None, key[1]}]

    def _end(self, key: TextKey) -> None:
        now_s = monotonic_s()
        self._forget([known for known, ended_s in self._ended_s.items() if now_s - ended_s > _KEPT_S])
        self._ended_s[key] = now_s

    def _forget(self, keys: Iterable[TextKey]) -> None:
        for key in keys:
            self._texts.pop(key, None)
            self._ended_s.pop(key, None)
