"""What a person sees on a terminal while a run goes on: a line per task, with time and tokens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compozy.cli.output import paint, print_note, write_note
from compozy.config.timespan import format_duration
from compozy.database.status import Status

if TYPE_CHECKING:
    from compozy.database.tasks import TaskEnd


class Progress:
    """Prints the tasks of one run to stderr as they end; notices are printed even where there is no terminal.

    Args:
        execution_id: the run whose tasks are shown; those of other runs, resumed beside it, are not.
        quiet: print nothing.
    """

    def __init__(self, execution_id: str, *, quiet: bool) -> None:
        self._execution_id = execution_id
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._said: set[str] = set()

    def task_began(self, execution_id: str, path: str) -> None:
        """Show which task is at work, on a line that its end replaces."""
        if self._shows(execution_id):
            write_note(f"\r\x1b[K  {paint('…', 'dim')} {path}")

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """Say what is waited for, and how it is sent."""
        if execution_id == self._execution_id and not self._quiet:
            answer = (
                f"approve {execution_id} --input '{{...}}'" if signal is None else f"signal {execution_id} {signal}"
            )
            print_note(f"{path} waits: compozy workflow {answer}")

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """Show how it ended, and report fallbacks and answers that were cut off."""
        if execution_id == self._execution_id:
            line = "recorded before" if replayed else task_details(end.usage or (), seconds)
            self.show_end(path, end.status, line, end.usage or ())

    def show_end(self, task_id: str, status: Status, details: str, usages: Sequence[dict[str, Any]]) -> None:
        """Show the end of a task of the run, and notices of its `usages`."""
        if self._shows(self._execution_id):
            mark = paint("✓", "green") if status is Status.SUCCESS else paint("✗", "red")
            write_note(f"\r\x1b[K  {mark} {task_id}  {paint(details, 'dim')}\n")
        if not self._quiet:
            self._tell_fallbacks(usages)
            for usage in usages:
                if words := CUT_OFF.get(usage.get("finish_reason") or ""):
                    print_note(f"warning: {task_id}: {words}")

    def _shows(self, execution_id: str) -> bool:
        return self._is_terminal and not self._quiet and execution_id == self._execution_id

    def _tell_fallbacks(self, usages: Sequence[dict[str, Any]]) -> None:
        for usage in usages:
            if usage.get("fell_back_from") and usage["fell_back_from"] not in self._said:
                self._said.add(usage["fell_back_from"])
                print_note(
                    f"note: {usage['provider']!r} ({usage['model']}) answered instead of "
                    f"{usage['fell_back_from']!r}: {usage['reason']}"
                )


CUT_OFF = {
    "length": "the answer is not complete: it reached its limit of tokens (raise `max_tokens`)",
    "content_filter": "the answer is not complete: the provider's content filter cut it off",
}
"""What is told of an answer that ended before its end, by its `finish_reason`."""


def task_details(usages: Sequence[dict[str, Any]], seconds: float) -> str:
    """Return time, tokens and model of a task: `0.4s  34 + 9 tokens  local/smollm2`."""
    details = [format_duration(seconds)]
    for usage in usages:
        details.append(f"{usage['input_tokens']} + {usage['output_tokens']} tokens")
        details.append(f"{usage['provider']}/{usage['model']}")
    return "  ".join(details)
