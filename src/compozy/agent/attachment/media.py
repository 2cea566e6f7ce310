"""The kind of a file, by its first bytes: a name or a header can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from compozy.agent.attachment.config import MediaKind
from compozy.errors import DocumentError
from compozy.knowledge.read.kinds import SUFFIXES, suffix_of_media_type

PDF = "application/pdf"
# Offset, bytes, media type. Sources: the format descriptions in the IANA registry and RFC 2046, 6386, 7845, 9559.
_SIGNATURES: Sequence[tuple[int, bytes, str]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AIFF", "audio/aiff"),
    (8, b"AIFC", "audio/aiff"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A ", "audio/mp4"),
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", PDF),
)
# Containers whose kind stands behind their first bytes.
_CONTAINERS = {b"WEBP": b"RIFF", b"WAVE": b"RIFF", b"AIFF": b"FORM", b"AIFC": b"FORM"}
_WORDS = {"image": "an image", "audio": "audio", "video": "a video", "pdf": "a PDF", "text": "a text"}


def find_media_type(data: bytes) -> str | None:
    """Return the media type of an image, audio, a video or a PDF by its first bytes; None for everything else."""
    for offset, mark, media_type in _SIGNATURES:
        if data.startswith(mark, offset) and data.startswith(_CONTAINERS.get(mark, b"")):
            return media_type
    return None


def kind_of(media_type: str) -> MediaKind:
    """Return the kind of content of a media type; everything that is not binary media is read as text."""
    family = media_type.partition("/")[0]
    if media_type == PDF:
        return "pdf"
    return family if family in {"image", "audio", "video"} else "text"  # pyright: ignore[reportReturnType]


def check_kind(expected: MediaKind | None, media_type: str) -> str | None:
    """Return what is wrong with content of `media_type`, None if it is of the expected kind."""
    found = kind_of(media_type)
    if expected is None or expected == found or (expected == "text" and found == "pdf"):
        return None
    return f"the content is {_WORDS[found]} ({media_type}), not {_WORDS[expected]}"


def suffix_of_document(name: str, media_type: str, data: bytes) -> str | None:
    """Return the suffix under which a document is read; None if its format is not known and it is not text.

    Args:
        name: of the file.
        media_type: as `mime` or the server's header gives it, or "".
        data: the content.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    try:
        return suffix_of_media_type(media_type)
    except DocumentError:
        return None if b"\0" in data[:8192] else ".txt"
