"""Sprig's functions on strings."""

from __future__ import annotations

from typing import Any

from compozy.template.functions.bytetext import (
    GO_SPACE,
    from_latin,
    lower_char,
    on_bytes,
    on_chars,
    title_char,
    to_latin,
    upper_char,
)
from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.literals import quote as quote_text
from compozy.template.literals import to_bytes
from compozy.template.printf import sprintf
from compozy.template.printing import show, to_text
from compozy.template.values import GoError


@function("hello")
def hello() -> str:
    """Return a greeting."""
    return "Hello!"


@function("upper", "string")
def upper(text: str) -> str:
    """Return the text in upper case."""
    return text.upper() if text.isascii() else on_chars(upper_char, text)


@function("lower", "string")
def lower(text: str) -> str:
    """Return the text in lower case."""
    return text.lower() if text.isascii() else on_chars(lower_char, text)


@function("title", "text")
def title(text: str) -> str:
    """Return the text with each word beginning in upper case."""
    parts: list[str] = []
    before = " "
    for char in text:
        parts.append(title_char(char) if _separates(before) else char)
        before = char
    return "".join(parts)


def _separates(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    return not (char.isalpha() or char.isdecimal()) and char in GO_SPACE


@function("untitle", "text")
def untitle(text: str) -> str:
    """Return the text with each word beginning in lower case."""
    parts: list[str] = []
    begins = True
    for char in text:
        space = char in GO_SPACE
        parts.append(lower_char(char) if begins and not space else char)
        begins = space
    return "".join(parts)


@function("swapcase", "string")
def swapcase(text: str) -> str:
    """Return the text with upper and lower case exchanged."""
    return on_chars(_swap_char, text)


def _swap_char(char: str) -> str:
    return lower_char(char) if char.isupper() or char.istitle() else upper_char(char)


@function("trim", "string")
def trim(text: str) -> str:
    """Return the text without white space around it."""
    return text.strip(GO_SPACE)


@function("trimAll trimall", "string string")
def trim_all(chars: str, text: str) -> str:
    """Return the text without the given characters around it."""
    return text.strip(chars) if chars else text


@function("trimSuffix", "string string")
def trim_suffix(suffix: str, text: str) -> str:
    """Return the text without the suffix."""
    return text.removesuffix(suffix)


@function("trimPrefix", "string string")
def trim_prefix(prefix: str, text: str) -> str:
    """Return the text without the prefix."""
    return text.removeprefix(prefix)


@function("nospace", "text")
def remove_space(text: str) -> str:
    """Return the text without white space. Go reads the bytes one by one, which breaks other characters than ASCII."""
    if text.isascii():
        return "".join(char for char in text if char not in GO_SPACE)
    latin = to_latin(text)
    kept = "".join(char for char in latin if char not in GO_SPACE)
    return text if len(kept) == len(latin) else kept


@function("initials", "text")
def initials(text: str) -> str:
    """Return the first character of each word."""
    latin = to_latin(text)
    return "".join(
        char for before, char in zip(" " + latin, latin, strict=False) if before in GO_SPACE and char not in GO_SPACE
    )


@function("substr", "int int string")
def substring(start: int, end: int, text: str) -> str:
    """Return the bytes from start to end; a negative end means the end of the text."""
    size = len(to_bytes(text))
    if start < 0:
        start = 0
        _check_bounds(0, end, size)
    elif end < 0 or end > size:
        end = size
        _check_start(start, size)
    else:
        _check_bounds(start, end, size)
    return on_bytes(lambda latin: latin[start:end], text)


def _check_bounds(start: int, end: int, size: int) -> None:
    if end < 0:
        raise GoError(f"runtime error: slice bounds out of range [:{end}]")
    if end > size:
        raise GoError(f"runtime error: slice bounds out of range [:{end}] with length {size}")
    if start > end:
        raise GoError(f"runtime error: slice bounds out of range [{start}:{end}]")


def _check_start(start: int, size: int) -> None:
    if start > size:
        raise GoError(f"runtime error: slice bounds out of range [{start}:{size}]")


@function("trunc", "int string")
def truncate(count: int, text: str) -> str:
    """Return the first `count` bytes of the text, or the last for a negative count."""
    return on_bytes(lambda latin: _truncate(count, latin), text)


def _truncate(count: int, text: str) -> str:
    if count < 0:
        return text[count:] if len(text) + count > 0 else text
    return text[:count]


@function("abbrev", "int string")
def abbreviate(width: int, text: str) -> str:
    """Return the text cut to `width` bytes, with `...` at its end."""
    return text if width < 4 else on_bytes(lambda latin: _abbreviate(latin, 0, width), text)


@function("abbrevboth", "int int string")
def abbreviate_both(left: int, right: int, text: str) -> str:
    """Return the text cut on both sides."""
    if right < 4 or (left > 0 and right < 7):
        return text
    return on_bytes(lambda latin: _abbreviate(latin, left, right), text)


def _abbreviate(text: str, offset: int, width: int) -> str:
    size = len(text)
    if size <= width or width < 4:
        return text if width >= 4 or not text else ""
    offset = min(offset, size)
    if size - offset < width - 3:
        offset = size - (width - 3)
    if offset <= 4:
        return text[: width - 3] + "..."
    if width < 7:
        return ""
    if offset + width - 3 < size:
        return "..." + _abbreviate(text[offset:], 0, width - 3)
    return "..." + text[size - (width - 3) :]


@function("wrap", "int text", counted=True)
def wrap(budget: Budget, width: int, text: str) -> str:
    """Return the text broken into lines of `width` bytes; longer words stay whole."""
    budget.build(2 * len(text))
    return on_bytes(lambda latin: _wrap(latin, width, "\n", breaks_words=False), text)


@function("wrapWith", "int string text", counted=True)
def wrap_with(budget: Budget, width: int, separator: str, text: str) -> str:
    """Return the text broken at `width` bytes with a separator; longer words are broken too."""
    budget.build(len(text) * (1 + len(separator)))
    return from_latin(_wrap(to_latin(text), width, to_latin(separator) or "\n", breaks_words=True))


def _wrap(text: str, width: int, separator: str, *, breaks_words: bool) -> str:
    width = max(width, 1)
    parts: list[str] = []
    start = 0
    while len(text) - start > width:
        if text[start] == " ":
            start += 1
            continue
        space = text.rfind(" ", start, start + width + 1)
        if space < 0 and breaks_words:
            parts += text[start : start + width], separator
            start += width
            continue
        if space < 0:
            space = text.find(" ", start + width)
        if space < 0:
            break
        parts += text[start:space], separator
        start = space + 1
    return "".join(parts) + text[start:]


@function("contains", "string string")
def contains(part: str, text: str) -> bool:
    """Return whether the text contains the part."""
    return part in text


@function("hasPrefix", "string string")
def has_prefix(prefix: str, text: str) -> bool:
    """Return whether the text begins with the prefix."""
    return text.startswith(prefix)


@function("hasSuffix", "string string")
def has_suffix(suffix: str, text: str) -> bool:
    """Return whether the text ends with the suffix."""
    return text.endswith(suffix)


@function("repeat", "int string", counted=True)
def repeat(budget: Budget, count: int, text: str) -> str:
    """Return the text `count` times."""
    if count < 0:
        raise GoError("strings: negative Repeat count")
    budget.build(count * len(text))
    return text * count


@function("replace", "string string string", counted=True)
def replace(budget: Budget, old: str, new: str, text: str) -> str:
    """Return the text with each `old` replaced by `new`."""
    budget.build(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


@function("indent", "int string", counted=True)
def indent(budget: Budget, spaces: int, text: str) -> str:
    """Return the text with each line moved to the right."""
    if spaces < 0:
        raise GoError("strings: negative Repeat count")
    budget.build(len(text) + spaces * (1 + text.count("\n")))
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


@function("nindent", "int string", counted=True)
def indent_new_line(budget: Budget, spaces: int, text: str) -> str:
    """Return a line end and the text with each line moved to the right."""
    return "\n" + indent(budget, spaces, text)


@function("quote", "any...", counted=True, walks=True)
def quote(budget: Budget, *values: Any) -> str:
    """Return the values in double quotes, as Go writes strings; null is left out."""
    text = " ".join(quote_text(to_text(value)) for value in values if value is not None)
    budget.build(len(text))
    return text


@function("squote", "any...", counted=True, walks=True)
def quote_single(budget: Budget, *values: Any) -> str:
    """Return the values in single quotes; null is left out."""
    text = " ".join(f"'{show(value)}'" for value in values if value is not None)
    budget.build(len(text))
    return text


@function("cat", "any...", counted=True, walks=True)
def join_words(budget: Budget, *values: Any) -> str:
    """Return the values with a space between them; null is left out."""
    present = [value for value in values if value is not None]
    text = sprintf(" ".join(["%v"] * len(present)), *present)
    budget.build(len(text))
    return text


@function("plural", "string string int")
def plural(one: str, many: str, count: int) -> str:
    """Return `one` for a count of 1, else `many`."""
    return one if count == 1 else many
