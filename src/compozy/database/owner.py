"""The locks of the process that executes runs on a SQLite file; the kernel releases them when it dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from compozy.clock import monotonic_s
from compozy.database.filesystem import full_error, read_only_error
from compozy.errors import DatabaseError, DatabaseOwnedError

_SUFFIX = ".owner"
_LOCKS = Path("/proc/locks")
_LOCKS_DATABASE = sys.platform == "linux"
_POLL_S = 0.05
# How long a process waits before it reports which process it waits for.
_PATIENCE_S = 0.3


class OwnerLock:
    """Exclusive right to execute runs on one file, from `acquire` until `release` or the end of the process.

    The file next to the database says which process holds the lock. On Linux the database itself is locked too: a hard
    link to it has another owner file, and an owner file can be removed. Elsewhere this would block SQLite's own locks.
    """

    def __init__(self, database_path: Path) -> None:
        self._database_path = database_path
        self._path = _owner_path(database_path)
        self._file: int | None = None
        self._database: int | None = None

    def acquire(self, holder: dict[str, Any], *, wait_s: float, on_wait: Callable[[str], None] | None = None) -> None:
        """Acquire the lock and write `holder` into its file.

        Args:
            holder: JSON that describes this process to others: `pid`, `command`, and `url` for a server.
            wait_s: how long to wait for another process. A server is not waited for: it lasts, and accepts runs itself.
            on_wait: called once, after a moment, with the process that holds the lock.

        Raises:
            DatabaseOwnedError: another process still holds the lock after `wait_s`, or a server does.
            DatabaseError: the lock file cannot be written.
        """
        began_s = monotonic_s()
        file = self._open()
        while (other := self._try_locks(file)) is not None:
            waited_s = monotonic_s() - began_s
            if waited_s >= wait_s or "url" in other:
                os.close(file)
                raise self._owned_error(other, wait_s)
            if on_wait is not None and waited_s >= _PATIENCE_S:
                on_wait(name_holder(other))
                on_wait = None
            time.sleep(_POLL_S)
        self._file = file
        # A full disk only hides the details from other processes. The lock is held all the same.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Release the lock once the database is closed; does nothing if it is not held."""
        if self._file is not None:
            # Truncate, do not remove: otherwise two later processes could lock two different files.
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
        if self._database is not None:
            os.close(self._database)
            self._database = None

    def _try_locks(self, file: int) -> dict[str, Any] | None:
        """Lock both files and return None, or return the process that holds one of them ({} if unknown)."""
        if not _try_lock(file):
            return _read_holder(file)
        database = self._open_database()
        if database is None or _try_lock(database):
            return None
        fcntl.flock(file, fcntl.LOCK_UN)
        return _find_holder(database)

    def _open_database(self) -> int | None:
        """Return a descriptor of the database; None if the file does not exist or the system cannot lock it.

        It stays open until `release`: closing any descriptor of a file drops the locks that SQLite has on it in this
        process.
        """
        if not _LOCKS_DATABASE:
            return None
        if self._database is None:
            with suppress(FileNotFoundError):
                self._database = os.open(self._database_path, os.O_RDONLY | os.O_CLOEXEC)
        return self._database

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno == errno.EROFS:
                raise read_only_error(repr(str(self._database_path))) from error
            if error.errno == errno.ENOSPC:
                raise full_error(repr(str(self._database_path))) from error
            raise DatabaseError(
                f"cannot write {str(self._path)!r}: {error.strerror}",
                hint="SQLite needs to write files next to the database; change the folder's owner or mode",
            ) from error

    def _owned_error(self, holder: dict[str, Any], wait_s: float) -> DatabaseOwnedError:
        is_server = "url" in holder
        waited = f" and did not finish within {wait_s:g} s" if wait_s and not is_server else ""
        return DatabaseOwnedError(
            f"{name_holder(holder)} executes runs on {str(self._database_path)!r}{waited}",
            hint="stop that process, or use another database.path"
            if is_server
            else "wait longer with --wait-for-lock, stop that process, or use another database.path",
            details={"holder": holder},
        )


def read_server_url(database_path: Path) -> str | None:
    """Return the URL of the server that executes runs on a SQLite file, or None."""
    url = (read_holder(database_path) or {}).get("url")
    return url if isinstance(url, str) else None


def read_holder(database_path: Path) -> dict[str, Any] | None:
    """Return what the process that executes runs on a SQLite file wrote into its lock; None if no process does."""
    try:
        file = os.open(_owner_path(database_path), os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        holder = _read_holder(file)
        # The file of a killed process stays, but it is locked only while the process lives. Check the lock second:
        # trying it takes it for a moment.
        return holder if holder and _is_locked(file) else None
    finally:
        os.close(file)


def name_holder(holder: dict[str, Any]) -> str:
    """Return the holder of a lock as messages name it: `process 123 (compozy start)`."""
    who = f"process {holder['pid']} ({holder.get('command', 'compozy')})" if "pid" in holder else "another process"
    return f"{who}, the server at {holder['url']}," if "url" in holder else who


def _owner_path(database_path: Path) -> Path:
    # Next to the file that a symbolic link points to, where SQLite writes its log.
    target = Path(os.path.realpath(database_path))
    return target.with_name(target.name + _SUFFIX)


def _find_holder(database: int) -> dict[str, Any]:
    """Return what the process that locks the database wrote into its owner file, wherever that is now.

    {"pid"} is all if the file cannot be read, {} if the system does not show which process holds the lock.
    """
    inode = str(os.fstat(database).st_ino)
    try:
        # 1: FLOCK  ADVISORY  WRITE 4711 fd:00:2097164 0 EOF
        locks = [line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    for fields in locks:
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode and int(fields[4]) > 0:
            return _read_open_owner_file(int(fields[4]))
    return {}


def _read_open_owner_file(pid: int) -> dict[str, Any]:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if str(link.readlink()).removesuffix(" (deleted)").endswith(_SUFFIX):
                file = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
                holder = _read_holder(file)
                os.close(file)
                if holder.get("pid") == pid:
                    return holder
    return {"pid": pid}


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise DatabaseError(f"the file system cannot lock files: {error.strerror}") from error
    return True


def _read_holder(file: int) -> dict[str, Any]:
    """Return what the lock holder wrote, {} if it is unreadable."""
    try:
        holder: Any = json.loads(os.pread(file, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return cast("dict[str, Any]", holder) if isinstance(holder, dict) else {}
