"""The files and pipes that a database is written to and read from, and the database itself."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from compozy.app import close_storage, display_location, open_reading
from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.errors import ConflictError, NotFoundError, UsageError
from compozy.project.loaded import LoadedProject

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
    """Open a document that can be read twice; what comes from stdin is put into a file that has no name."""
    if source == STREAM:
        with tempfile.TemporaryFile(prefix="compozy-") as file:
            _copy(sys.stdin.buffer, file)
            yield file
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"cannot read {source!r}: {reason}") from error
        yield file


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    try:
        while block := source.read(_COPIED_AT_ONCE):
            target.write(block)
        target.seek(0)
    except OSError as error:
        raise UsageError(
            f"what comes from stdin cannot be kept in {tempfile.gettempdir()!r}: {error.strerror}",
            hint="name the file instead, or another folder in TMPDIR",
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
