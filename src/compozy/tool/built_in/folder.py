"""The folder of the file tools. Paths are followed by descriptors, one part after the other, and never through a link.

What a path leads to is therefore judged and used in one go: a folder that is replaced by a link in between changes
nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from compozy.clock import monotonic_s
from compozy.tool.kind import ToolHome

Code = Literal[
    "InvalidArgument", "PermissionDenied", "FileNotFound", "CommandNotAllowed", "Internal", "DeadlineExceeded"
]
_MAX_PATH = 4096
_MAX_DEPTH = 100
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe or a device must not stop the program that opens it.
_FILE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class CallError(Exception):
    """A call cannot be done; the model reads `code: message`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Code = code


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or folder: its path from the folder of the tools as parts, and what the system says about it."""

    parts: tuple[str, ...]
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def path(self) -> str:
        """The path as the tools write it."""
        return shown(self.parts)


Enters = Callable[[Entry], bool]
"""Whether to look into a folder."""


class Deadline:
    """The end of a call, which long work looks at."""

    def __init__(self, timeout_s: float) -> None:
        self._end_s = monotonic_s() + timeout_s

    def left_s(self) -> float:
        """Return the seconds that are left; raises CallError if there are none."""
        left_s = self._end_s - monotonic_s()
        if left_s <= 0:
            raise CallError("DeadlineExceeded", "the call took too long; select a smaller folder or a simpler pattern")
        return left_s


class Folder:
    """The folder `runtime.native_tools.root_dir` of a project."""

    def __init__(self, home: ToolHome) -> None:
        self.path = (home.root / home.settings.native_tools.root_dir).resolve()
        secrets = {base / name for base in (home.root, self.path) for name in (".env", ".git")}
        self._closed = {identity for path in (*home.closed, *secrets) if (identity := _identity_of(path)) is not None}
        self._closed_names = [(path.parent.resolve(), path.name.casefold()) for path in home.closed]

    @contextmanager
    def open_folder(self, parts: tuple[str, ...]) -> Generator[int, None, None]:
        """Open the folder at a path, and yield its descriptor.

        Raises:
            CallError: it does not exist, is not a folder, is closed, or there is a link on the way.
        """
        descriptor = self._open_root()
        try:
            for index, name in enumerate(parts):
                descriptor = self._descend(descriptor, name, parts[: index + 1])
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            words = f"the root folder of the tools, `runtime.native_tools.root_dir`, cannot be opened: {error.strerror}"
            raise CallError("Internal", words) from error

    def _descend(self, parent: int, name: str, parts: tuple[str, ...]) -> int:
        """Return the descriptor of a folder in `parent`, which is closed."""
        try:
            self.check_name(name, parts)
            descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            # The caller closes `parent`.
            raise _refusal(error, parts, parent, name) from error
        try:
            self.check_open(os.fstat(descriptor), parts)
        except CallError:
            os.close(descriptor)
            raise
        os.close(parent)
        return descriptor

    def make_folders(self, parts: tuple[str, ...]) -> None:
        """Create the folders of a path that do not exist."""
        for count in range(1, len(parts) + 1):
            with self.open_folder(parts[: count - 1]) as parent, suppress(FileExistsError):
                self.check_name(parts[count - 1], parts[:count])
                os.mkdir(parts[count - 1], 0o755, dir_fd=parent)

    def look(self, parent: int, parts: tuple[str, ...]) -> Entry:
        """Return the last part of a path, which is in the folder `parent`.

        Raises:
            CallError: it does not exist, is closed, or is neither a file nor a folder.
        """
        self.check_name(parts[-1], parts)
        try:
            status = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _refusal(error, parts, parent, parts[-1]) from error
        self.check_open(status, parts)
        if stat.S_ISLNK(status.st_mode):
            raise CallError("PermissionDenied", f"{shown(parts)} is a symbolic link")
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            raise CallError("PermissionDenied", f"{shown(parts)} is neither a file nor a folder")
        return Entry(parts=parts, status=status)

    def open_file(self, parent: int, parts: tuple[str, ...], flags: int, mode: int = 0o644) -> int:
        """Return the descriptor of a regular file in the folder `parent`.

        Raises:
            CallError: it cannot be opened, is not a regular file, or is closed.
        """
        self.check_name(parts[-1], parts)
        try:
            descriptor = os.open(parts[-1], flags | _FILE_FLAGS, mode, dir_fd=parent)
        except OSError as error:
            raise _refusal(error, parts, parent, parts[-1]) from error
        try:
            self.check_open(os.fstat(descriptor), parts)
            _check_regular(descriptor, parts)
        except CallError:
            os.close(descriptor)
            raise
        return descriptor

    def walk(
        self, parts: tuple[str, ...], *, recursive: bool, deadline: Deadline, enters: Enters = lambda _: True
    ) -> Iterator[Entry]:
        """Yield what is in a folder, sorted by path; closed names, links, pipes and devices are left out.

        Args:
            parts: the folder.
            recursive: whether to yield what is in folders below it.
            deadline: of the call.
            enters: whether to look into a folder.
        """
        with self.open_folder(parts) as descriptor:
            yield from self._walk(descriptor, parts, deadline, enters if recursive else None)

    def _walk(self, folder: int, parts: tuple[str, ...], deadline: Deadline, enters: Enters | None) -> Iterator[Entry]:
        for name in filter(_is_text, self.names_in(folder)):
            deadline.left_s()
            below = (*parts, name)
            try:
                entry = self.look(folder, below)
            except CallError:
                continue
            yield entry
            if entry.is_folder and enters is not None and enters(entry) and len(below) < _MAX_DEPTH:
                yield from self._enter(folder, name, below, deadline, enters)

    def names_in(self, folder: int) -> list[str]:
        """Return the names in an open folder, sorted."""
        with os.scandir(folder) as scan:
            return sorted(entry.name for entry in scan)

    def _enter(
        self, folder: int, name: str, parts: tuple[str, ...], deadline: Deadline, enters: Enters
    ) -> Iterator[Entry]:
        try:
            descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
        except OSError:
            # Deleted or replaced since it was looked at, or not readable.
            return
        try:
            if not self._is_closed(os.fstat(descriptor)):
                yield from self._walk(descriptor, parts, deadline, enters)
        finally:
            os.close(descriptor)

    def check_name(self, name: str, parts: tuple[str, ...]) -> None:
        """Refuse the names of files that hold secrets, the history of a repository, or belong to the database.

        SQLite takes a file for a part of the database by its name: who creates `app.db-journal` changes `app.db`.
        """
        folded = name.casefold()
        folder = self.path.joinpath(*parts[:-1])
        is_database = any(folder == parent and folded.startswith(closed) for parent, closed in self._closed_names)
        if is_database or folded == ".git" or folded.startswith(".env"):
            raise CallError("PermissionDenied", f"{shown(parts)} is closed to tools")

    def check_open(self, status: os.stat_result, parts: tuple[str, ...]) -> None:
        """Refuse the files of the database and others that are closed, whatever name leads to them."""
        if self._is_closed(status):
            raise CallError("PermissionDenied", f"{shown(parts)} is closed to tools")

    def _is_closed(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self._closed


def _check_regular(descriptor: int, parts: tuple[str, ...]) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise CallError("PermissionDenied", f"{shown(parts)} is not a file")


def split_path(path: str) -> tuple[str, ...]:
    """Return the parts of a path as a model writes it; `/` is the root folder of the tools.

    Raises:
        CallError: it is not a path, or leads out of the folder.
    """
    if not path or "\0" in path or len(path) > _MAX_PATH or not _is_text(path):
        raise CallError("InvalidArgument", f"{path[:100]!r} is not a path")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts:
        raise CallError("PermissionDenied", f"{path!r} leaves the folder through `..`")
    if len(parts) > _MAX_DEPTH:
        raise CallError("InvalidArgument", f"the path has more than {_MAX_DEPTH} parts")
    return parts


def shown(parts: tuple[str, ...]) -> str:
    """Return a path as the tools write it."""
    return "/" + "/".join(parts)


def metadata(entry: Entry) -> dict[str, Any]:
    """Return the description of a file."""
    status = entry.status
    return {
        "path": entry.path,
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "modified": modified(status),
    }


def modified(status: os.stat_result) -> str:
    """Return when a file was last changed, in UTC."""
    return datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z")


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def _refusal(error: OSError, parts: tuple[str, ...], parent: int, name: str) -> CallError:
    path = shown(parts)
    if error.errno == errno.ENOENT:
        return CallError("FileNotFound", f"{path} does not exist")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                return CallError("PermissionDenied", f"{path} is a symbolic link")
        return CallError("InvalidArgument", f"{path} is not a folder")
    if error.errno == errno.EISDIR:
        return CallError("InvalidArgument", f"{path} is a folder")
    if error.errno == errno.ENAMETOOLONG:
        return CallError("InvalidArgument", f"a part of {path[:100]} is too long")
    code: Code = "PermissionDenied" if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} else "Internal"
    return CallError(code, f"{path}: {error.strerror}")
