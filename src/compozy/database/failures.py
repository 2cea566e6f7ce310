"""What a database error means for the user, in words."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from compozy.errors import DatabaseError, DatabaseLockedError

_SQLITE: tuple[tuple[tuple[str, ...], type[DatabaseError], str, str], ...] = (
    (
        ("database is locked", "database table is locked"),
        DatabaseLockedError,
        "database is locked: another program holds {location} for longer than database.busy_timeout",
        "end that program, or raise database.busy_timeout; nothing was lost",
    ),
    (
        ("database or disk is full",),
        DatabaseError,
        "no space is left for the database {location}",
        "free space on its disk and start again: unfinished runs go on where they were",
    ),
    (
        ("file is not a database", "malformed", "database corruption"),
        DatabaseError,
        "the database {location} is damaged",
        "restore it from a backup; the file was left as it is",
    ),
    (
        ("readonly database", "read-only"),
        DatabaseError,
        "the database {location} cannot be written",
        "give this user the right to write the file and its folder",
    ),
    (
        ("unable to open database file",),
        DatabaseError,
        "the database {location} cannot be opened",
        "check that its folder exists and that this user may read and write it",
    ),
    (
        ("no such table", "no such column"),
        DatabaseError,
        "the database {location} lacks a part of itself: {cause}",
        "another program changed it; restore it from a backup",
    ),
    (
        ("disk i/o error",),
        DatabaseError,
        "the disk of the database {location} reports an error",
        "check the disk; unfinished runs go on where they were once it works",
    ),
)


@contextmanager
def explain_failures(location: str) -> Generator[None, None, None]:
    """Turn a driver's exception into a DatabaseError that says what to do.

    Args:
        location: the database as the user knows it, without secrets.

    Raises:
        DatabaseError: whatever the driver raised, in words.
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise explain_failure(error, location) from error


def explain_failure(error: Exception, location: str) -> DatabaseError:
    """Return the DatabaseError for a driver's exception."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseError(
            f"no connection to the database {location} became free in time",
            hint="raise database.max_open_conns, or run fewer workflows at once; nothing was lost",
            details={"cause": str(error)},
        )
    original = getattr(error, "orig", None) or error
    if type(original).__module__.startswith("psycopg"):
        # Loaded here: who uses SQLite does without that driver.
        from compozy.database.postgres_failures import explain_postgres

        return explain_postgres(original, location)
    cause = str(original)
    for signs, kind, message, hint in _SQLITE:
        if any(sign in cause.lower() for sign in signs):
            return kind(message.format(location=location, cause=cause), hint=hint, details={"cause": cause})
    return DatabaseError(f"the database {location} failed: {cause}", details={"cause": cause})
