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


def shows_text(*, quiet: bool, follows: bool) -> bool:
    """Return whether a command shows what models write."""
    return (follows or sys.stderr.isatty()) and not quiet


@dataclass
class _Answer:
    attempt: int
    text: str = ""
    shown: int = 0
    is_complete: bool = False
    is_again: bool = False


class LiveText:
    """Shows one answer at a time; answers of concurrent tasks wait for its end.

    On a terminal, the end of the text is shown on the line that the end of the task replaces, and answers that end
    while they wait are left out.

    Args:
        execution_id: the run.
        quiet: show nothing.
        follows: print the whole text, also if stderr is not a terminal.
    """

    def __init__(self, execution_id: str, *, quiet: bool, follows: bool = False) -> None:
        self.is_shown = shows_text(quiet=quiet, follows=follows)
        self._follows = follows
        self._execution_id = execution_id
        self._answers: dict[TextKey, _Answer] = {}
        self._current: TextKey | None = None
        self._ended: set[str] = set()
        self._complete: set[TextKey] = set()

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
        is_over = delta.path in self._ended and not self._follows
        if delta.execution_id != self._execution_id or is_over or delta.key in self._complete:
            return
        answer = self._answers.get(delta.key)
        if answer is None:
            # An earlier request of the task that is not complete has failed.
            self._complete_all(delta.path)
            self._answers[delta.key] = answer = _Answer(delta.attempt)
        elif delta.attempt > answer.attempt:
            self._answers[delta.key] = answer = _Answer(delta.attempt, is_again=answer.shown > 0)
        # After a lost connection, the text so far comes again.
        answer.text = answer.text[: delta.offset] + delta.text
        answer.is_complete = delta.is_last
        self._advance()

    def end_task(self, path: str, *, has_failed: bool) -> None:
        """Forget the answers of a task that has ended.

        If all text is printed, the answers that wait are printed later; the last piece of one may come after this.
        """
        self._ended.add(path)
        if has_failed or not self._follows:
            self._complete_all(path)
        if not self._follows:
            for key in [key for key in self._answers if key[1] == path]:
                self._drop(key)
        self._advance()

    def _complete_all(self, path: str) -> None:
        for key, answer in self._answers.items():
            answer.is_complete |= key[1] == path

    def _advance(self) -> None:
        """Show what is new of the current answer; after its end, continue with the next one."""
        while self._answers:
            key = self._current = self._current or next(iter(self._answers))
            self._show(key)
            if not self._answers[key].is_complete:
                break
            self._drop(key)
        while len(self._answers) > _WAITING_MAX:
            self._drop(next(key for key in self._answers if key != self._current))

    def _show(self, key: TextKey) -> None:
        answer = self._answers[key]
        if len(answer.text) <= answer.shown:
            return
        if not self._follows:
            write_transient(_tail(key[1], answer.text))
        else:
            if not answer.shown:
                again = paint("  (the answer starts again)", "dim") if answer.is_again else ""
                write_note(f"  {paint('…', 'dim')} {key[1]}{again}\n")
            write_text(answer.text[answer.shown :], indent="    ")
        answer.shown = len(answer.text)

    def _drop(self, key: TextKey) -> None:
        del self._answers[key]
        self._complete.add(key)
        if self._current == key:
            self._current = None
            end_text()


def _tail(path: str, text: str) -> str:
    """Return one line with the end of a text that fits on the terminal."""
    room = shutil.get_terminal_size().columns - len(path) - _AROUND
    start = len(text)
    # Characters outside of ASCII may take two columns.
    while start and (room := room - (1 if text[start - 1].isascii() else 2)) >= 0:
        start -= 1
    line = "".join(char if char.isprintable() else " " for char in text[start:])
    return f"  {paint('…', 'dim')} {path}  {paint(line, 'dim')}"
