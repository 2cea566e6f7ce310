"""The files and pipes that a database is exported to and imported from."""

from __future__ import annotations

import os
import shlex
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
        NotFoundError: the database does not exist yet.
        DatabaseError: the database cannot be used.
    """
    database = open_reading(project)
    if database is None:
        raise NotFoundError(
            f"the database {display_location(project)} does not exist yet",
            hint="create it with a run, `compozy workflow run`, or name another one with --config or --db-path",
        )
    try:
        yield database
    finally:
        close_storage(database)


def file_settings(path: Path) -> DatabaseSettings:
    """Return the database settings for a SQLite file."""
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path)})


@contextmanager
def document(source: str) -> Generator[IO[bytes], None, None]:
    """Open a document that can be read twice; input from stdin or a pipe is copied to an unnamed temporary file.

    Raises:
        UsageError: the document cannot be read.
        ExportFileError: raised by the block, with the file name added.
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
            f"failed to store the input from {name} in {tempfile.gettempdir()!r}: {error.strerror}",
            hint="name a regular file instead, or set TMPDIR to another folder",
        ) from error


@contextmanager
def writing(target: str, *, replace: bool) -> Generator[IO[bytes], None, None]:
    """Open `target` for writing; a file appears under its name once it is complete and synced to disk."""
    if target == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if Path(target).is_char_device() or Path(target).is_fifo():
        # A pipe or a terminal, such as /dev/stdout, cannot be replaced or completed.
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
    """Yield an empty file to fill; it is renamed to `path` when complete, and deleted otherwise."""
    with explain_writing(path):
        if path.exists() and not path.is_file():
            raise UsageError(f"{str(path)!r} is not a regular file", hint="name another one")
        if path.exists() and not replace:
            raise ConflictError(f"the file {str(path)!r} already exists", hint="name another one, or pass --force")
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
    """Explain why a file cannot be written."""
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is not a valid file name")
    try:
        yield
    except OSError as error:
        if not path.parent.exists():
            folder = str(path.parent)
            raise UsageError(
                f"cannot write {str(path)!r}: the folder {folder!r} does not exist",
                hint=f"create it with `mkdir -p {shlex.quote(folder)}`, or name another file",
            ) from error
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", hint="name another file") from error
