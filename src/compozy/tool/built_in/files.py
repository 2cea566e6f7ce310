"""`cp__read_file`, `cp__write_file` and `cp__delete_file`."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from compozy.ids import new_execution_id
from compozy.tool.built_in.folder import CallError, Deadline, Entry, Folder, metadata, shown, split_path
from compozy.tool.built_in.specs import MAX_FILE_BYTES

_MIB = 1024 * 1024
_LOOKED_AT = 8192
_MOST_UNPRINTABLE = 0.3
_MAX_DELETED = 10_000


def read_file(folder: Folder, arguments: Mapping[str, Any], _: Deadline) -> dict[str, Any]:
    """Return the text of a file and what is known of it."""
    data, entry = read_whole(folder, _file_path(arguments["path"]), MAX_FILE_BYTES)
    text = as_text(data)
    if text is None:
        raise CallError("InvalidArgument", f"{entry.path} is binary, not text in UTF-8")
    return {"content": text, "metadata": metadata(entry)}


def read_whole(folder: Folder, parts: tuple[str, ...], limit: int) -> tuple[bytes, Entry]:
    """Return the bytes of a file, and the file as it was when it was opened.

    Raises:
        CallError: it cannot be opened, is a folder, or has more than `limit` bytes.
    """
    with folder.open_folder(parts[:-1]) as parent:
        entry = folder.look(parent, parts)
        if entry.is_folder:
            raise CallError("InvalidArgument", f"{entry.path} is a folder")
        data, entry = read_bytes(folder, parent, entry, limit)
    if len(data) > limit:
        words = f"{entry.path} has {entry.status.st_size} bytes; at most {limit // _MIB} MiB are read"
        raise CallError("InvalidArgument", words)
    return data, entry


def read_bytes(folder: Folder, parent: int, entry: Entry, limit: int) -> tuple[bytes, Entry]:
    """Return the bytes of a file, at most one more than `limit`, and the file as it was when it was opened."""
    descriptor = folder.open_file(parent, entry.parts, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit + 1), Entry(parts=entry.parts, status=os.fstat(file.fileno()))


def as_text(data: bytes) -> str | None:
    """Return the text of a file, None if it is binary."""
    if b"\0" in data[:_LOOKED_AT]:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    start = text[:_LOOKED_AT]
    unprintable = sum(not (char.isprintable() or char.isspace()) for char in start)
    return None if unprintable > len(start) * _MOST_UNPRINTABLE else text


def write_file(folder: Folder, arguments: Mapping[str, Any], _: Deadline) -> dict[str, Any]:
    """Write a file; what was there before is replaced in one go, or kept and written behind."""
    parts = _file_path(arguments["path"])
    try:
        data = str(arguments["content"]).encode()
    except UnicodeEncodeError as error:
        raise CallError("InvalidArgument", "`content` is not valid text: it contains half of a character") from error
    if len(data) > MAX_FILE_BYTES:
        words = f"`content` has {len(data)} bytes; at most {MAX_FILE_BYTES // _MIB} MiB are written"
        raise CallError("InvalidArgument", words)
    for index in range(len(parts)):
        folder.check_name(parts[index], parts[: index + 1])
    folder.make_folders(parts[:-1])
    with folder.open_folder(parts[:-1]) as parent:
        mode = _mode(folder, parent, parts, arguments.get("mode"))
        try:
            (_append if arguments.get("append") else _replace)(folder, parent, parts, data, mode)
            os.fsync(parent)
        except OSError as error:
            raise CallError("Internal", f"{shown(parts)} cannot be written: {error.strerror}") from error
        return {"success": True, "metadata": metadata(folder.look(parent, parts))}


def _mode(folder: Folder, parent: int, parts: tuple[str, ...], mode: int | None) -> int:
    """Return the permissions of a file that is written; refuse to write what is not a file."""
    try:
        entry = folder.look(parent, parts)
    except CallError as error:
        if error.code != "FileNotFound":
            raise
        return 0o644 if mode is None else mode
    if entry.is_folder:
        raise CallError("InvalidArgument", f"{entry.path} is a folder")
    return stat.S_IMODE(entry.status.st_mode) & 0o777 if mode is None else mode


def _append(folder: Folder, parent: int, parts: tuple[str, ...], data: bytes, mode: int) -> None:
    descriptor = folder.open_file(parent, parts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(folder: Folder, parent: int, parts: tuple[str, ...], data: bytes, mode: int) -> None:
    # Other names of the file that was there keep its content.
    fresh = f".{new_execution_id()}.tmp"
    descriptor = folder.open_file(parent, (*parts[:-1], fresh), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=parent)
        raise


def delete_file(folder: Folder, arguments: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
    """Delete a file or folder; nothing is deleted if a part of it is closed."""
    parts = _file_path(arguments["path"])
    try:
        with folder.open_folder(parts[:-1]) as parent:
            entry = folder.look(parent, parts)
            if entry.is_folder:
                _check_all(folder, parts, deadline, recursive=bool(arguments.get("recursive")))
                _delete_below(folder, parent, parts, deadline)
            else:
                _remove(parent, entry)
    except CallError as error:
        if error.code == "FileNotFound":
            return {"success": False}
        raise
    return {"success": True}


def _check_all(folder: Folder, parts: tuple[str, ...], deadline: Deadline, *, recursive: bool) -> None:
    """Refuse to delete a folder unless that is asked for, or if it holds anything closed or too much."""
    if not recursive:
        raise CallError("InvalidArgument", f"{shown(parts)} is a folder; write `recursive: true` to delete it")
    waiting, count = [parts], 0
    while waiting:
        current = waiting.pop()
        with folder.open_folder(current) as descriptor:
            for name in folder.names_in(descriptor):
                deadline.left_s()
                count += 1
                below = (*current, name)
                if count > _MAX_DELETED:
                    raise CallError("InvalidArgument", f"{shown(parts)} contains more than {_MAX_DELETED} files")
                folder.check_name(name, below)
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                folder.check_open(status, below)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(below)


def _delete_below(folder: Folder, parent: int, parts: tuple[str, ...], deadline: Deadline) -> None:
    """Delete a folder in the folder `parent` with everything in it; links are deleted, not followed."""
    with folder.open_folder(parts) as descriptor:
        for name in folder.names_in(descriptor):
            deadline.left_s()
            below = (*parts, name)
            folder.check_name(name, below)
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _delete_below(folder, descriptor, below, deadline)
            else:
                folder.check_open(status, below)
                os.unlink(name, dir_fd=descriptor)
    os.rmdir(parts[-1], dir_fd=parent)


def _remove(parent: int, entry: Entry) -> None:
    try:
        os.unlink(entry.parts[-1], dir_fd=parent)
    except OSError as error:
        raise CallError("PermissionDenied", f"{entry.path} cannot be deleted: {error.strerror}") from error


def _file_path(path: str) -> tuple[str, ...]:
    parts = split_path(path)
    if not parts:
        raise CallError("InvalidArgument", "`/` is the root folder of the tools, not a file")
    return parts
