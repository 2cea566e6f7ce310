"""The number of the journal's format, apart from the engine, so that commands which only read need not load it."""

from __future__ import annotations

from collections.abc import Mapping

from compozy.plural import plural

# The order and names of the steps that a run records. Raised by hand when a change in a task kind or in `durable/`
# makes older journals unreadable; never DBOS's own default, a hash of the source, which orphans open runs at each
# upgrade.
JOURNAL_FORMAT = 1

NOTIFIES = "on_failure"
"""Key of definitions whose runs notify about their failure; the receiver is in the files of the project."""

FINISH_ELSEWHERE = "finish them with the version that started them, or cancel them"
"""The way out for runs of another format."""


def describe_foreign_formats(counts: Mapping[int, int]) -> str:
    """Return a line about unfinished runs that this version cannot continue, by their formats."""
    runs = ", ".join(
        f"{plural(count, 'unfinished run')} of journal format {number}" for number, count in counts.items()
    )
    return f"{runs} cannot be continued by this version, whose format is {JOURNAL_FORMAT}"
