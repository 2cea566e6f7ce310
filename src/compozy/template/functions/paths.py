"""Sprig's functions on paths with slashes. Those for the paths of an operating system are the same here."""

from __future__ import annotations

from compozy.template.functions.registry import function


@function("base osBase", "string")
def base(path: str) -> str:
    """Return the last element of the path."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


@function("dir osDir", "string")
def directory(path: str) -> str:
    """Return the path without its last element."""
    return clean("".join(path.rpartition("/")[:2]))


@function("ext osExt", "string")
def extension(path: str) -> str:
    """Return the end of the path from its last dot on."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return dot + ending if dot else ""


@function("isAbs osIsAbs", "string")
def is_absolute(path: str) -> bool:
    """Return whether the path begins at the root."""
    return path.startswith("/")


@function("clean osClean", "string")
def clean(path: str) -> str:
    """Return the shortest path that means the same."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part == ".." and rooted:
            continue
        elif part not in ("", "."):
            kept.append(part)
    return ("/" if rooted else "") + "/".join(kept) or ("/" if rooted else ".")
