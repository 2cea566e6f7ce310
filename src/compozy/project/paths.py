"""Paths in settings: in a file they count from its folder, in flags and variables from the caller's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from compozy.config.fingerprint import MEMORY
from compozy.config.layers import DEFAULT, Layer
from compozy.project.sources import ProjectSources

if TYPE_CHECKING:
    # Models, which a command that asks a server does without.
    from compozy.project.file import ProjectFile

# Words in place of a path: a database in memory, and the authorities that the system trusts.
_WORDS = {"path": MEMORY, "sslrootcert": "system"}

_DATABASE_PATHS = ("path", "sslrootcert", "sslcert", "sslkey")


def resolve_paths(settings: ProjectFile, read: ProjectSources, *, cwd: Path) -> ProjectFile:
    """Return `settings` with absolute paths."""
    changed: dict[str, str] = {}
    for key in _DATABASE_PATHS:
        value = getattr(settings.database, key)
        if value is not None and value != _WORDS.get(key):
            changed[key] = database_path(key, value, read, cwd=cwd)
    providers = tuple(
        provider.model_copy(update={"path": absolute(provider.path, read.root)}) if provider.path else provider
        for provider in settings.llm.providers
    )
    stores = tuple(
        store.model_copy(update={"path": absolute(store.path, read.root)}) if store.path else store
        for store in settings.knowledge.vector_dbs
    )
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update=changed),
            "llm": settings.llm.model_copy(update={"providers": providers}),
            "knowledge": settings.knowledge.model_copy(update={"vector_dbs": stores}),
        }
    )


def database_path(key: str, value: str, read: ProjectSources, *, cwd: Path) -> str:
    """Return the path in `database.<key>` in full.

    That of the database is its own name, whatever links lead to it: the lock of its owner stands beside the file
    itself, as SQLite's log does, and who comes by another name has to find both.
    """
    layer = read.sources.get(f"database.{key}", DEFAULT).layer
    full = absolute(value, cwd if layer in {Layer.FLAG, Layer.ENVIRONMENT} else read.root)
    return os.path.realpath(full) if key == "path" else full


def absolute(path: str, base: Path) -> str:
    """Return `path` in full: from `base`, `~` being the user's home."""
    try:
        expanded = Path(path).expanduser() if path.startswith("~") else Path(path)
    except RuntimeError:
        # No such user: then it is the name of a file that begins with a tilde.
        expanded = Path(path)
    return str(base / expanded)


def shown_path(path: str, cwd: Path) -> str:
    """Return a path as a user in `cwd` would write it: `./data/compozy.db` below it, else in full."""
    if path == MEMORY:
        return path
    relative = os.path.relpath(path, cwd)
    return path if relative.startswith("..") else f"./{relative}"
