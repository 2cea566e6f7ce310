"""A checkpoint that stores recorded values as JSON text, like the durable runtime does."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from pydantic import JsonValue


class Journal:
    """Records each step once. `replay` returns a journal that contains the first steps and executes the others."""

    def __init__(self, recorded: list[tuple[str, str]] | None = None) -> None:
        self.recorded = recorded or []
        self.called: list[str] = []
        self._next = 0

    async def __call__(self, name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        if self._next == len(self.recorded):
            self.recorded.append((name, json.dumps(await call())))
            self.called.append(name)
        expected, text = self.recorded[self._next]
        assert name == expected, "a replay asks for the same steps in the same order"
        self._next += 1
        return json.loads(text)

    def replay(self, steps: int | None = None) -> Journal:
        return Journal(self.recorded[:steps])
