"""A scratch database on the disk or the server of another one: a SQLite file next to it, or a schema in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from compozy.config.settings import DatabaseSettings
from compozy.errors import DatabaseError, UsageError

FILE_NAME = "scratch.db"


@dataclass(kw_only=True)
class Scratch:
    """A scratch database.

    Attributes:
        settings: its section `database`.
        environ: variables with which other processes use it, whatever their project file says.
        location: its location for people, without secrets.
        is_kept: whether it still exists after the block.
    """

    settings: DatabaseSettings
    environ: Mapping[str, str]
    location: str
    is_kept: bool = False


def scratch_database(settings: DatabaseSettings, name: str) -> AbstractContextManager[Scratch]:
    """Create an empty database, and delete it at the end of the block unless it is kept.

    Args:
        settings: the database that it belongs to; nothing of it is read or changed.
        name: the name of the folder or the schema, of lower-case letters, digits and underscores.

    Raises:
        UsageError: the database is in memory.
        DatabaseError: the file or the schema cannot be created.
    """
    return _SCRATCH[settings.driver](settings, name)


@contextmanager
def _sqlite_scratch(settings: DatabaseSettings, name: str) -> Generator[Scratch]:
    file = settings.file
    if file is None:
        raise UsageError("an in-memory database is not durable", hint="name a file with --db-path, or use PostgreSQL")
    home = file.absolute().parent
    folder, is_new_home = home / name, not home.exists()
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise DatabaseError(f"cannot create {str(folder)!r}: {error.strerror}") from error
    path = str(folder / FILE_NAME)
    environ = {"DB_PATH": path, "DB_SYNCHRONOUS": settings.synchronous, "DB_BUSY_TIMEOUT": f"{settings.busy_timeout}s"}
    scratch = Scratch(settings=settings.model_copy(update={"path": path}), environ=environ, location=path)
    try:
        yield scratch
    finally:
        if not scratch.is_kept:
            shutil.rmtree(folder, ignore_errors=True)
            if is_new_home:
                with suppress(OSError):
                    home.rmdir()


@contextmanager
def _postgres_scratch(settings: DatabaseSettings, name: str) -> Generator[Scratch]:
    # Imported here: SQLite projects do not need this driver.
    from compozy.database.postgres_scratch import create_schema, describe_schema, drop_schema, settings_in_schema

    create_schema(settings, name)
    inside, address = settings_in_schema(settings, name)
    environ = {"DB_CONN_STRING": address, "DB_MAX_OPEN_CONNS": str(settings.max_open_conns)}
    scratch = Scratch(settings=inside, environ=environ, location=describe_schema(settings, name))
    try:
        yield scratch
    finally:
        if not scratch.is_kept:
            drop_schema(settings, name)


_SCRATCH: dict[str, Callable[[DatabaseSettings, str], AbstractContextManager[Scratch]]] = {
    "sqlite": _sqlite_scratch,
    "postgres": _postgres_scratch,
}
