"""Where the server of a project would be: what a command has to know of compozy.yaml to ask it.

Nothing is checked here, and no model is loaded: a command that finds a server starts at once. What is wrong with the
files is told by whoever loads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.config.fingerprint import MEMORY, database_file, database_fingerprint
from compozy.config.nodes import ScalarNode, YamlPath, node_at
from compozy.project.paths import database_path, shown_path
from compozy.project.sources import ConfigFiles, ProjectSources, read_config

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_DATABASE_KEYS = ("path", "host", "port", "dbname", "conn_string")


@dataclass(frozen=True, kw_only=True)
class ProjectAddress:
    """A project as clients recognize it. `location` is the database in the words of the user."""

    name: str
    driver: str
    database_path: Path | None
    location: str
    fingerprint: str
    host: str
    port: int
    api_key: str | None = field(repr=False)


def read_address(
    config_file: Path,
    *,
    cwd: Path,
    overrides: Mapping[str, tuple[Any, str]],
    environ: Mapping[str, str],
    files: ConfigFiles | None = None,
) -> ProjectAddress | None:
    """Return the address of the project of `config_file`; None if its files have too many errors."""
    read = read_config(config_file, cwd=cwd, flags=overrides, environ=environ, files=files)
    if read.faults or not read.is_readable:
        return None
    driver = _text(read, "database", "driver") or "postgres"
    values = {key: _text(read, "database", key) for key in _DATABASE_KEYS}
    if values["path"] and values["path"] != MEMORY:
        values["path"] = database_path("path", values["path"], read, cwd=cwd)
    port = _text(read, "server", "port") or ""
    return ProjectAddress(
        name=_text(read, "name") or read.root.resolve().name or "compozy",
        driver=driver,
        database_path=database_file(driver, values["path"]),
        location=shown_path(values["path"], cwd) if values["path"] else driver,
        fingerprint=database_fingerprint(driver, values, str(read.root)),
        host=_text(read, "server", "host") or DEFAULT_HOST,
        port=int(port) if port.isascii() and port.isdigit() else DEFAULT_PORT,
        api_key=_text(read, "server", "api_key"),
    )


def _text(read: ProjectSources, *path: str) -> str | None:
    place: YamlPath = path
    found = node_at(read.node, place)
    return found.text if isinstance(found, ScalarNode) and found.value is not None else None
