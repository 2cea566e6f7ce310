"""Finds files by a pattern (`docs/**/*.md`) in time linear in the pattern, whatever the pattern is.

A regular expression would backtrack: `*a*a*a*a*a*a*a*a*b` on a long name would take years.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_ANY_DEPTH = "**"
_MAX_PATTERN = 4096
_SETS = re.compile(r"\[!?+\]?+[^\]]*+\]|.", re.DOTALL)


def find_files(
    folder: Path,
    pattern: str,
    *,
    skips: Callable[[str], bool],
    follows: Callable[[Path], bool] = lambda _: False,
) -> Iterator[Path]:
    """Yield the files below `folder` that match `pattern`, each once and sorted; `**` matches folders of any depth.

    Args:
        folder: where to search.
        pattern: names separated by slashes, with `*`, `?` and `[...]` for characters.
        skips: returns whether to skip a name and everything below it.
        follows: returns whether `**` follows a link to a folder; a literal name always does.

    Raises:
        ValueError: the pattern is empty, absolute, too long or contains `..`.
    """
    path = PurePosixPath(pattern)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in pattern or len(pattern) > _MAX_PATTERN:
        raise ValueError("a pattern names files below a folder")
    yield from _walk(folder, frozenset({0}), _Walk(path.parts, skips, follows))


def matches_path(pattern: str, path: str) -> bool:
    """Return whether `find_files` could find the relative `path` with `pattern`."""
    parts = PurePosixPath(pattern).parts
    positions = frozenset({0})
    *folders, name = PurePosixPath(path).parts
    for folder in folders:
        positions = _steps(parts, positions, folder, is_folder=True)
    return len(parts) in _steps(parts, positions, name, is_folder=False) or (
        parts[-1] == _ANY_DEPTH and (len(parts) - 1 in _after_any_depth(parts, positions))
    )


def matches_name(pattern: str, name: str) -> bool:
    """Return whether `name` matches `pattern`, in at most as many steps as the product of their lengths."""
    tokens = _tokens(pattern)
    at = position = 0
    star, resumed = -1, 0
    while position < len(name):
        if at < len(tokens) and tokens[at] == "*":
            star, resumed = at, position
            at += 1
        elif at < len(tokens) and _fits(tokens[at], name[position]):
            at, position = at + 1, position + 1
        elif star >= 0:
            # Only the last `*` can need more characters: earlier ones matched as few as possible.
            resumed += 1
            at, position = star + 1, resumed
        else:
            return False
    return set(tokens[at:]) <= {"*"}


class _Walk(NamedTuple):
    parts: tuple[str, ...]
    skips: Callable[[str], bool]
    follows: Callable[[Path], bool]


def _walk(folder: Path, positions: frozenset[int], walk: _Walk) -> Iterator[Path]:
    """Yield the matches below `folder`, which matches the parts before each of the `positions`."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if walk.skips(entry.name):
            continue
        path = folder / entry.name
        # Unlike that of an entry, this is false for a link that leads to itself.
        is_folder = path.is_dir()
        following = _steps(walk.parts, positions, entry.name, is_folder=is_folder and _is_open(path, positions, walk))
        if len(walk.parts) in following:
            yield path
        deeper = following - {len(walk.parts)}
        if deeper and is_folder:
            yield from _walk(path, deeper, walk)


def _is_open(folder: Path, positions: frozenset[int], walk: _Walk) -> bool:
    """Return whether `**` may enter a folder."""
    if not folder.is_symlink():
        return True
    ahead = _after_any_depth(walk.parts, positions - {len(walk.parts)})
    return any(walk.parts[position] == _ANY_DEPTH for position in ahead) and walk.follows(folder)


def _steps(parts: tuple[str, ...], positions: frozenset[int], name: str, *, is_folder: bool) -> frozenset[int]:
    """Return the positions after `name`; the number of parts means that the whole pattern matched."""
    found: set[int] = set()
    for position in _after_any_depth(parts, positions - {len(parts)}):
        if parts[position] != _ANY_DEPTH:
            if matches_name(parts[position], name):
                found.add(position + 1)
        elif is_folder:
            found.add(position)
            if position == len(parts) - 1:
                found.add(len(parts))
    return frozenset(found)


def _after_any_depth(parts: tuple[str, ...], positions: frozenset[int]) -> frozenset[int]:
    """Return the positions together with those after each `**`, which may match no folder at all."""
    found: set[int] = set()
    for position in positions:
        for index in range(position, len(parts)):
            found.add(index)
            if parts[index] != _ANY_DEPTH:
                break
    return frozenset(found)


@lru_cache(maxsize=1024)
def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple(_SETS.findall(pattern))


def _fits(token: str, char: str) -> bool:
    if len(token) == 1:
        return token in ("?", char)
    return fnmatch.fnmatchcase(char, token)
