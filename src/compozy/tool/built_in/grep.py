"""`cp__grep`: a regular expression of a model over files, bounded in time whatever the expression is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex

from compozy.template.re2 import PatternError, translate
from compozy.tool.built_in.files import as_text, read_bytes
from compozy.tool.built_in.folder import CallError, Deadline, Entry, Folder, split_path
from compozy.tool.built_in.specs import MAX_FILE_BYTES, MAX_FILES_VISITED, MAX_RESULTS

_MAX_LINE = 500
_BEFORE = 100
# Processor time of one expression on one line; what takes longer backtracks.
_LINE_S = 0.5


def grep(folder: Folder, arguments: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
    """Return the lines that an expression matches, the first match of each."""
    pattern = _compile(arguments["pattern"], ignore_case=bool(arguments.get("ignore_case")))
    limit: int = arguments.get("max_results", MAX_RESULTS)
    most: int = arguments.get("max_files_visited", MAX_FILES_VISITED)
    matches: list[dict[str, Any]] = []
    for count, (entry, text) in enumerate(_texts(folder, arguments, deadline)):
        if count == most:
            return {"matches": matches, "truncated": True}
        for match in _search(pattern, entry, text, deadline):
            if len(matches) == limit:
                return {"matches": matches, "truncated": True}
            matches.append(match)
    return {"matches": matches}


def _compile(pattern: str, *, ignore_case: bool) -> Any:
    flags = regex.VERSION1 | (regex.IGNORECASE if ignore_case else 0)
    try:
        return regex.compile(translate(pattern), flags=flags)
    except (PatternError, regex.error, RecursionError, OverflowError) as error:
        raise CallError("InvalidArgument", f"`pattern` is not a regular expression: {error}") from error


def _texts(folder: Folder, arguments: Mapping[str, Any], deadline: Deadline) -> Iterator[tuple[Entry, str]]:
    """Yield the files to search with their texts, "" for those that are large or binary."""
    start = split_path(arguments["path"])
    limit: int = arguments.get("max_file_bytes", MAX_FILE_BYTES)
    for parent, entry in _files(folder, start, recursive=bool(arguments.get("recursive")), deadline=deadline):
        try:
            data, _ = read_bytes(folder, parent, entry, limit)
        except CallError:
            if entry.parts == start:
                raise
            # Deleted, replaced or not readable.
            continue
        yield entry, (as_text(data) or "") if len(data) <= limit else ""


def _files(
    folder: Folder, start: tuple[str, ...], *, recursive: bool, deadline: Deadline
) -> Iterator[tuple[int, Entry]]:
    """Yield each file with the descriptor of its folder."""
    if start:
        with folder.open_folder(start[:-1]) as parent:
            entry = folder.look(parent, start)
            if not entry.is_folder:
                yield parent, entry
                return
    for entry in folder.walk(start, recursive=recursive, deadline=deadline):
        if entry.is_folder:
            continue
        try:
            with folder.open_folder(entry.parts[:-1]) as parent:
                yield parent, entry
        except CallError:
            continue


def _search(pattern: Any, entry: Entry, text: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            found = pattern.search(line, timeout=min(_LINE_S, deadline.left_s()), concurrent=True)
        except TimeoutError as error:
            words = f"`pattern` takes too long on line {number} of {entry.path}; write a simpler one"
            raise CallError("DeadlineExceeded", words) from error
        if found is not None:
            column = found.start() + 1
            start = max(0, column - _BEFORE) if column > _MAX_LINE else 0
            shown = line.rstrip("\r")[start : start + _MAX_LINE]
            yield {"file": entry.path, "line": number, "column": column, "text": shown}
