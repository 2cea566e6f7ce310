"""Explains database errors to users."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from compozy.database.filesystem import full_error, is_full, is_read_only, read_only_error
from compozy.errors import DatabaseError, DatabaseLockedError

_READ_ONLY = ("readonly database", "read-only")
_SQLITE: tuple[tuple[tuple[str, ...], type[DatabaseError], str, str], ...] = (
    (
        ("database is locked", "database table is locked"),
        DatabaseLockedError,
        "database is locked: another program holds {location} for longer than database.busy_timeout",
        "stop that program, or raise database.busy_timeout; nothing was lost",
    ),
    (
        ("file is not a database", "malformed", "database corruption"),
        DatabaseError,
        "the database {location} is damaged",
        "restore it from a backup; the file was not changed",
    ),
    (
        _READ_ONLY,
        DatabaseError,
        "the database {location} cannot be written",
        "give this user permission to write the file and its folder",
    ),
    (
        ("unable to open database file",),
        DatabaseError,
        "the database {location} cannot be opened",
        "check that its folder exists and that this user can read and write it",
    ),
    (
        ("no such table", "no such column"),
        DatabaseError,
        "the database {location} is missing a table or column: {cause}",
        "another program changed it; restore it from a backup",
    ),
    (
        ("disk i/o error",),
        DatabaseError,
        "the disk of the database {location} reports an error",
        "check the disk; unfinished runs resume where they were once it works",
    ),
)


@contextmanager
def explain_failures(location: str) -> Generator[None, None, None]:
    """Convert a driver's exception to a DatabaseError that says what to do.

    Args:
        location: the database as shown to the user, without secrets.

    Raises:
        DatabaseError: the driver's exception, explained.
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise explain_failure(error, location) from error


def explain_failure(error: Exception, location: str) -> DatabaseError:
    """Return the DatabaseError for a driver's exception."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseError(
            f"timed out waiting for a free connection to the database {location}",
            hint="raise database.max_open_conns, or run fewer workflows concurrently; nothing was lost",
            details={"cause": str(error)},
        )
    original = getattr(error, "orig", None) or error
    if type(original).__module__.startswith("psycopg"):
        # Imported here: SQLite projects do not need this driver.
        from compozy.database.postgres_failures import explain_postgres

        return explain_postgres(original, location)
    return _explain_sqlite(str(original), location)


def _explain_sqlite(cause: str, location: str) -> DatabaseError:
    explained = _explain_by_disk(cause.lower(), location)
    if explained is not None:
        explained.details = {"cause": cause}
        return explained
    for signs, kind, message, hint in _SQLITE:
        if any(sign in cause.lower() for sign in signs):
            return kind(message.format(location=location, cause=cause), hint=hint, details={"cause": cause})
    return DatabaseError(f"the database {location} failed: {cause}", details={"cause": cause})


def _explain_by_disk(cause: str, location: str) -> DatabaseError | None:
    """Return the error of a full or read-only file system; the location of a SQLite database is its path.

    Without space for the index of its log, SQLite reports an I/O error or that it cannot open the file.
    """
    path = Path(location)
    if "disk is full" in cause:
        return full_error(location)
    if ("disk i/o error" in cause or "unable to open" in cause) and is_full(path):
        return full_error(location)
    if (any(sign in cause for sign in _READ_ONLY) or "unable to open" in cause) and is_read_only(path.parent):
        return read_only_error(location)
    return None
