"""Reads the content of attachments: files below folders that the project allows, and URLs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from compozy.agent.attachment.config import AttachmentConfig
from compozy.agent.attachment.media import PDF, check_kind, find_media_type, kind_of, suffix_of_document
from compozy.boundary import OutsideRequest, exchange
from compozy.config.settings import RuntimeSettings
from compozy.errors import AttachmentError
from compozy.outbound.rules import OutboundError, OutboundPolicy, OutboundRequest, show_url
from compozy.outbound.send import Resolve, resolve_host, send
from compozy.plural import plural
from compozy.tool.built_in.files import read_whole
from compozy.tool.built_in.folder import CallError, Folder, split_path
from compozy.tool.kind import ToolHome

MAX_BYTES = 10 * 1024 * 1024
MAX_TOTAL_BYTES = 30 * 1024 * 1024
MAX_COUNT = 50
_MIB = 1024 * 1024
_URL_TIMEOUT_S = 60.0
# Media types of formats that are read as text, where neither `mime` nor the server names one.
_MEDIA_TYPES = {".pdf": PDF, ".html": "text/html", ".csv": "text/csv", ".json": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file or URL, with its templates rendered."""

    config: AttachmentConfig
    value: str
    is_url: bool
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """Content to send with a prompt, without its bytes.

    Attributes:
        name: that the model reads.
        media_type: of the content.
        suffix: under which the content is read as text, "" for images, audio and video.
        size: in bytes.
        sha256: of the bytes, in hexadecimal.
        source: the path or the URL, without a query.
        max_pages: number of pages of a PDF, None for all.
    """

    name: str
    media_type: str
    suffix: str
    size: int
    sha256: str
    source: str
    max_pages: int | None = None


class AttachmentReader:
    """Reads the content of attachments.

    Args:
        home: the project; `runtime.attachments` says which other folders and hosts can be read.
        resolve: looks up hosts.
    """

    def __init__(self, home: ToolHome, *, resolve: Resolve = resolve_host) -> None:
        self._home = home
        self._resolve = resolve

    async def read(
        self, sources: Sequence[Source], *, path: str = "", step: str = ""
    ) -> list[tuple[Attachment, bytes | None]]:
        """Return the attachments with their bytes; None for those of a URL whose recorded answer has none.

        Args:
            sources: where they are.
            path: of the task.
            step: that records the result.

        Raises:
            AttachmentError: one cannot be read or is of another kind, or they are too many or too large.
        """
        if len(sources) > MAX_COUNT:
            raise AttachmentError(f"{plural(len(sources), 'attachment')}; at most {MAX_COUNT} can be sent")
        contents: list[tuple[Attachment, bytes | None]] = []
        total = 0
        for source in sources:
            attachment, data = await (self._ask(source, path, step) if source.is_url else self._read(source))
            total += attachment.size
            if total > MAX_TOTAL_BYTES:
                raise AttachmentError(f"the attachments have more than {MAX_TOTAL_BYTES // _MIB} MiB together")
            contents.append((attachment, data))
        return contents

    async def _ask(self, source: Source, path: str, step: str) -> tuple[Attachment, bytes | None]:
        """Return the content of a URL; a recorded answer has its hash."""
        contents: list[bytes] = []

        async def perform() -> dict[str, Any]:
            attachment, data = await self._read(source)
            contents.append(data)
            return asdict(attachment)

        def describe() -> OutsideRequest:
            config = source.config
            expected = {"type": config.type, "mime": config.mime, "name": source.name, "max_pages": config.max_pages}
            given = {key: value for key, value in expected.items() if value is not None}
            # Without its query, which may be a secret.
            content = {"url": show_url(source.value), **given}
            return OutsideRequest(kind="attachment", path=path, content=content, step=step)

        recorded = await exchange(describe, perform)
        return Attachment(**recorded), contents[0] if contents else None

    async def _read(self, source: Source) -> tuple[Attachment, bytes]:
        shown = show_url(source.value) if source.is_url else source.value
        try:
            data, named = await self._fetch(source.value) if source.is_url else await self._open(source.value)
        except CallError as error:
            words = str(error).partition(": ")[2]
            raise AttachmentError(f"attachment {shown!r}: {words}", hint=_hint(error)) from error
        if not data:
            raise AttachmentError(f"attachment {shown!r} is empty")
        media_type, suffix = _judge(source, named, data, shown)
        attachment = Attachment(
            name=source.name or _name_of(source),
            media_type=media_type,
            suffix=suffix,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            source=shown,
            max_pages=source.config.max_pages,
        )
        return attachment, data

    async def _open(self, path: str) -> tuple[bytes, str]:
        """Return the bytes of a file, and "", because nothing names its media type."""
        return await asyncio.to_thread(self._read_file, path), ""

    def _read_file(self, path: str) -> bytes:
        folder, below = self._folder_of(path)
        parts = split_path(below)
        if not parts:
            raise CallError("InvalidArgument", f"{path!r} is a folder")
        return read_whole(folder, parts, MAX_BYTES)[0]

    def _folder_of(self, path: str) -> tuple[Folder, str]:
        """Return the allowed folder that holds a file, and the path of the file in it."""
        root = self._home.root.resolve()
        if not path.startswith("/"):
            return self._open_folder(root), path
        for allowed in (root, *(root / folder for folder in self._home.settings.attachments.folders)):
            if PurePosixPath(path).is_relative_to(allowed):
                return self._open_folder(allowed), str(PurePosixPath(path).relative_to(allowed))
        raise CallError("PermissionDenied", "the file is outside of the project folder")

    def _open_folder(self, root: Path) -> Folder:
        return Folder(replace(self._home, root=root, settings=RuntimeSettings()))

    async def _fetch(self, url: str) -> tuple[bytes, str]:
        """Return the content at a URL and the media type that its server names."""
        hosts = frozenset(host.lower() for host in self._home.settings.attachments.private_hosts)
        policy = OutboundPolicy(max_bytes=MAX_BYTES, total_s=_URL_TIMEOUT_S, private_hosts=hosts)
        try:
            answer = await send(OutboundRequest(url=url, headers={"Accept": "*/*"}), policy, resolve=self._resolve)
        except OutboundError as error:
            hint = "list the host in `runtime.attachments.private_hosts`" if error.is_private else ""
            raise AttachmentError(f"attachment {show_url(url)!r}: {error.message}", hint=hint) from error
        if answer.status != 200:
            raise AttachmentError(f"attachment {show_url(url)!r}: the server answered {answer.status}")
        return answer.body, answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _judge(source: Source, named: str, data: bytes, shown: str) -> tuple[str, str]:
    """Return the media type of content, and the suffix under which it is read as text.

    Args:
        source: of the content.
        named: the media type that the server names, or "".
        data: the content.
        shown: the source, for messages.

    Raises:
        AttachmentError: the content is of an unknown format, or of another kind than expected.
    """
    found = source.config.mime or find_media_type(data)
    suffix: str | None = ""
    if found is None or kind_of(found) in {"pdf", "text"}:
        suffix = suffix_of_document(_name_of(source), found or named, data)
    if suffix is None:
        raise AttachmentError(
            f"attachment {shown!r} is neither an image, audio, a video, a PDF nor text",
            hint="if its format is not recognized, name it with `mime`",
        )
    media_type = found or _MEDIA_TYPES.get(suffix, "text/plain")
    problem = check_kind(source.config.kind, media_type)
    if problem is not None:
        raise AttachmentError(f"attachment {shown!r}: {problem}", hint="correct its `type`")
    return media_type, suffix


def _name_of(source: Source) -> str:
    path = unquote(urlsplit(source.value).path) if source.is_url else source.value
    return PurePosixPath(path).name or "attachment"


def _hint(error: CallError) -> str:
    if error.code == "FileNotFound":
        return "paths are relative to the project folder"
    if error.code != "PermissionDenied":
        return ""
    if "closed" in str(error):
        return "`.env` files, `.git` and the database cannot be attached"
    return "copy the file into the project folder, or list its folder in `runtime.attachments.folders`"
