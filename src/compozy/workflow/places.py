"""Where each character of a template stands in its file, kept with a run so that its errors can point there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from compozy.config.nodes import YamlPath
from compozy.errors import SourceLocation
from compozy.task.template_context import Locate

# [offset, line, col]: from this offset on, columns count up by one until the next entry.
Breaks = list[list[int]]


def compress_places(length: int, locate: Callable[[int], SourceLocation]) -> Breaks:
    """Return the places of a text of `length` characters as the few offsets at which they jump."""
    breaks: Breaks = []
    expected = (0, 0)
    for offset in range(max(length, 1)):
        location = locate(offset)
        if (location.line, location.col) != expected:
            breaks.append([offset, location.line, location.col])
        expected = (location.line, location.col + 1)
    return breaks


def locate_from(definition: Mapping[str, Any]) -> Locate:
    """Return the lookup of the places in `definition["source"]`: `{"file": str, "places": {path: Breaks}}`.

    `files`, which can be missing, names the files of the paths that do not stand in `file`.
    """
    source: Mapping[str, Any] = definition.get("source") or {}
    places: Mapping[str, Breaks] = source.get("places") or {}
    files: Mapping[str, str] = source.get("files") or {}

    def locate(path: YamlPath) -> Callable[[int], SourceLocation] | None:
        breaks = places.get(path_key(path))
        if not breaks:
            return None
        file = files.get(path_key(path), source.get("file", ""))
        return lambda offset: _place(str(file), breaks, offset)

    return locate


def path_key(path: YamlPath) -> str:
    """Return `path` as text: `tasks/0/prompt`."""
    return "/".join(str(part) for part in path)


def _place(file: str, breaks: Breaks, offset: int) -> SourceLocation:
    index = bisect_right(breaks, [offset, 1 << 62, 0]) - 1
    start, line, col = breaks[max(index, 0)]
    return SourceLocation(file=file, line=line, col=col + offset - start)
