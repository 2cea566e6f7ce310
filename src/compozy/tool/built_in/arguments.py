"""Arguments of `cp__exec`: whatever in them can be a path leads to a file that the file tools could read, too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from compozy.tool.built_in.folder import CallError, Folder, split_path
from compozy.tool.built_in.specs import MAX_ARGUMENTS

_ALLOWED = re.compile(r"[\w\-./@=+:,]+")
_SEPARATOR = re.compile(r"[=:,@+]")
_MAX_LENGTH = 1000
_MAX_SEPARATORS = 12


def check_arguments(folder: Folder, working_dir: tuple[str, ...], arguments: Sequence[str]) -> None:
    """Refuse arguments that could name a file outside of the folder, a link, or a closed file.

    An argument can name a file as a whole (`notes.md`), behind a sign (`--file=notes.md`, `@notes.md`), or behind the
    letter of an option (`-fnotes.md`).

    Args:
        folder: the folder of the tools.
        working_dir: where the command runs.
        arguments: of the command.

    Raises:
        CallError: names the argument.
    """
    if len(arguments) > MAX_ARGUMENTS:
        raise CallError("InvalidArgument", f"a command has at most {MAX_ARGUMENTS} arguments")
    for argument in arguments:
        is_short = len(argument) <= _MAX_LENGTH and len(_SEPARATOR.findall(argument)) <= _MAX_SEPARATORS
        if not is_short or not _ALLOWED.fullmatch(argument):
            words = f"the argument {argument[:100]!r} contains characters other than letters, digits and `_-./@=+:,`"
            raise CallError("InvalidArgument", words if is_short else f"the argument {argument[:100]!r} is too long")
        for path in dict.fromkeys(_paths_in(argument)):
            _check_path(folder, working_dir, path, argument)


def _paths_in(argument: str) -> Iterator[str]:
    """Yield every part of an argument that a program could take for a path."""
    signs = [found.start() for found in _SEPARATOR.finditer(argument)]
    starts = [0, *(at + 1 for at in signs)]
    ends = [*signs, len(argument)]
    for start in starts:
        yield from (argument[start:end] for end in ends if end > start)
    for start, end in pairwise([-1, *signs, len(argument)]):
        piece = argument[start + 1 : end]
        if piece.startswith("-"):
            yield from (piece[at:] for at in range(1, len(piece)))


def _check_path(folder: Folder, working_dir: tuple[str, ...], path: str, argument: str) -> None:
    if ".." in path.split("/"):
        raise CallError("PermissionDenied", f"the argument {argument!r} leaves the folder through `..`")
    if path.startswith("/"):
        if not Path(path).is_relative_to(folder.path):
            words = f"the argument {argument!r} is a path outside of the root folder of the tools"
            raise CallError("PermissionDenied", words)
        parts = split_path(str(Path(path).relative_to(folder.path)))
    else:
        parts = (*working_dir, *split_path(path))
        _check_hidden(folder, parts[: len(working_dir) + 1], path, argument)
    if parts:
        _check_parts(folder, parts)


def _check_hidden(folder: Folder, first: tuple[str, ...], path: str, argument: str) -> None:
    """Refuse an absolute path behind letters, as in `r/etc/passwd`, unless they are a folder."""
    _, slash, rest = path.partition("/")
    if slash and os.path.lexists(f"/{rest}") and not (folder.path / Path(*first)).is_dir():
        words = f"the argument {argument!r} is a path outside of the root folder of the tools"
        raise CallError("PermissionDenied", words)


def _check_parts(folder: Folder, parts: tuple[str, ...]) -> None:
    for index, name in enumerate(parts):
        folder.check_name(name, parts[: index + 1])
    try:
        with folder.open_folder(parts[:-1]) as parent:
            folder.look(parent, parts)
    except CallError as error:
        # A path that does not exist counts as a word; the command itself reports a missing path.
        if error.code not in {"FileNotFound", "InvalidArgument"}:
            raise
