"""Backs up and restores a whole database as one file: with SQLite itself, or with PostgreSQL's client programs."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.attachments import find_damaged
from compozy.database.sqlite import check_header
from compozy.database.tables import attachments
from compozy.errors import ConflictError, DatabaseError
from compozy.plural import plural

_PG_HEADER = b"PGDMP"
_KEPT = ".before-restore"
# The columns of the rows that follow.
_COPY = re.compile(r"COPY \S+ \((.*)\) FROM stdin;")
_QUERY = re.compile(r"(?:detail: )?Query was: ")
_HINTS = {
    "version mismatch": "install client programs that are not older than the server",
    "permission denied": "a backup contains the whole database, also tables of others. Create it as a user who may "
    "read all of it, or copy this project with `compozy db export`",
}
# Tables of other programs may have the same name.
_ATTACHMENT = {"workflow_exec_id", "sha256", "content"}
# Damaged attachments in an error.
_NAMED = 5
# Such as `2; 3079 16385 EXTENSION - vector` and `4; 0 0 COMMENT - EXTENSION vector`, optionally followed by an owner.
_EXTENSION = re.compile(r"\d+; \d+ \d+ (?:COMMENT - EXTENSION|EXTENSION -) (\S+)")


def back_up_sqlite(path: Path, target: Path, settings: DatabaseSettings) -> None:
    """Write a compact snapshot of the file at `path` into `target` while other connections read and write.

    Args:
        path: the database.
        target: an empty file.
        settings: how long to wait for a lock.

    Raises:
        DatabaseError: the database cannot be read, is damaged, or there is no space for the copy.
    """
    with _explained(path), closing(_open(path, settings.busy_timeout)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    check_sqlite_copy(target)
    _sync(target)


def check_sqlite_copy(path: Path) -> None:
    """Check the integrity of a whole SQLite file.

    Raises:
        DatabaseError: the file is not a SQLite database, or is damaged.
    """
    check_header(path)
    with _explained(path), closing(_open(path, 0.0)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DatabaseError(f"{str(path)!r} is damaged: {'; '.join(found)}", hint="take another backup")


def restore_sqlite(backup: Path, path: Path) -> Path | None:
    """Replace the database at `path`, whose lock the caller holds, with a copy of `backup`.

    Returns:
        The path of the previous database; None if there was none.

    Raises:
        DatabaseError: the copy cannot be written. The database is unchanged.
        ConflictError: another process has the database open.
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
    """Write a snapshot of the configured database into the empty file `target`.

    Raises:
        DatabaseError: the database cannot be read, is damaged, a client program is missing, or there is no space left.
    """
    if settings.file is not None:
        back_up_sqlite(settings.file, target, settings)
    else:
        # Imported here: SQLite projects do not need this driver.
        from compozy.database.postgres import connection_parameters

        back_up_postgres(connection_parameters(settings), target)


def driver_of_backup(path: Path) -> str:
    """Return the `database.driver` whose backup `path` is."""
    with path.open("rb") as file:
        return "postgres" if file.read(len(_PG_HEADER)) == _PG_HEADER else "sqlite"


def back_up_postgres(parameters: Mapping[str, object], target: Path) -> None:
    """Back up the database with `pg_dump`.

    Args:
        parameters: connection parameters.
        target: the file to write.

    Raises:
        DatabaseError: `pg_dump` is not installed, or it failed.
    """
    address, environ = _address(parameters)
    _call("pg_dump", [address, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}"], environ)
    _sync(target)


def list_extensions(connection: sa.Connection) -> frozenset[str]:
    """Return the extensions of a PostgreSQL database."""
    return frozenset(connection.exec_driver_sql("SELECT extname FROM pg_extension").scalars())


def restore_postgres(parameters: Mapping[str, object], backup: Path, *, extensions: Collection[str] = ()) -> None:
    """Replace the contents of the database with a backup, using `pg_restore` in one transaction.

    Args:
        parameters: connection parameters.
        backup: a file written by `pg_dump`.
        extensions: extensions of the database. They are kept, because only their owner can create them again.

    Raises:
        DatabaseError: `pg_restore` is not installed, or it failed. The database is unchanged.
    """
    options = ["--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges"]
    entries = _call("pg_restore", ["--list", str(backup)]).splitlines(keepends=True)
    with tempfile.NamedTemporaryFile("w", prefix="compozy-", suffix=".list") as wanted:
        wanted.writelines(entry for entry in entries if _extension_of(entry) not in extensions)
        wanted.flush()
        address, environ = _address(parameters)
        _call("pg_restore", [address, *options, f"--use-list={wanted.name}", str(backup)], environ)


def refuse_damaged_attachments(backup: Path) -> None:
    """Refuse a file written by `pg_dump` if the content of an attachment does not have its SHA-256.

    Raises:
        DatabaseError: names the attachments, or `pg_restore` is not installed or failed.
    """
    with tempfile.TemporaryFile("w+", prefix="compozy-") as rows:
        # Written to a file: the contents may not fit in memory.
        options = ["--data-only", f"--table={attachments.name}", "--file=-", str(backup)]
        _call("pg_restore", options, out=rows)
        rows.seek(0)
        refuse_attachments(find_damaged(_rows_of_copy(rows)), backup)


def refuse_attachments(damaged: Sequence[str], backup: Path) -> None:
    """Refuse a backup with attachments that do not have their content.

    Args:
        damaged: the execution and SHA-256 of each.
        backup: the file.

    Raises:
        DatabaseError: there are such attachments.
    """
    if damaged:
        raise DatabaseError(
            f"{str(backup)!r} is damaged: {plural(len(damaged), 'attachment')} without the content of its SHA-256: "
            f"{', '.join(damaged[:_NAMED])}{', ...' if len(damaged) > _NAMED else ''}",
            hint="nothing was changed; restore another backup",
        )


def _rows_of_copy(script: Iterable[str]) -> Generator[tuple[str, str, str]]:
    """Yield execution, SHA-256 and content of the rows that a script of `pg_restore` copies into `attachments`."""
    columns: list[str] = []
    for line in script:
        found = _COPY.match(line)
        if found:
            columns = found[1].split(", ")
        elif line == "\\.\n":
            columns = []
        elif set(columns) >= _ATTACHMENT:
            row = dict(zip(columns, line.rstrip("\n").split("\t"), strict=False))
            yield row["workflow_exec_id"], row.get("sha256", ""), row.get("content", "")


def _extension_of(entry: str) -> str:
    """Return the extension that a line of a backup's contents belongs to, or ""."""
    found = _EXTENSION.match(entry)
    return found[1] if found else ""


def _address(parameters: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    given = {key: str(value) for key, value in parameters.items() if key != "password" and str(value)}
    address = " ".join(f"{key}={_quoted(value)}" for key, value in given.items())
    # Passed by environment variable: the process list must not show the password.
    secret = {"PGPASSWORD": str(parameters["password"])} if parameters.get("password") else {}
    return f"--dbname={address}", secret


def _call(
    program: str, options: list[str], environ: Mapping[str, str] | None = None, *, out: IO[str] | int = subprocess.PIPE
) -> str:
    found = shutil.which(program)
    if found is None:
        raise DatabaseError(
            f"{program} is not installed; it is required to copy a whole PostgreSQL database",
            hint="install the PostgreSQL client programs (Debian: postgresql-client), not older than the server",
        )
    done = subprocess.run(
        [found, *options],
        env={**os.environ, **(environ or {}), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line.removeprefix(f"{program}: ") for line in done.stderr.strip().splitlines()]
        # The query may name every table of the database.
        told = [line for line in lines if not _QUERY.match(line)]
        reason = "; ".join(told[:3]) or f"exit code {done.returncode}"
        hint = next((hint for cause, hint in _HINTS.items() if cause in reason), "")
        raise DatabaseError(f"{program} failed: {reason}", hint=hint)
    return done.stdout


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _open(path: Path, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=timeout_s)


def _fold_log(path: Path) -> None:
    """Write the log of a database back into its file: a log must never be combined with another file."""
    with _explained(path), closing(sqlite3.connect(path, timeout=1.0)) as connection:
        is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    log = path.with_name(f"{path.name}-wal")
    if is_busy or (log.exists() and log.stat().st_size):
        raise ConflictError(
            f"other processes have the database {str(path)!r} open", hint="stop them first; nothing was changed"
        )
    for name in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DatabaseError(f"failed to copy {str(path)!r}: {error}", hint="nothing was changed") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
