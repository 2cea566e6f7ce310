"""Shared by the writers: front matter, and text that MDX does not treat as markup."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs/content/docs"

_CODE_SPAN = re.compile(r"(`[^`]*`)")
# Words of descriptions that are always code: flags, variables, keys, names of files, placeholders.
_CODE_WORD = re.compile(
    r"(?<![\w`./-])("
    r"--[a-z][a-z-]*"
    r"|[A-Z]{2,}_[A-Z_]+"
    r"|(?:access|config|database|knowledge|limits|llm|monitoring|runtime|server)\.[a-z_.]*[a-z]"
    r"|compozy\.yaml|:memory:|NO_COLOR"
    r"|\{\w+\}"
    r")(?![\w`])"
)


def front(title: str, description: str) -> str:
    """Return the front matter of a page."""
    return f"---\ntitle: {title}\ndescription: {description}\n---\n"


def prose(text: str) -> str:
    """Return a description as Markdown: code in code spans, and no other text that MDX treats as markup."""
    parts = _CODE_SPAN.split(" ".join(text.split()))
    parts[::2] = [_CODE_WORD.sub(r"`\1`", part) for part in parts[::2]]
    parts = _CODE_SPAN.split("".join(parts))
    parts[::2] = [re.sub(r"[<>{}]", lambda found: f"&#{ord(found.group())};", part) for part in parts[::2]]
    return "".join(parts)


def code(text: str) -> str:
    """Return a code span."""
    return f"`{text}`"


def either(words: list[str]) -> str:
    """Return `a`, `a or b`, `a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
