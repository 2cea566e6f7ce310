"""A whole database as one file, taken while others write, and put back: by SQLite, and by PostgreSQL's programs."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Collection, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.sqlite import check_header
from compozy.errors import ConflictError, DatabaseError

_PG_HEADER = b"PGDMP"
_KEPT = ".before-restore"
# `2; 3079 16385 EXTENSION - vector` and `4; 0 0 COMMENT - EXTENSION vector`, each perhaps with an owner behind it.
_EXTENSION = re.compile(r"\d+; \d+ \d+ (?:COMMENT - EXTENSION|EXTENSION -) (\S+)")


def back_up_sqlite(path: Path, target: Path, settings: DatabaseSettings) -> None:
    """Write a compact copy of the file at `path` as it is at one moment; others go on reading and writing.

    Args:
        path: the database.
        target: an empty file.
        settings: how long to wait for others.

    Raises:
        DatabaseError: it cannot be read, is damaged, or there is no space for the copy.
    """
    with _explained(path), closing(_open(path, settings.busy_timeout)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    check_sqlite_copy(target)
    _sync(target)


def check_sqlite_copy(path: Path) -> None:
    """Read a whole file and see that it is sound.

    Raises:
        DatabaseError: it is no SQLite database, or damaged.
    """
    check_header(path)
    with _explained(path), closing(_open(path, 0.0)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DatabaseError(f"{str(path)!r} is damaged: {'; '.join(found)}", hint="take another backup")


def restore_sqlite(backup: Path, path: Path) -> Path | None:
    """Put a copy of `backup` in the place of the database at `path`, whose lock the caller holds.

    Returns:
        Where the former database is kept; None when there was none.

    Raises:
        DatabaseError: the copy cannot be written; the database is as it was.
        ConflictError: others have the database open.
    """
    partial = path.with_name(f"{path.name}.partial")
    kept: Path | None = None
    try:
        shutil.copyfile(backup, partial)
        partial.chmod(0o600)
        check_sqlite_copy(partial)
        _sync(partial)
        if path.exists() and path.stat().st_size:
            kept = path.with_name(path.name + _KEPT)
            _fold_log(path)
            kept.unlink(missing_ok=True)
            os.link(path, kept)
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise DatabaseError(
            f"cannot write {str(partial)!r}: {error.strerror}", hint="free space on its disk"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return kept


def back_up(settings: DatabaseSettings, target: Path) -> None:
    """Write a backup of the configured database as it is at one moment into the empty file `target`.

    Raises:
        DatabaseError: it cannot be read, is damaged, its own program is missing, or there is no space for the copy.
    """
    if settings.file is not None:
        back_up_sqlite(settings.file, target, settings)
    else:
        # Loaded here: projects on SQLite work without that driver.
        from compozy.database.postgres import connection_parameters

        back_up_postgres(connection_parameters(settings), target)


def driver_of_backup(path: Path) -> str:
    """Return the kind of database that `path` is a backup of, as `database.driver` has it."""
    with path.open("rb") as file:
        return "postgres" if file.read(len(_PG_HEADER)) == _PG_HEADER else "sqlite"


def back_up_postgres(parameters: Mapping[str, object], target: Path) -> None:
    """Have `pg_dump` write the database.

    Args:
        parameters: how to connect.
        target: a file.

    Raises:
        DatabaseError: there is no `pg_dump`, or it failed.
    """
    address, environ = _address(parameters)
    _call("pg_dump", [address, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}"], environ)
    _sync(target)


def list_extensions(connection: sa.Connection) -> frozenset[str]:
    """Return which extensions a PostgreSQL database has."""
    return frozenset(connection.exec_driver_sql("SELECT extname FROM pg_extension").scalars())


def restore_postgres(parameters: Mapping[str, object], backup: Path, *, extensions: Collection[str] = ()) -> None:
    """Have `pg_restore` put a backup in the place of what the database holds, in one transaction.

    Args:
        parameters: how to connect.
        backup: a file of `pg_dump`.
        extensions: those that the database has. They stay: only who made them may make them anew.

    Raises:
        DatabaseError: there is no `pg_restore`, or it failed; the database is as it was.
    """
    options = ["--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges"]
    entries = _call("pg_restore", ["--list", str(backup)]).splitlines(keepends=True)
    with tempfile.NamedTemporaryFile("w", prefix="compozy-", suffix=".list") as wanted:
        wanted.writelines(entry for entry in entries if _extension_of(entry) not in extensions)
        wanted.flush()
        address, environ = _address(parameters)
        _call("pg_restore", [address, *options, f"--use-list={wanted.name}", str(backup)], environ)


def _extension_of(entry: str) -> str:
    """Return of which extension a line of a backup's contents is; "" when of none."""
    found = _EXTENSION.match(entry)
    return found[1] if found else ""


def _address(parameters: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    given = {key: str(value) for key, value in parameters.items() if key != "password" and str(value)}
    address = " ".join(f"{key}={_quoted(value)}" for key, value in given.items())
    # The password is not shown to everybody who lists processes.
    secret = {"PGPASSWORD": str(parameters["password"])} if parameters.get("password") else {}
    return f"--dbname={address}", secret


def _call(program: str, options: list[str], environ: Mapping[str, str] | None = None) -> str:
    found = shutil.which(program)
    if found is None:
        raise DatabaseError(
            f"{program} is not installed, and nothing else makes a whole copy of a PostgreSQL database",
            hint="install the client programs of PostgreSQL (Debian: postgresql-client), as new as the server",
        )
    done = subprocess.run(
        [found, *options],
        env={**os.environ, **(environ or {}), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line.removeprefix(f"{program}: ") for line in done.stderr.strip().splitlines()]
        reason = "; ".join(lines[:3]) or f"it ended with {done.returncode}"
        newer = "install the client programs of the server's version, or newer" if "version mismatch" in reason else ""
        raise DatabaseError(f"{program} failed: {reason}", hint=newer)
    return done.stdout


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _open(path: Path, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=timeout_s)


def _fold_log(path: Path) -> None:
    """Bring the log of a database into its file: a log must never meet another file than its own."""
    with _explained(path), closing(sqlite3.connect(path, timeout=1.0)) as connection:
        is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    log = path.with_name(f"{path.name}-wal")
    if is_busy or (log.exists() and log.stat().st_size):
        raise ConflictError(f"others have the database {str(path)!r} open", hint="end them first; nothing was changed")
    for name in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DatabaseError(f"the copy of {str(path)!r} failed: {error}", hint="nothing was changed") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
