"""Results of MCP tools as JSON for a model."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from compozy.tool.kind import ToolFile


def files_of(result: CallToolResult) -> tuple[ToolFile, ...]:
    """Return the images, audio and other files of a result; those that are not base64 are left out."""
    files: list[ToolFile] = []
    for block in result.content:
        match block:
            case ImageContent() | AudioContent():
                data, media_type = block.data, block.mime_type
            case EmbeddedResource(resource=BlobResourceContents() as resource):
                data, media_type = resource.blob, resource.mime_type or ""
            case _:
                continue
        with suppress(binascii.Error, ValueError):
            files.append(ToolFile(data=base64.b64decode(data, validate=True), media_type=media_type))
    return tuple(files)


def content_of(result: CallToolResult) -> Any:
    """Return what a model reads of a result: its structured content, else its texts.

    Files, such as images, are named in place of them; see `files_of`.
    """
    if result.structured_content is not None and not result.is_error:
        return result.structured_content
    return "\n".join(_text_of(block) for block in result.content)


def _text_of(block: Any) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.mime_type}, {len(block.data) * 3 // 4} bytes]"
        case ResourceLink():
            return f"[resource {block.name}: {block.uri}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case EmbeddedResource():
            return f"[resource {block.resource.uri}]"
        case _:
            return f"[{getattr(block, 'type', 'content')} left out]"
