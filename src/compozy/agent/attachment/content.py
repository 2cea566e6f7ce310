"""Attachments as parts of a prompt, in the form that the model accepts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, UserPromptPart

from compozy.agent.attachment.media import kind_of
from compozy.errors import AttachmentError, DocumentError, ModelError
from compozy.knowledge.read.sandbox import read_in_sandbox
from compozy.model.kind import PROVIDERS

if TYPE_CHECKING:
    from compozy.agent.attachment.read import Attachment
    from compozy.model.catalog import ResolvedModel

# The flag of a model's profile for each kind of file.
_FLAGS = {
    "image": "supports_image_input",
    "audio": "supports_audio_file_input",
    "video": "supports_video_input",
    "pdf": "supports_document_input",
}
# Estimates for budgets: providers count tokens of images by their pixels, and those of audio and video by seconds.
_IMAGE_TOKENS = 1_600
_PAGE_TOKENS = 2_000
_BYTES_PER_TOKEN = {"text": 4, "pdf": 20, "audio": 500, "video": 500}
_PLURALS = {"image": "images", "audio": "audio", "video": "videos"}


class Attached:
    """The attachments of a prompt.

    Args:
        items: in the order of the prompt.
        load: returns the bytes of a `sha256`; called only when a request is sent.
    """

    def __init__(self, items: Sequence[Attachment], load: Callable[[str], Awaitable[bytes]]) -> None:
        self._items = items
        self._load = load
        self._texts: dict[tuple[str, int | None], str] = {}

    def describe(self) -> list[dict[str, JsonValue]]:
        """Return the attachments as JSON, without their bytes."""
        return [
            {"name": item.name, "media_type": item.media_type, "sha256": item.sha256, "max_pages": item.max_pages}
            for item in self._items
        ]

    @property
    def tokens(self) -> int:
        """Return about how many tokens the attachments have, by their kinds and sizes."""
        return sum(_estimate(item) for item in self._items)

    async def add_to(self, messages: Sequence[ModelMessage], resolved: ResolvedModel) -> list[ModelMessage]:
        """Return `messages` with the attachments behind the first prompt.

        Raises:
            ModelError: the model does not accept files of a kind.
            AttachmentError: a document cannot be read.
        """
        first = messages[0]
        if not isinstance(first, ModelRequest):
            return list(messages)
        parts = [await self._content(item, resolved) for item in self._items]
        prompt = next(part for part in first.parts if isinstance(part, UserPromptPart))
        text = str(prompt.content)
        if all(isinstance(part, str) for part in parts):
            # One text: not every server accepts a list.
            content: Any = "\n\n".join([text, *cast("list[str]", parts)])
        else:
            content = [text, *parts]
        added = [replace(part, content=content) if part is prompt else part for part in first.parts]
        return [replace(first, parts=added), *messages[1:]]

    async def _content(self, item: Attachment, resolved: ResolvedModel) -> str | BinaryContent:
        kind = kind_of(item.media_type)
        if kind != "text" and item.max_pages is None and accepts(resolved, kind):
            return BinaryContent(await self._load(item.sha256), media_type=item.media_type, identifier=item.name)
        if kind in _PLURALS:
            raise _not_accepted(item, kind, resolved)
        return f"Attachment {item.name}:\n\n{await self._text(item)}"

    async def _text(self, item: Attachment) -> str:
        key = (item.sha256, item.max_pages)
        if key not in self._texts:
            try:
                document = await read_in_sandbox(item.name, await self._load(item.sha256), item.suffix)
            except DocumentError as error:
                hint = str(error.details.get("hint", ""))
                raise AttachmentError(f"attachment {item.source!r}: {error.message}", hint=hint) from error
            ends = [*document.pages[1:], len(document.text)] if document.pages else []
            end = ends[item.max_pages - 1] if item.max_pages and item.max_pages <= len(ends) else None
            self._texts[key] = document.text[:end].rstrip()
        return self._texts[key]


def _estimate(item: Attachment) -> int:
    kind = kind_of(item.media_type)
    if kind == "pdf" and item.max_pages is not None:
        return item.max_pages * _PAGE_TOKENS
    return estimate_tokens_of(item.media_type, item.size)


def estimate_tokens_of(media_type: str, size: int) -> int:
    """Return about how many tokens a file has."""
    kind = kind_of(media_type)
    return _IMAGE_TOKENS if kind == "image" else max(1, size // _BYTES_PER_TOKEN[kind])


def accepts(resolved: ResolvedModel, kind: str) -> bool:
    """Return whether a model accepts files of a kind."""
    profile = cast("Mapping[str, Any]", resolved.model.profile)
    return kind in PROVIDERS[resolved.provider_type].files and profile.get(_FLAGS[kind], True)


def _not_accepted(item: Attachment, kind: str, resolved: ResolvedModel) -> ModelError:
    able = ", ".join(sorted(name for name, each in PROVIDERS.items() if kind in each.files and each.name != "scripted"))
    return ModelError(
        f"model {resolved.model_name!r} of provider {resolved.provider_id!r} does not accept {_PLURALS[kind]}, and "
        f"{item.source!r} is {item.media_type}",
        hint=f"choose a model that does, from a provider of one of these types: {able}",
        details={"provider": resolved.provider_id, "model": resolved.model_name},
    )
