"""A fingerprint of a database, which distinguishes databases without revealing their location."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MEMORY = ":memory:"
_DEFAULT_PORT = 5432


def database_fingerprint(driver: str, values: Mapping[str, Any], root: str) -> str:
    """Return the fingerprint of a database.

    Args:
        driver: `sqlite` or `postgres`.
        values: the other keys of `database:`, None or missing for those that are not set; `path` in full.
        root: the project's folder, to which a database in memory belongs.
    """
    parts = _sqlite_parts(values, root) if driver == "sqlite" else _postgres_parts(values)
    return hashlib.sha256("\0".join((driver, *parts)).encode(errors="surrogateescape")).hexdigest()[:16]


def _sqlite_parts(values: Mapping[str, Any], root: str) -> tuple[str, ...]:
    path = str(values.get("path") or "")
    return (MEMORY, os.path.realpath(root)) if path == MEMORY else (os.path.realpath(path),)


def _postgres_parts(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where the server is and which database it is; never a password, which a hash could be searched for."""
    address = values.get("conn_string")
    if address:
        try:
            parts = urlsplit(str(address))
            return (parts.hostname or "", str(parts.port or _DEFAULT_PORT), parts.path.strip("/"))
        except ValueError:
            return ("",)
    port = str(values.get("port") or _DEFAULT_PORT)
    return (str(values.get("host") or ""), port, str(values.get("dbname") or ""))


def database_file(driver: str, path: str | None) -> Path | None:
    """Return the SQLite file that these settings name; None for a database in memory or on a server."""
    return Path(path) if driver == "sqlite" and path and path != MEMORY else None
