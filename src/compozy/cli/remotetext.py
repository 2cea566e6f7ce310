"""The answers of models in a run on a server, read from its stream by a thread."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from compozy.client import Client
from compozy.clock import monotonic_s
from compozy.database.live_text import TextDelta
from compozy.errors import CompozyError, ServerError

_LOOK_S = 0.05
_AGAIN_S = 0.5
# How long the end of a stream may take after the end of its run.
_REST_S = 3.0


class TextSink(Protocol):
    """Shows the text that models write."""

    @property
    def is_shown(self) -> bool:
        """Whether text is shown at all; if not, nothing is read."""
        ...

    def add(self, delta: TextDelta) -> None:
        """Show a piece of an answer."""
        ...


class RemoteText:
    """Shows the text of a run on a server. The thread only reads; what it read is shown by `show_for`.

    Args:
        client: of the server.
        execution_id: the run.
        live: shows the text.
    """

    def __init__(self, client: Client, execution_id: str, live: TextSink) -> None:
        self._client = client
        self._id = execution_id
        self._live = live
        self._pieces: SimpleQueue[TextDelta] = SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="compozy-text", daemon=True)

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        """Read the text until the block ends."""
        if self._live.is_shown:
            self._thread.start()
        try:
            yield
        finally:
            self._closed.set()

    def show_for(self, seconds: float) -> None:
        """Wait, and show the text that arrives meanwhile."""
        if not self._live.is_shown:
            time.sleep(seconds)
            return
        ends_s = monotonic_s() + seconds
        while True:
            self._show()
            if (left_s := ends_s - monotonic_s()) <= 0:
                return
            time.sleep(min(_LOOK_S, left_s))

    def finish(self) -> None:
        """Show the rest; called when the run has ended, and with it its stream."""
        if self._live.is_shown:
            self._thread.join(_REST_S)
            self._show()

    def _show(self) -> None:
        while True:
            try:
                self._live.add(self._pieces.get_nowait())
            except Empty:
                return

    def _read(self) -> None:
        while not self._closed.is_set():
            try:
                with self._client.open_stream(
                    "executions", "workflows", self._id, "stream", events="llm_chunk"
                ) as lines:
                    for name, data in lines:
                        if name in {"complete", "error"} or self._closed.is_set():
                            return
                        self._pieces.put(_delta(json.loads(data)))
            except (ServerError, OSError, http.client.HTTPException):
                # The run is shown without text while the server is away.
                pass
            except (CompozyError, ValueError, KeyError):
                # A server of another version sends no text.
                return
            self._closed.wait(_AGAIN_S)


def _delta(piece: dict[str, Any]) -> TextDelta:
    names = ("execution_id", "path", "request", "attempt", "offset", "text")
    return TextDelta(**{name: piece[name] for name in names}, is_last=piece["final"])
