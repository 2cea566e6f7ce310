"""Markdown, with the `key: value` lines that may stand in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.text import decode

# One or two words: a sentence with a colon is text.
_KEY = re.compile(r"""["']?(\w[\w.-]{0,63}(?: [\w.-]{1,64})?)["']?:(?=[ \t]|$)""")
# Starts of a line between two keys: more of a value, an item of a list, a comment, the end of a list or map.
_INNER = (" ", "\t", "- ", "#", "]", "}")
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MAX_FRONT_LINES = 2000
_MAX_PAIRS = 50
_MAX_VALUE = 500


def read(data: bytes) -> DocumentText:
    """Return a Markdown document; its title is that in front of it, or its first heading."""
    lines = decode(data).split("\n")
    length = _front_length(lines)
    metadata = _pairs(lines[1 : length - 1]) if length else {}
    body = lines[length:]
    title = metadata.pop("title", "") or _first_heading(body)
    return DocumentText(text="\n".join(body), title=title, is_markdown=True, metadata=metadata)


def _front_length(lines: Sequence[str]) -> int:
    """Return how many lines stand in front of the document, 0 when it begins with text or with a rule."""
    if lines[0].rstrip() != "---" or not lines[1:2] or not lines[1].strip():
        return 0
    has_key = False
    for number, line in enumerate(lines[1:_MAX_FRONT_LINES], start=1):
        if line.rstrip() in {"---", "..."}:
            return number + 1 if has_key else 0
        if _KEY.match(line):
            has_key = True
        elif line.strip() and line.strip() != "-" and not line.startswith(_INNER if has_key else "#"):
            return 0
    return 0


def _pairs(front: Sequence[str]) -> dict[str, str]:
    """Return the plain `key: value` lines; lists and maps say nothing that a filter could compare."""
    found: dict[str, str] = {}
    for line in front:
        key = _KEY.match(line)
        plain = _plain_value(line[key.end() :].strip()) if key else ""
        if key and _NAME.fullmatch(key[1]) and _is_plain(plain) and len(found) < _MAX_PAIRS:
            found[key[1]] = plain
    return found


def _plain_value(text: str) -> str:
    """Return a value of YAML without its quotes, or without the comment behind it."""
    quote = text[:1]
    if quote in {"'", '"'}:
        inner = text[1 : end if (end := text.rfind(quote)) > 0 else None]
        return inner.replace("''", "'") if quote == "'" else inner.replace('\\"', '"')
    return text.partition(" #")[0].rstrip()


def _is_plain(value: str) -> bool:
    return 0 < len(value) <= _MAX_VALUE and value[0] not in "[{|>&*!"


def _first_heading(lines: Sequence[str]) -> str:
    """Return the first heading of the first level, "" when there is none; code blocks and comments have none."""
    fence = ""
    is_comment = False
    before = ""
    for line in lines:
        if is_comment:
            is_comment = "-->" not in line
        elif mark := _FENCE.match(line):
            fence = _fence_after(line, mark[1], fence)
        elif not fence:
            is_comment = line.lstrip().startswith("<!--") and "-->" not in line
            if line.startswith(("# ", "#\t")) and (title := _without_marks(line)):
                return title
            if before and line.startswith("=") and not line.rstrip().strip("="):
                return before
        before = "" if fence or is_comment else _underlinable(line)
    return ""


def _fence_after(line: str, mark: str, fence: str) -> str:
    """Return the fence of the code block that is open after a line with the fence `mark`, "" for none."""
    if not fence:
        return mark
    is_end = mark.startswith(fence) and not line.strip().strip(mark[0])
    return "" if is_end else fence


def _without_marks(line: str) -> str:
    """Return the text of a heading; `#` at its end belong to it only where no blank stands before them."""
    text = line[1:].strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text


def _underlinable(line: str) -> str:
    """Return a line that could be a heading underlined by the next one, "" for any other."""
    return "" if line.startswith(("    ", "\t", "#", ">", "- ", "* ", "+ ", "|")) else line.strip()
