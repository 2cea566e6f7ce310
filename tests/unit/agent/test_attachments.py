"""Attachments: types of content, readable files, and the checks of URLs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from compozy.agent.attachment import read as reading
from compozy.agent.attachment.config import AttachmentConfig
from compozy.agent.attachment.media import check_kind, find_media_type, suffix_of_document
from compozy.agent.attachment.read import Attachment, AttachmentReader, Source
from compozy.config.settings import RuntimeSettings
from compozy.errors import AttachmentError
from compozy.tool.kind import ToolHome

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
        (b"XXXX\x10\0\0\0WAVEfmt ", None),
        (b"FORM\0\0\0\x10AIFF", "audio/aiff"),
        (b"ID3\x03", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xfeA\0", None),  # text in UTF-16
        (b"\0\0\0\x18ftypM4A \0", "audio/mp4"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", None),
        (b"# Notes", None),
        (b"", None),
    ],
)
def test_the_media_type_is_that_of_the_content(data: bytes, media_type: str | None) -> None:
    assert find_media_type(data) == media_type


@pytest.mark.parametrize(
    ("name", "media_type", "data", "suffix"),
    [
        ("notes.md", "", b"# N", ".md"),
        ("REPORT.PDF", "", b"%PDF-", ".pdf"),
        ("page", "text/html", b"<p>", ".html"),
        ("main.go", "", b"package main", ".txt"),
        ("data.bin", "application/octet-stream", b"\0\1", None),
    ],
)
def test_a_document_is_read_by_its_name_or_its_media_type(
    name: str, media_type: str, data: bytes, suffix: str | None
) -> None:
    assert suffix_of_document(name, media_type, data) == suffix


def test_content_of_another_kind_is_named() -> None:
    assert check_kind("image", "application/pdf") == "the content is a PDF (application/pdf), not an image"
    assert check_kind("text", "application/pdf") is None
    assert check_kind(None, "video/mp4") is None


@pytest.mark.parametrize("written", [{}, {"path": "a", "url": "https://x.test"}, {"type": "image"}])
def test_an_attachment_has_one_source(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="expected one of the keys `path`, `paths`, `url` and `urls`"):
        AttachmentConfig.model_validate(written)


def home_of(root: Path, **attachments: Any) -> ToolHome:
    settings = RuntimeSettings.model_validate({"attachments": attachments})
    return ToolHome(root=root, environ={}, settings=settings, closed=frozenset({root / "data.db"}))


def source(value: str, *, is_url: bool = False, **config: Any) -> Source:
    written = AttachmentConfig.model_validate({("url" if is_url else "path"): value, **config})
    return Source(config=written, value=value, is_url=is_url, name=written.name)


async def read(home: ToolHome, *sources: Source) -> list[Attachment]:
    return [attachment for attachment, _ in await AttachmentReader(home).read(sources)]


async def test_a_file_is_described(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/photo.dat").write_bytes(PNG)
    (tmp_path / "in/täglich.csv").write_text("a,b\n1,2\n")

    picture, table = await read(home_of(tmp_path), source("./in/photo.dat", type="image"), source("in/täglich.csv"))

    assert (picture.name, picture.media_type, picture.suffix, picture.size) == ("photo.dat", "image/png", "", 24)
    assert (table.name, table.media_type, table.suffix) == ("täglich.csv", "text/csv", ".csv")
    assert len(table.sha256) == 64


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../x.png", "leaves the folder"),
        ("/etc/passwd", "outside of the project folder"),
        (".env", "is closed to tools"),
        (".git/config", "is closed to tools"),
        ("data.db", "is closed to tools"),
        ("data.db-wal", "is closed to tools"),
        ("link.png", "is a symbolic link"),
        ("linked/x.png", "is a symbolic link"),
        ("pipe", "neither a file nor a folder"),
        ("in", "is a folder"),
        (".", "is a folder"),
        ("nope.png", "does not exist"),
        ("empty.txt", "is empty"),
        ("large.txt", "at most 10 MiB are read"),
        ("data.bin", "neither an image, audio, a video, a PDF nor text"),
        ("a\0b", "is not a path"),
    ],
)
async def test_a_file_that_cannot_be_attached(tmp_path: Path, path: str, message: str) -> None:
    root = tmp_path / "project"
    (root / "in").mkdir(parents=True)
    for name in (".env", "data.db", "data.db-wal"):
        (root / name).write_text("secret")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("secret")
    (tmp_path / "x.png").write_bytes(PNG)
    (root / "link.png").symlink_to(tmp_path / "x.png")
    (root / "linked").symlink_to(tmp_path)
    (root / "empty.txt").touch()
    (root / "data.bin").write_bytes(b"\0\1\2")
    with (root / "large.txt").open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)
    os.mkfifo(root / "pipe")

    with pytest.raises(AttachmentError, match=message) as raised:
        await read(home_of(root), source(path))
    assert "secret" not in str(raised.value)


async def test_a_file_of_another_kind_than_expected(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>404</html>")

    with pytest.raises(AttachmentError, match=r"the content is a text \(text/plain\), not an image"):
        await read(home_of(tmp_path), source("page.png", type="image"))


async def test_further_folders_are_listed(tmp_path: Path) -> None:
    root, camera = tmp_path / "project", tmp_path / "camera"
    root.mkdir()
    camera.mkdir()
    (camera / "x.png").write_bytes(PNG)

    assert (await read(home_of(root, folders=[str(camera)]), source(str(camera / "x.png"))))[0].name == "x.png"
    with pytest.raises(AttachmentError, match="outside of the project folder"):
        await read(home_of(root, folders=[str(camera)]), source(str(tmp_path / "other.png")))


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data", "http://127.0.0.1:9/x.png", "http://[::1]/x"]
)
async def test_a_url_of_a_private_host_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(AttachmentError) as raised:
        await read(home_of(tmp_path), source(url, is_url=True))
    # A host that only does not respond has no such hint.
    assert "runtime.attachments.private_hosts" in raised.value.hint


async def test_a_url_of_another_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AttachmentError) as raised:
        await read(home_of(tmp_path), source("file:///etc/passwd", is_url=True))
    assert "root:" not in str(raised.value)


async def test_attachments_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(AttachmentError, match="51 attachments; at most 50 can be sent"):
        await read(home_of(tmp_path), *[source("a.txt")] * 51)
    monkeypatch.setattr(reading, "MAX_TOTAL_BYTES", 7)
    with pytest.raises(AttachmentError, match="together"):
        await read(home_of(tmp_path), source("a.txt"), source("a.txt"))
