"""The corpus of invalid projects: the format of a case, and how to run it.

A case is one text file in `cases/`. Lines that start with `--- ` open its sections:

    --- file: workflows/a.yaml      the text of a file, `{tab}`, `{nul}`, `{bom}` and `{xff}` standing for these bytes
    --- link: workflows/b.yaml      a symbolic link; its text is the target
    --- environ                     NAME=value lines
    --- flags                       dotted.key=value --flag lines
    --- expect                      every error, as `compozy config validate` prints it, in order; or `usage: message`
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from compozy.errors import ProjectError, UsageError
from compozy.project.load import load_project

FOLDER = Path(__file__).parent / "cases"
_BYTES = {b"{tab}": b"\t", b"{nul}": b"\0", b"{bom}": b"\xef\xbb\xbf", b"{xff}": b"\xff"}


@dataclass
class Case:
    """One invalid project and the errors that it must have."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    links: dict[str, str] = field(default_factory=dict[str, str])
    environ: dict[str, str] = field(default_factory=dict[str, str])
    flags: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    expected: list[str] = field(default_factory=list[str])


def read_case(path: Path) -> Case:
    """Read the case in the file at `path`."""
    case = Case()
    for section in re.split(r"^--- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        kind, _, name = title.partition(": ")
        if kind == "file":
            case.files[name] = _with_bytes(body)
        elif kind == "link":
            case.links[name] = body.strip()
        elif kind == "environ":
            case.environ = dict(line.split("=", 1) for line in body.splitlines())
        elif kind == "flags":
            case.flags = dict(_flag(line) for line in body.splitlines())
        elif kind == "expect":
            case.expected = body.splitlines()
        else:
            raise ValueError(f"{path.name}: unknown section {title!r}")
    return case


def find_errors(case: Case, folder: Path) -> list[str]:
    """Write the project of `case` into `folder`, load it and return its errors, line by line."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name, target in case.links.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    try:
        load_project(None, cwd=folder, overrides=case.flags, environ=case.environ)
    except ProjectError as error:
        return [str(fault).replace(str(folder), "DIR") for fault in error.diagnostics]
    except UsageError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return [f"usage: {line}{hint}".replace(str(folder), "DIR") for line in error.message.splitlines()]
    return []


def _with_bytes(text: str) -> bytes:
    data = text.encode()
    for mark, replacement in _BYTES.items():
        data = data.replace(mark, replacement)
    return data


def _flag(line: str) -> tuple[str, tuple[str, str]]:
    setting, _, flag = line.partition(" ")
    key, _, value = setting.partition("=")
    return key, (value, flag)
