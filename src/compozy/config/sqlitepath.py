"""Check of the path of a SQLite database: values that other programs understand, and SQLite would take for a file."""

from __future__ import annotations

import os
import re

from compozy.config.fingerprint import MEMORY

_SQLITE_URL = re.compile(r"(?:(?:jdbc:)?sqlite[23]?(?:\+\w+)?|file):", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SHELL_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
# Variables of configparser and Alembic, of cmd.exe, of templates; commands of shells; blanks to be filled in.
_FOREIGN = re.compile(r"%\((\w+)\)\w|%(\w+)%|\{\{.*?\}\}|\$\(.*?\)|<[^<>/]+>")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def check_sqlite_path(path: str) -> str | None:
    """Return what is wrong with the path of a SQLite database, None when nothing is."""
    url = _SQLITE_URL.match(path)
    if url is not None:
        rest = path[url.end() :].partition("?")[0]
        # SQLAlchemy: three slashes before a relative path, four before an absolute one. SQLite: `file:` and a path. Two
        # slashes are wrong in both.
        is_three = rest.startswith("///") and url[0].lower() != "file:"
        plain = rest.removeprefix("///" if is_three else "//")
        name = MEMORY if MEMORY in rest or "mode=memory" in path or not plain.strip("/") else plain
        return f"expected a path, got a URL; write {name}"
    if _URL.match(path):
        return "expected a path, got a URL; for PostgreSQL write `driver: postgres` and `conn_string`"
    if os.name == "posix" and _DRIVE.match(path):
        return f"{path[:3]!r} is a drive of Windows; write a path of this machine"
    foreign = _FOREIGN.search(path)
    if foreign is not None:
        return f"{foreign[0]!r} is not replaced; write the folder, or a variable as ${{NAME}}"
    variable = _SHELL_VARIABLE.search(path)
    if variable is not None:
        return f"{variable[0]!r} is not a variable; write ${{{variable[1]}}}"
    return _check_name(path)


def _check_name(path: str) -> str | None:
    if path != MEMORY and path.strip().lower() == MEMORY:
        return f"{path!r} would be a file of this name; write {MEMORY}"
    if path.endswith(("/", os.sep)):
        return f"expected a file, got a folder; write {path}compozy.db"
    return "must not contain the character NUL" if "\0" in path else None
