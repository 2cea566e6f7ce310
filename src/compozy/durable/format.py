"""The number of the journal's format, apart from the engine, so that commands which only read need not load it."""

# The order and names of the steps that a run records. Raised by hand when a change in a task kind or in `durable/`
# makes older journals unreadable; never DBOS's own default, a hash of the source, which orphans open runs at each
# upgrade.
JOURNAL_FORMAT = 1

NOTIFIES = "on_failure"
"""Key of definitions whose runs notify about their failure; the receiver is in the files of the project."""
