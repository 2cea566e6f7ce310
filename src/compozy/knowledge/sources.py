"""Which documents there are: files in folders and patterns, addresses; each with a hash of what it holds."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from compozy.errors import KnowledgeError, UsageError
from compozy.knowledge.config import SourceSettings
from compozy.knowledge.paths import Reach
from compozy.knowledge.read.kinds import SUFFIXES

MAX_DOCUMENTS = 200_000
_WILDCARDS = frozenset("*?[")
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
_BLOCK = 1024 * 1024


@dataclass(frozen=True, kw_only=True, order=True)
class FoundDocument:
    """A document that is there. `hash` is that of its bytes, "" for an address, which is asked when it is read."""

    id: str
    hash: str
    size: int


_PATTERN_PARTS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What an ingestion looks at: documents that are known, below it and not there any more were deleted.

    Attributes:
        folders: names of folders as documents begin with them, "" for the project's.
        documents: names of single documents.
        patterns: of names; what they do not match was not looked for.
    """

    folders: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def covers(self, document: str) -> bool:
        """Return whether the ingestion would have seen this document."""
        return (
            document in self.documents
            or any(
                (folder == "" and not is_address(document)) or document.startswith(f"{folder}/")
                for folder in self.folders
            )
            or any(_is_match(document, pattern) for pattern in self.patterns)
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there. `skipped` counts files of kinds that are not read; `is_missing`: there was nothing at a path."""

    documents: tuple[FoundDocument, ...]
    scope: Scope
    skipped: int
    is_missing: bool = False


def _is_match(document: str, pattern: str) -> bool:
    """Return whether a name fits a pattern: `*` and `?` stay within a folder, `**` goes through any number of them."""
    text = ""
    for part in re.split(r"(\*\*/?|\*|\?|\[[^\]]*\])", pattern):
        text += _PATTERN_PARTS.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
    return not is_address(document) and re.fullmatch(text, document) is not None


def is_address(document: str) -> bool:
    """Return whether a document is an address, not a file."""
    return document.startswith(("http://", "https://"))


def find_path(path: str, *, base: Path, reach: Reach) -> Found:
    """Return the documents at a path: a file, a folder, or a pattern of files.

    Raises:
        UsageError: it leads out of the project, or nothing is there.
    """
    search = _Search(reach=reach)
    search.add(path, base)
    return search.found()


def find_sources(sources: Sequence[SourceSettings], *, reach: Reach) -> Found:
    """Return the documents of the sources of a knowledge base.

    Raises:
        UsageError: as `find_path`.
    """
    search = _Search(reach=reach)
    for source in sources:
        for path in (*((source.path,) if source.path else ()), *source.paths):
            search.add(path, reach.root)
        for url in (*((source.url,) if source.url else ()), *source.urls):
            search.add_address(url)
    return search.found()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@dataclass(kw_only=True)
class _Search:
    reach: Reach
    documents: dict[str, FoundDocument] = field(default_factory=dict[str, FoundDocument])
    folders: list[str] = field(default_factory=list[str])
    named: list[str] = field(default_factory=list[str])
    patterns: list[str] = field(default_factory=list[str])
    skipped: int = 0
    is_missing: bool = False

    def found(self) -> Found:
        scope = Scope(folders=tuple(self.folders), documents=tuple(self.named), patterns=tuple(self.patterns))
        documents = tuple(sorted(self.documents.values()))
        return Found(documents=documents, scope=scope, skipped=self.skipped, is_missing=self.is_missing)

    def add(self, path: str, base: Path) -> None:
        if is_address(path):
            self.add_address(path)
            return
        head, pattern = _split_pattern(path)
        place = self.reach.confine(head, base=base)
        if pattern:
            folder = self._folder_name(place)
            self.patterns.append(f"{folder}/{pattern}" if folder else pattern)
            files = list(self._matches(place, pattern))
            self.is_missing = self.is_missing or not files
            for file in files:
                self._add_file(file)
        elif place.is_dir():
            self.folders.append(self._folder_name(place))
            for file in self._files_below(place):
                self._add_file(file)
        elif place.is_file():
            self.named.append(self.reach.name(place))
            self._add_file(place, is_named=True)
        elif not os.path.lexists(place):
            # Known documents below a path that is gone are deleted with it.
            self.is_missing = True
            name = self.reach.name(place)
            self.folders.append(name)
            self.named.append(name)
        else:
            raise UsageError(f"{path!r} is neither a file nor a folder")

    def add_address(self, url: str) -> None:
        self.named.append(url)
        self._keep(FoundDocument(id=url, hash="", size=0))

    def _folder_name(self, place: Path) -> str:
        return "" if place == self.reach.root else self.reach.name(place)

    def _files_below(self, folder: Path) -> Iterator[Path]:
        for parent, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not _is_skipped(name))
            for name in sorted(files):
                if not name.startswith("."):
                    yield Path(parent, name)

    def _matches(self, folder: Path, pattern: str) -> Iterator[Path]:
        try:
            found = sorted(folder.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise UsageError(f"{pattern!r} is no pattern of files: {error}") from error
        for path in found:
            below = path.relative_to(folder).parts
            if path.is_file() and not any(_is_skipped(part) for part in below):
                yield path

    def _add_file(self, file: Path, *, is_named: bool = False) -> None:
        if file.suffix.lower() not in SUFFIXES:
            if is_named:
                kinds = ", ".join(sorted(SUFFIXES))
                raise UsageError(f"{file.name!r} is of a kind that is not read", hint=f"the kinds are {kinds}")
            self.skipped += 1
            return
        # A link is followed only as far as documents may lie.
        place = file.resolve()
        if not self.reach.holds(place) or not place.is_file():
            self.skipped += 1
            return
        try:
            self._keep(FoundDocument(id=self.reach.name(file), hash=hash_file(place), size=place.stat().st_size))
        except OSError:
            # It is told when it is read, as an error of this document.
            self._keep(FoundDocument(id=self.reach.name(file), hash="?", size=0))

    def _keep(self, document: FoundDocument) -> None:
        self.documents[document.id] = document
        if len(self.documents) > MAX_DOCUMENTS:
            raise KnowledgeError(f"there are more than {MAX_DOCUMENTS} documents", hint="take them in folder by folder")


def _split_pattern(path: str) -> tuple[str, str]:
    """Return the folder that a pattern begins with, and the pattern; "" when there is none."""
    parts = PurePosixPath(path).parts
    for index, part in enumerate(parts):
        if _WILDCARDS & set(part):
            return str(PurePosixPath(*parts[:index])) if index else ".", "/".join(parts[index:])
    return path, ""


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED_FOLDERS
