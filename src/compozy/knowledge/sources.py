"""Which documents there are: files in folders and patterns, addresses; each with a hash of what it holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from compozy.errors import KnowledgeError, UsageError
from compozy.filepatterns import find_files, matches_path
from compozy.knowledge.config import SourceSettings
from compozy.knowledge.links import FolderLinks
from compozy.knowledge.paths import Reach, is_text, show_path
from compozy.knowledge.read.kinds import SUFFIXES

MAX_DOCUMENTS = 200_000
MAX_SKIPPED = 100
_WILDCARDS = frozenset("*?[")
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
_BLOCK = 1024 * 1024


@dataclass(frozen=True, kw_only=True, order=True)
class FoundDocument:
    """A document that is there. `hash` is that of its bytes, "" for an address, which is asked when it is read."""

    id: str
    hash: str
    size: int


@dataclass(frozen=True, kw_only=True)
class SourceScope:
    """The scope of an ingestion: listed documents within it that no longer exist are deleted.

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
    """The existing files.

    Attributes:
        skipped: how many files are left out.
        skipped_files: the first `MAX_SKIPPED` of them, each with the reason.
        is_missing: there was nothing at a path.
    """

    documents: tuple[FoundDocument, ...]
    scope: SourceScope
    skipped: int
    skipped_files: tuple[tuple[str, str], ...] = ()
    is_missing: bool = False


@dataclass(frozen=True, kw_only=True)
class Look:
    """A first look at a path. `neighbours` are names next to it if it does not exist."""

    scope: SourceScope
    is_missing: bool
    neighbours: tuple[str, ...] = ()


def _is_match(document: str, pattern: str) -> bool:
    """Return whether a name fits a pattern: `*` and `?` stay within a folder, `**` goes through any number of them."""
    return not is_address(document) and matches_path(pattern, document)


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


def find_again(names: Sequence[str], *, reach: Reach) -> Found:
    """Return what is left of documents that are known by their names; those that are gone count as deleted."""
    search = _Search(reach=reach)
    for name in names:
        search.add_known(name)
    return search.found()


def combine(first: Found, second: Found) -> Found:
    """Return what both have found; what is missing and skipped is what the first one says."""
    documents = {each.id: each for each in (*second.documents, *first.documents)}
    scope = replace(first.scope, documents=(*first.scope.documents, *second.scope.documents))
    return replace(first, documents=tuple(sorted(documents.values())), scope=scope)


def look_at(path: str, *, reach: Reach) -> Look:
    """Return whether there is anything at a path, without reading it.

    Raises:
        UsageError: it leads out of the project, or is a file of a kind that is not read.
    """
    search = _Search(reach=reach)
    place, pattern = search.place_of(path, reach.root)
    folder = search.folder_name(place)
    if pattern:
        scope = SourceScope(patterns=(f"{folder}/{pattern}" if folder else pattern,))
        return Look(scope=scope, is_missing=next(search.matches(place, pattern), None) is None)
    scope = SourceScope(folders=(folder,), documents=(folder,))
    if place.is_file():
        _check_kind(place)
    if os.path.lexists(place):
        _check_whether_file(path, place)
        return Look(scope=scope, is_missing=False)
    beside = place.parent.iterdir() if place.parent.is_dir() else ()
    return Look(scope=scope, is_missing=True, neighbours=tuple(path.name for path in beside if is_text(path.name)))


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
    skipped_files: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    is_missing: bool = False

    def found(self) -> Found:
        scope = SourceScope(folders=tuple(self.folders), documents=tuple(self.named), patterns=tuple(self.patterns))
        documents = tuple(sorted(self.documents.values()))
        return Found(
            documents=documents,
            scope=scope,
            skipped=self.skipped,
            skipped_files=tuple(self.skipped_files),
            is_missing=self.is_missing,
        )

    def add(self, path: str, base: Path) -> None:
        if is_address(path):
            self.add_address(path)
            return
        place, pattern = self.place_of(path, base)
        if pattern:
            folder = self.folder_name(place)
            self.patterns.append(f"{folder}/{pattern}" if folder else pattern)
            files = list(self.matches(place, pattern))
            self.is_missing = self.is_missing or not files
            for file in files:
                self._add_file(file)
        elif place.is_dir():
            self.folders.append(self.folder_name(place))
            for file in self._files_below(place):
                self._add_file(file)
        elif place.is_file():
            self.named.append(self.reach.name(place))
            _check_kind(place)
            self._add_file(place)
        elif not os.path.lexists(place):
            # Known documents below a path that is gone are deleted with it.
            self.is_missing = True
            name = self.reach.name(place)
            self.folders.append(name)
            self.named.append(name)
        else:
            _check_whether_file(path, place)

    def add_address(self, url: str) -> None:
        self.named.append(url)
        self._keep(FoundDocument(id=url, hash="", size=0))

    def add_known(self, name: str) -> None:
        if is_address(name):
            self.add_address(name)
            return
        self.named.append(name)
        place = self.reach.root / name
        if not place.is_file():
            return
        if self.reach.holds(place.resolve()):
            self._add_file(place)
        else:
            # It became a link that leads out: reported when it is read.
            self._keep(FoundDocument(id=name, hash="?", size=0))

    def place_of(self, path: str, base: Path) -> tuple[Path, str]:
        """Return where a path begins, and the pattern behind it; a file whose name looks like a pattern is a file."""
        is_path = "\0" not in path and os.path.lexists(base / path)
        head, pattern = (path, "") if is_path else _split_pattern(path)
        place = self.reach.confine(head, base=base)
        if not is_text(self.reach.name(place)) or not is_text(pattern):
            raise UsageError(f"the path '{show_path(path)}' is not valid UTF-8", hint="rename the file or folder")
        return place, pattern

    def folder_name(self, place: Path) -> str:
        return "" if place == self.reach.root else self.reach.name(place)

    def _files_below(self, folder: Path) -> Iterator[Path]:
        links = self._links(folder, is_whole=True)
        for parent, folders, files in os.walk(folder, followlinks=True):
            paths = (Path(parent, name) for name in sorted(folders) if not _is_skipped(name))
            folders[:] = [path.name for path in paths if self._has_text_name(path) and _is_open(path, links)]
            for name in sorted(files):
                if not name.startswith("."):
                    yield Path(parent, name)

    def _links(self, folder: Path, *, is_whole: bool) -> FolderLinks:
        return FolderLinks(reach=self.reach, top=folder, is_whole=is_whole, skips=_is_skipped, report=self._skip)

    def matches(self, folder: Path, pattern: str) -> Iterator[Path]:
        links = self._links(folder, is_whole=pattern.startswith("**/"))
        try:
            found = list(find_files(folder, pattern, skips=_is_skipped, follows=links.follows))
        except ValueError as error:
            raise UsageError(f"{pattern!r} is not a file pattern: {error}") from error
        yield from (path for path in found if path.is_file() or not path.exists())

    def _add_file(self, file: Path) -> None:
        if not self._has_text_name(file):
            return
        suffix = file.suffix.lower()
        if suffix not in SUFFIXES:
            kind = f"files that end in {suffix}" if suffix else "files whose names have no ending"
            self._skip(file, f"{kind} are not read")
            return
        # A link is followed only as far as documents may lie.
        place = self.reach.resolve(file)
        if place is None:
            self._skip(file, "the link leads to itself")
            return
        if not self.reach.holds(place):
            self._skip(file, "the link leads out of the project's folder")
            return
        if not place.is_file():
            self._skip(file, "it is not a file" if place.exists() else "the link target does not exist")
            return
        try:
            self._keep(FoundDocument(id=self.reach.name(file), hash=hash_file(place), size=place.stat().st_size))
        except OSError:
            # Reported when it is read, as an error of this document.
            self._keep(FoundDocument(id=self.reach.name(file), hash="?", size=0))

    def _has_text_name(self, path: Path) -> bool:
        """Return whether the name is text; report one that is not, which neither databases nor JSON can hold."""
        if is_text(self.reach.name(path)):
            return True
        self._skip(path, "its name is not valid UTF-8; rename it")
        return False

    def _skip(self, file: Path, reason: str) -> None:
        self.skipped += 1
        if len(self.skipped_files) < MAX_SKIPPED:
            self.skipped_files.append((show_path(self.reach.name(file)), reason))

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


def _check_whether_file(path: str, place: Path) -> None:
    if not place.is_file() and not place.is_dir():
        raise UsageError(f"{path!r} is neither a file nor a folder")


def _check_kind(file: Path) -> None:
    """Refuse a file that was named and is of an unsupported type."""
    if file.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UsageError(f"{file.name!r} is of an unsupported type", hint=f"supported types: {kinds}")


def _is_open(folder: Path, links: FolderLinks) -> bool:
    return not folder.is_symlink() or links.follows(folder)


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED_FOLDERS
