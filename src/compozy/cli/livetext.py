"""The answers of models on a terminal while they are written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from compozy.cli.output import end_text, paint, write_note, write_text, write_transient
from compozy.database.live_text import (
    TextDelta,
    TextKey,
    add_text_listener,
    remove_text_listener,
    unwatch_texts,
    watch_texts,
)

# Answers of tasks that run concurrently and wait to be shown.
_WAITING_MAX = 100
# Columns of a line that neither the path nor the text takes.
_AROUND = 8


@dataclass
class _Answer:
    attempt: int
    text: str
    shown: int = 0


class LiveText:
    """Shows one answer at a time; answers of concurrent tasks wait for its end, and are left out if they end first.

    On a terminal, the end of the text is shown on the line that the end of the task replaces.

    Args:
        execution_id: the run.
        quiet: show nothing.
        follows: print the whole text, also if stderr is not a terminal.
    """

    def __init__(self, execution_id: str, *, quiet: bool, follows: bool = False) -> None:
        self.is_shown = (follows or sys.stderr.isatty()) and not quiet
        self._follows = follows
        self._execution_id = execution_id
        self._answers: dict[TextKey, _Answer] = {}
        self._current: TextKey | None = None
        self._ended: set[str] = set()

    @contextmanager
    def listening(self) -> Generator[None, None, None]:
        """Show the answers of a run in this process until the block ends."""
        if not self.is_shown:
            yield
            return
        watch_texts([self._execution_id])
        add_text_listener(self.add)
        try:
            yield
        finally:
            remove_text_listener(self.add)
            unwatch_texts([self._execution_id])
            end_text()

    def add(self, delta: TextDelta) -> None:
        """Show a piece of an answer, or keep it until the answer before it has ended."""
        if delta.execution_id != self._execution_id or delta.path in self._ended:
            return
        answer = self._answers.get(delta.key)
        if answer is None or delta.attempt > answer.attempt:
            if answer is not None and answer.shown and self._follows:
                write_note(f"    {paint('(the answer starts again)', 'dim')}\n")
            self._answers[delta.key] = answer = _Answer(delta.attempt, "")
        # After a lost connection, the text so far comes again.
        answer.text = answer.text[: delta.offset] + delta.text
        self._show(delta.key)
        if delta.is_last:
            self._end(delta.key)

    def end_task(self, path: str) -> None:
        """Forget the answers of a task that has ended."""
        self._ended.add(path)
        for key in [key for key in self._answers if key[1] == path]:
            self._end(key)

    def _show(self, key: TextKey) -> None:
        answer = self._answers[key]
        if self._current is None and answer.text:
            self._current = key
            if self._follows:
                write_note(f"  {paint('…', 'dim')} {key[1]}\n")
        if self._current == key and len(answer.text) > answer.shown:
            if self._follows:
                write_text(answer.text[answer.shown :], indent="    ")
            else:
                write_transient(_tail(key[1], answer.text))
            answer.shown = len(answer.text)

    def _end(self, key: TextKey) -> None:
        del self._answers[key]
        if self._current == key:
            self._current = None
            end_text()
            if self._answers:
                self._show(next(iter(self._answers)))
        while len(self._answers) > _WAITING_MAX:
            del self._answers[max(self._answers, key=lambda known: known != self._current)]


def _tail(path: str, text: str) -> str:
    """Return one line with the end of a text that fits on the terminal."""
    room = shutil.get_terminal_size().columns - len(path) - _AROUND
    start = len(text)
    # Characters outside of ASCII may take two columns.
    while start and (room := room - (1 if text[start - 1].isascii() else 2)) >= 0:
        start -= 1
    line = "".join(char if char.isprintable() else " " for char in text[start:])
    return f"  {paint('…', 'dim')} {path}  {paint(line, 'dim')}"
