"""The file system of a SQLite file: whether it can be written, and has free space."""

from __future__ import annotations

import os
from pathlib import Path

from compozy.errors import DatabaseError

# Less cannot hold the log and the index of the log, which SQLite creates even for queries.
_FULL_BYTES = 1 << 20


def is_full(path: Path) -> bool:
    """Return whether the file system of a database has nearly no free space."""
    state = _state_of(path.parent)
    return state is not None and state.f_bavail * state.f_frsize < _FULL_BYTES


def refuse_full(path: Path, location: str) -> None:
    """Refuse a database whose file system has nearly no free space.

    Raises:
        DatabaseError: new runs may not be stored.
    """
    if is_full(path):
        raise full_error(location)


def is_read_only(path: Path) -> bool:
    """Return whether the file system that contains `path` is mounted read-only."""
    state = _state_of(path)
    return state is not None and bool(state.f_flag & os.ST_RDONLY)


def full_error(location: str) -> DatabaseError:
    """Return the error of a database on a full disk."""
    return DatabaseError(
        f"no space left for the database {location}",
        hint="free disk space and start again: unfinished runs resume where they were",
    )


def read_only_error(location: str) -> DatabaseError:
    """Return the error of a database that cannot be written because of its file system."""
    return DatabaseError(
        f"the database {location} cannot be written: Read-only file system",
        hint="mount the file system writable, or set database.path to a folder that you can write to",
    )


def require_writable(path: Path) -> None:
    """Refuse a file that this user cannot write, or whose folder cannot hold further files.

    Raises:
        DatabaseError: the file system is read-only, or a permission is missing.
    """
    for place in (path, path.parent):
        if os.access(place, os.W_OK):
            continue
        if is_read_only(place):
            raise read_only_error(repr(str(path)))
        raise DatabaseError(
            f"the database {str(path)!r} cannot be written: no permission to write {str(place)!r}",
            hint="SQLite needs to write the file and its folder; change their owner or mode, or use another path",
        )


def _state_of(path: Path) -> os.statvfs_result | None:
    try:
        return os.statvfs(path)
    except (OSError, ValueError):
        return None
