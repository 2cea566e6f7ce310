"""`cp__list_dir` and `cp__list_files`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compozy.filepatterns import matches_name, matches_path
from compozy.tool.built_in.folder import CallError, Deadline, Entry, Folder, modified, shown, split_path

_MAX_FILES = 10_000
_MAX_PATTERN = 1000
_MAX_ALTERNATIVES = 100


def list_dir(folder: Folder, arguments: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
    """Return one page of the files and folders in a folder."""
    start = split_path(arguments["path"])
    after = split_path(arguments["page_token"]) if arguments.get("page_token") else ()
    size: int = arguments.get("page_size", 200)
    pattern = Patterns(arguments["pattern"]) if arguments.get("pattern") else None
    wanted = {True: arguments.get("include_dirs", True), False: arguments.get("include_files", True)}
    entries: list[Entry] = []

    def leads_on(entry: Entry) -> bool:
        # Entries below a folder follow it directly: folders before the page are read only on its path.
        return entry.parts >= after[: len(entry.parts)]

    recursive = bool(arguments.get("recursive"))
    for entry in folder.walk(start, recursive=recursive, deadline=deadline, enters=leads_on):
        if entry.parts <= after or not wanted[entry.is_folder]:
            continue
        if pattern is not None and not pattern.match(entry.parts[len(start) :]):
            continue
        if len(entries) == size:
            return {"entries": [_described(entry) for entry in entries], "next_page_token": entries[-1].path}
        entries.append(entry)
    return {"entries": [_described(entry) for entry in entries]}


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.parts[-1],
        "path": entry.path,
        "type": "dir" if entry.is_folder else "file",
        "size": entry.status.st_size,
        "modified": modified(entry.status),
    }


def list_files(folder: Folder, arguments: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
    """Return the paths of the files in a folder."""
    start = split_path(arguments["dir"])
    given: str | list[str] = arguments.get("exclude", [])
    rules = [_Rule(rule) for rule in ([given] if isinstance(given, str) else given)]

    def is_kept(entry: Entry) -> bool:
        return not _is_excluded(rules, entry.parts[len(start) :])

    files: list[str] = []
    recursive = bool(arguments.get("recursive"))
    for entry in folder.walk(start, recursive=recursive, deadline=deadline, enters=is_kept):
        if entry.is_folder or not is_kept(entry):
            continue
        if len(files) == _MAX_FILES:
            return {"files": files, "truncated": True}
        files.append(entry.path)
    return {"files": files}


def _is_excluded(rules: Sequence[_Rule], parts: tuple[str, ...]) -> bool:
    """Return what the last rule that matches says."""
    return next((not rule.keeps for rule in reversed(rules) if rule.patterns.match(parts)), False)


class _Rule:
    def __init__(self, text: str) -> None:
        self.keeps = text.startswith("!")
        self.patterns = Patterns(text.removeprefix("!"))


class Patterns:
    """A pattern with alternatives, `*.{md,txt}`: without a `/` it matches names, else paths.

    Raises:
        CallError: it is too long or has too many alternatives.
    """

    def __init__(self, text: str) -> None:
        pattern = text.strip("/")
        if not pattern or len(pattern) > _MAX_PATTERN or "\0" in pattern or ".." in pattern.split("/"):
            raise CallError("InvalidArgument", f"{text[:100]!r} is not a pattern")
        self._alternatives = _expand(pattern)
        self._has_folder = "/" in pattern

    def match(self, parts: tuple[str, ...]) -> bool:
        """Return whether a path, from the folder that is listed, matches."""
        if self._has_folder:
            path = shown(parts)[1:]
            return any(matches_path(pattern, path) for pattern in self._alternatives)
        return any(matches_name(pattern, parts[-1]) for pattern in self._alternatives)


def _expand(pattern: str) -> list[str]:
    """Return the alternatives of a pattern with `{a,b}`; braces without a comma are characters."""
    finished: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        end = text.find("}")
        start = text.rfind("{", 0, end) if end >= 0 else -1
        if start < 0 or "," not in text[start:end]:
            finished.append(text)
        else:
            waiting += [text[:start] + choice + text[end + 1 :] for choice in text[start + 1 : end].split(",")]
        if len(finished) + len(waiting) > _MAX_ALTERNATIVES:
            raise CallError("InvalidArgument", f"the pattern has more than {_MAX_ALTERNATIVES} alternatives")
    return finished
