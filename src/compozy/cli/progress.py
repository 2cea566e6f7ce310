"""Progress of a run on a terminal: a line per task, with time and tokens."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from compozy.cli.cutoff import warn_of_cut_off
from compozy.cli.livetext import LiveText
from compozy.cli.output import paint, print_note, write_note, write_transient
from compozy.cli.results import ANSWER, Document, approve_command, describe_place, seconds_of
from compozy.config.timespan import format_duration
from compozy.database.status import Status

if TYPE_CHECKING:
    from compozy.database.tasks import TaskEnd


class Progress:
    """Prints the tasks of one run to stderr as they end; notices are printed even if stderr is not a terminal.

    Args:
        execution_id: the run whose tasks are shown; those of other runs, resumed beside it, are not.
        quiet: print nothing.
        answered: paths of waiting tasks whose signal is stored already, which is not asked for again.
        follows: print all that models write, also if stderr is not a terminal.

    Attributes:
        text: shows what models write.
    """

    def __init__(
        self, execution_id: str, *, quiet: bool, answered: Collection[str] = (), follows: bool = False
    ) -> None:
        self._answered = answered
        self._execution_id = execution_id
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._said: set[str] = set()
        self.text = LiveText(execution_id, quiet=quiet, follows=follows)

    def task_began(self, execution_id: str, path: str) -> None:
        """Show which task is at work, on a line that its end replaces."""
        if self._shows(execution_id):
            write_transient(f"  {paint('…', 'dim')} {path}")

    def task_waits(self, execution_id: str, path: str, signal: str | None) -> None:
        """Say what is waited for, and how it is sent."""
        if execution_id == self._execution_id and not self._quiet and path not in self._answered:
            approve = approve_command(execution_id, _choice(path), ANSWER)
            command = approve if signal is None else f"compozy workflow signal {execution_id} {signal}"
            print_note(f"{path} waits: {command}")

    def budget_spent(self, execution_id: str, path: str, text: str, option: str) -> None:
        """Say which budget is spent, and how it is raised or denied."""
        if execution_id == self._execution_id and not self._quiet and path not in self._answered:
            answer = f"--{option.replace('_', '-')} N, or --deny"
            print_note(f"{text}\n  {approve_command(execution_id, _choice(path), answer)}")

    def run_waits(self, run: Document) -> None:
        """Say once what a run waits for whose limits do not let it start."""
        place = describe_place(run)
        if place is not None and not self._quiet and place not in self._said:
            self._said.add(place)
            print_note(f"the execution {place}")

    def task_ended(self, execution_id: str, path: str, end: TaskEnd, *, replayed: bool, seconds: float) -> None:
        """Show how it ended, and report fallbacks and answers that were cut off."""
        if execution_id == self._execution_id:
            line = "recorded before" if replayed else task_details(end.usage or (), seconds)
            self.show_end(path, end.status, line, end.usage or ())

    def show_end(self, path: str, status: Status, details: str, usages: Sequence[dict[str, Any]]) -> None:
        """Show the end of a task of the run, and notices of its `usages`."""
        self.text.end_task(path, has_failed=status is not Status.SUCCESS)
        if self._shows(self._execution_id):
            mark = paint("✓", "green") if status is Status.SUCCESS else paint("✗", "red")
            write_note(f"  {mark} {path}  {paint(details, 'dim')}\n")
        if not self._quiet:
            self._print_fallbacks(usages)
            warn_of_cut_off(path, usages)

    def _shows(self, execution_id: str) -> bool:
        return self._is_terminal and not self._quiet and execution_id == self._execution_id

    def _print_fallbacks(self, usages: Sequence[dict[str, Any]]) -> None:
        for usage in usages:
            if usage.get("fell_back_from") and usage["fell_back_from"] not in self._said:
                self._said.add(usage["fell_back_from"])
                print_note(
                    f"note: {usage['provider']!r} ({usage['model']}) answered instead of "
                    f"{usage['fell_back_from']!r}: {usage['reason']}"
                )


class Follower:
    """Reports the tasks of a run from its documents, with the lines of a run in this process."""

    def __init__(self, execution_id: str, progress: Progress) -> None:
        self._execution_id = execution_id
        self._progress = progress
        self._seen: set[tuple[str, Status]] = set()

    def update(self, run: Document) -> None:
        """Report what changed since the last document: tasks that started, wait, or ended."""
        self._progress.run_waits(run)
        tasks: list[Document] = run["tasks"]
        for task in sorted(tasks, key=_order_of_events):
            path, status = task["path"], Status(task["status"])
            if (path, status) in self._seen:
                continue
            self._seen.add((path, status))
            if status.is_final:
                usage: list[Document] = task["usage"]
                is_kept = task["attempts"] == 0 and status is not Status.CANCELED
                details = "recorded before" if is_kept else task_details(usage, seconds_of(task) or 0.0)
                self._progress.show_end(path, status, details, usage)
            elif status is Status.WAITING and not task["signal_arrived"]:
                self._report_wait(task)
            elif status is Status.RUNNING:
                self._progress.task_began(self._execution_id, path)

    def _report_wait(self, task: Document) -> None:
        path: str = task["path"]
        asked: Document = task["output"] or {}
        if "budget" in asked:
            form: Document = asked["form"]
            text, option = form["description"], form["then"]["required"][0]
            self._progress.budget_spent(self._execution_id, path, text, option)
        else:
            signal = None if "form" in asked else task["waits_for"]
            self._progress.task_waits(self._execution_id, path, signal)


def _choice(path: str) -> str | None:
    """Return the path that an answer has to name; None if no other task can wait at the same time.

    Tasks inside a container can wait at the same time, and the hint of the first is printed before the others wait.
    """
    return path if "/" in path else None


def _order_of_events(task: Document) -> tuple[bool, str, int, str]:
    """Ended tasks first, in that order; at the same time a task inside a container before the container."""
    path: str = task["path"]
    ended = task["finished_at"]
    is_open = ended is None
    return (is_open, ended or task["started_at"] or "", len(path) if is_open else -len(path), path)


def task_details(usages: Sequence[dict[str, Any]], seconds: float) -> str:
    """Return time, tokens and model of a task: `0.4s  34 + 9 tokens  local/smollm2`."""
    details = [format_duration(seconds)]
    for usage in usages:
        details.append(f"{usage['input_tokens']} + {usage['output_tokens']} tokens")
        details.append(f"{usage['provider']}/{usage['model']}")
    return "  ".join(details)
