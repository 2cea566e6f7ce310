"""The files and pipes that a database is written to and read from, and the database itself."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.errors import ConflictError, ExportFileError, NotFoundError, UsageError
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, display_location, open_reading

STREAM = "-"
_COPIED_AT_ONCE = 1 << 20


@contextmanager
def reading(project: LoadedProject) -> Generator[Database, None, None]:
    """Open the project's database for queries.

    Raises:
        NotFoundError: there is none yet.
        DatabaseError: it cannot be used.
    """
    database = open_reading(project)
    if database is None:
        raise NotFoundError(
            f"there is no database {display_location(project)} yet",
            hint="a run makes it: `compozy workflow run`; another one is named by --config or --db-path",
        )
    try:
        yield database
    finally:
        close_storage(database)


def file_settings(path: Path) -> DatabaseSettings:
    """Return `database:` for a SQLite file."""
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path)})


@contextmanager
def document(source: str) -> Generator[IO[bytes], None, None]:
    """Open a document that can be read twice; what comes from stdin or a pipe is put into a file that has no name.

    Raises:
        UsageError: it cannot be read.
        ExportFileError: as the block raises it, with the file's name.
    """
    name = "stdin" if source == STREAM else source
    try:
        with ExitStack() as stack:
            file = sys.stdin.buffer if source == STREAM else stack.enter_context(_open(source))
            if source == STREAM or not file.seekable():
                kept = stack.enter_context(tempfile.TemporaryFile(prefix="compozy-"))
                _copy(file, kept, name)
                file = kept
            yield file
    except ExportFileError as error:
        raise ExportFileError(f"{name}: {error.message}", hint=error.hint) from error


def _open(source: str) -> IO[bytes]:
    try:
        return Path(source).open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {source!r}: {reason}") from error


def _copy(source: IO[bytes], target: IO[bytes], name: str) -> None:
    try:
        while block := source.read(_COPIED_AT_ONCE):
            target.write(block)
        target.seek(0)
    except OSError as error:
        raise UsageError(
            f"what comes from {name} cannot be kept in {tempfile.gettempdir()!r}: {error.strerror}",
            hint="name an ordinary file instead, or another folder in TMPDIR",
        ) from error


@contextmanager
def writing(target: str, *, replace: bool) -> Generator[IO[bytes], None, None]:
    """Open what is written to; a file is named so when all of it is on the disk."""
    if target == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if Path(target).is_char_device() or Path(target).is_fifo():
        # A pipe or a terminal, such as /dev/stdout: there is nothing to be replaced, or to be complete.
        with explain_writing(Path(target)), Path(target).open("wb") as out:
            yield out
        return
    with complete(Path(target), replace=replace) as partial, partial.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def refuse_own(settings: DatabaseSettings, name: str) -> None:
    """Refuse a file that is the project's own database, or a part of it.

    Raises:
        UsageError: it is.
    """
    own, path = settings.file, Path(name)
    if own is None or "\0" in name:
        return
    full = path.resolve()
    parts = {own.with_name(f"{own.name}{end}") for end in ("", "-wal", "-shm", ".owner")}
    if full in parts or (path.exists() and own.exists() and path.samefile(own)):
        raise UsageError(f"{name!r} is the database itself, or a part of it", hint="name another file")


@contextmanager
def complete(path: Path, *, replace: bool) -> Generator[Path, None, None]:
    """Give an empty file to be filled, which is named `path` when that is done, and gone when it is not."""
    with explain_writing(path):
        if path.exists() and not path.is_file():
            raise UsageError(f"{str(path)!r} is no ordinary file", hint="name another one")
        if path.exists() and not replace:
            raise ConflictError(f"there is a file {str(path)!r}", hint="name another one, or pass --force")
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield partial
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def explain_writing(path: Path) -> Generator[None, None, None]:
    """Tell in words why a file cannot be written."""
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is no name for a file")
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", hint="name another file") from error
