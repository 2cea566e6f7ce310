"""Results of MCP tools as JSON for a model."""

from __future__ import annotations

from typing import Any

from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)


def content_of(result: CallToolResult) -> Any:
    """Return what a model reads of a result: its structured content, else its texts.

    What a model cannot read, such as an image, is named in place of it.
    """
    if result.structured_content is not None and not result.is_error:
        return result.structured_content
    return "\n".join(_text_of(block) for block in result.content)


def _text_of(block: Any) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.mime_type}, {len(block.data) * 3 // 4} bytes, left out]"
        case ResourceLink():
            return f"[resource {block.name}: {block.uri}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case EmbeddedResource():
            return f"[resource {block.resource.uri}, left out]"
        case _:
            return f"[{getattr(block, 'type', 'content')} left out]"
