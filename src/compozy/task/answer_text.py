"""The text of one answer while a model writes it, for those who watch the run."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from compozy.database.database import Database
from compozy.database.events import count_run_states
from compozy.database.live_text import TextDelta, forget_text, is_watched, publish_text
from compozy.durable.context import current_run

if TYPE_CHECKING:
    from compozy.model.call import CallPosition

FLUSH_S = 0.08
"""The pause between two pieces. A model writes up to a hundred a second."""
MAX_WRITTEN = 1_000_000
"""Characters of an answer that are shown before its end."""
# Attempts of one request in one process; after a crash, the next process counts from a larger number.
_ATTEMPTS = 1000


async def open_text(database: Database, position: CallPosition) -> PublishedText | None:
    """Return the receiver of the answer to the request at `position`, None if the run is not watched."""
    if not is_watched(position.execution_id):
        return None
    # Each process that takes a run over logs a state of the run.
    states = await database.read_async(partial(count_run_states, execution_id=position.execution_id))
    return PublishedText(position, first_attempt=max(0, states - 1) * _ATTEMPTS)


class PublishedText:
    """Publishes an answer in pieces. It is used on one event loop.

    Args:
        position: the request.
        first_attempt: smaller than every attempt, and larger than all of earlier processes.
    """

    def __init__(self, position: CallPosition, *, first_attempt: int) -> None:
        self._position = position
        self._attempt = first_attempt + 1
        self._raw: list[str] = []
        self._size = 0
        self._shown = ""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the answer again."""
        self._stop_timer()
        self._raw, self._size = [], 0
        if self._shown:
            self._restart()

    def write(self, text: str) -> None:
        """Add text as the model wrote it; it is published within `FLUSH_S`."""
        if self._size > MAX_WRITTEN:
            return
        self._raw.append(text)
        self._size += len(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    async def end(self, text: str) -> None:
        """Publish the rest of the answer `text` when it is stored.

        Raises:
            DatabaseError: it cannot be stored.
        """
        self._stop_timer()
        await current_run().flush()
        if text or self._shown:
            self._publish(text, is_last=True)

    def close(self) -> None:
        """Forget the text of an answer that was not completed."""
        self._stop_timer()
        forget_text((self._position.execution_id, self._position.path, self._position.task_index))

    def _flush(self) -> None:
        from compozy.model.thoughts import written_answer

        self._timer = None
        self._raw = ["".join(self._raw)]
        text = written_answer(self._raw[0])
        if len(text) > len(self._shown) or not self._shown.startswith(text):
            self._publish(text)

    def _publish(self, text: str, *, is_last: bool = False) -> None:
        if not text.startswith(self._shown):
            self._restart()
        delta = TextDelta(
            execution_id=self._position.execution_id,
            path=self._position.path,
            request=self._position.task_index,
            attempt=self._attempt,
            offset=len(self._shown),
            text=text[len(self._shown) :],
            is_last=is_last,
        )
        self._shown = text
        publish_text(delta)

    def _restart(self) -> None:
        self._attempt += 1
        self._shown = ""

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
