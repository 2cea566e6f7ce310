"""Files in the results of tools, such as images: kept with the run, and sent to models that accept them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart

from compozy.agent.attachment.content import accepts, estimate_tokens_of
from compozy.agent.attachment.media import find_media_type, kind_of

if TYPE_CHECKING:
    from compozy.model.catalog import ResolvedModel
    from compozy.tool.kind import ToolFile

Keep = Callable[[Mapping[str, bytes]], Awaitable[None]]
"""Stores contents by their SHA-256."""
Load = Callable[[str], Awaitable[bytes]]


async def keep_files(files: Sequence[ToolFile], keep: Keep) -> list[JsonValue]:
    """Store the files of a result, and return what is recorded of them.

    The first bytes decide what a file is, not the server. A file that is not an image, audio, a video
    or a PDF is left out, and has no `sha256`.
    """
    contents: dict[str, bytes] = {}
    recorded: list[JsonValue] = []
    for file in files:
        media_type = find_media_type(file.data)
        sha256 = "" if media_type is None else hashlib.sha256(file.data).hexdigest()
        if sha256:
            contents[sha256] = file.data
        recorded.append({"media_type": media_type or file.media_type, "size": len(file.data), "sha256": sha256})
    if contents:
        await keep(contents)
    return recorded


def recorded_files(part: Any) -> list[dict[str, Any]]:
    """Return what is recorded of the files in the result of a tool."""
    metadata = part.metadata if isinstance(part, ToolReturnPart) else None
    return cast("dict[str, Any]", metadata).get("files", []) if isinstance(metadata, Mapping) else []


def estimate_files(messages: Sequence[ModelMessage]) -> int:
    """Return about how many tokens the files in the results of tools have."""
    files = [file for message in messages for part in message.parts for file in recorded_files(part)]
    return sum(estimate_tokens_of(file["media_type"], file["size"]) for file in files)


async def add_files(messages: Sequence[ModelMessage], resolved: ResolvedModel, load: Load) -> list[ModelMessage]:
    """Return `messages` with the files of results: behind the results, or named in them if the model accepts none."""
    return [await _with_files(message, resolved, load) for message in messages]


async def _with_files(message: ModelMessage, resolved: ResolvedModel, load: Load) -> ModelMessage:
    if not isinstance(message, ModelRequest) or not any(map(recorded_files, message.parts)):
        return message
    parts: list[Any] = []
    sent: list[str | BinaryContent] = []
    for part in message.parts:
        left_out: list[str] = []
        for file in recorded_files(part):
            media_type, sha256 = file["media_type"], file["sha256"]
            if sha256 and accepts(resolved, kind_of(media_type)):
                sent += [
                    f"From the result of {cast('ToolReturnPart', part).tool_name}:",
                    BinaryContent(await load(sha256), media_type=media_type, identifier=sha256[:8]),
                ]
            else:
                reason = "this model does not accept it" if sha256 else "its content is of another format"
                left_out.append(f"[{media_type}, {file['size']} bytes, left out: {reason}]")
        parts.append(_noted(cast("ToolReturnPart", part), left_out) if left_out else part)
    return replace(message, parts=[*parts, UserPromptPart(sent)] if sent else parts)


def _noted(part: ToolReturnPart, notes: Sequence[str]) -> ToolReturnPart:
    text = part.content if isinstance(part.content, str) else json.dumps(part.content, ensure_ascii=False)
    return replace(part, content="\n".join([text, *notes]))
