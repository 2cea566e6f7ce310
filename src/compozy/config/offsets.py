"""Where each character of a scalar's value stands in the file.

The YAML parser gives the value and the span it was written in, but not which character came from where: escapes,
folded lines and indentation are gone. The decoders here read the span once more and note the index of every character
that they produce. The caller gets None when they come to another value than the parser did, so a place is never wrong,
at worst it is only the scalar's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t\r\n]+)*")
_BREAK = re.compile(r"\r\n|[\r\n]")
_BLANKS = re.compile(r"[ \t]*")
_HEADER = re.compile(r"[|>][-+0-9]*[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|$)")
_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|$)")
# YAML's escapes, the letter and behind it what it stands for.
_PAIRS = '0\0a\ab\bt\t\t\tn\nv\vf\fr\re\x1b  ""//\\\\N\x85_\xa0L\u2028P\u2029'
_ESCAPES = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}

_Chars = list[tuple[str, int]]


def decoded_offsets(text: str, start: int, end: int, *, style: str, expected: str) -> list[int] | None:
    """Return the index in `text` of each character of `expected`, and of what follows the last one.

    Args:
        text: the whole file.
        start: where the scalar starts, its anchor and tag included.
        end: where the parser saw it end.
        style: "" plain, "'", '"', "|" or ">".
        expected: the value that the parser made of it.

    Returns:
        One index more than `expected` has characters, or None when the span does not decode to `expected`.
    """
    properties = _PROPERTIES.match(text, start, end)
    start = properties.end() if properties else start
    if style in {"|", ">"}:
        return _block_offsets(text, start, end, folded=style == ">", expected=expected)
    return _matching(_decode_flow(text, start, end, style), expected)


def _matching(chars: _Chars, expected: str) -> list[int] | None:
    value = "".join(char for char, _ in chars)
    if not value.startswith(expected) or value[len(expected) :].strip():
        return None
    offsets = [index for _, index in chars[: len(expected)]]
    return [*offsets, offsets[-1] + 1 if offsets else 0]


def _decode_flow(text: str, start: int, end: int, style: str) -> _Chars:
    chars: _Chars = []
    at = start + len(style)
    while at < end:
        char = text[at]
        if char == style:
            if style != "'" or text[at + 1 : at + 2] != "'":
                break
            chars.append(("'", at))
            at += 2
        elif char in " \t\r\n":
            at = _decode_space(text, at, end, chars)
        elif char == "\\" and style == '"':
            at = _decode_escape(text, at, end, chars)
        else:
            chars.append((char, at))
            at += 1
    return chars


def _decode_space(text: str, at: int, end: int, chars: _Chars) -> int:
    """Fold the white space at `at`: blanks stay, one line break is a space, n breaks are n-1 newlines."""
    after = _skip_blanks(text, at, end)
    breaks: list[int] = []
    while after < end and (found := _BREAK.match(text, after, end)):
        breaks.append(after)
        after = _skip_blanks(text, found.end(), end)
    if not breaks:
        chars.extend((text[index], index) for index in range(at, after))
    elif len(breaks) == 1:
        chars.append((" ", breaks[0]))
    else:
        chars.extend(("\n", index) for index in breaks[1:])
    return after


def _skip_blanks(text: str, at: int, end: int) -> int:
    found = _BLANKS.match(text, at, end)
    return found.end() if found else at


def _decode_escape(text: str, at: int, end: int, chars: _Chars) -> int:
    code = text[at + 1 : at + 2]
    if code in _HEX_DIGITS:
        after = at + 2 + _HEX_DIGITS[code]
        chars.append((chr(int(text[at + 2 : after], 16)), at))
        return after
    line_break = _BREAK.match(text, at + 1, end)
    if not line_break:
        chars.append((_ESCAPES.get(code, ""), at))
        return at + 2
    after = _skip_blanks(text, line_break.end(), end)
    while found := _BREAK.match(text, after, end):
        chars.append(("\n", after))
        after = _skip_blanks(text, found.end(), end)
    return after


def _block_offsets(text: str, start: int, end: int, *, folded: bool, expected: str) -> list[int] | None:
    header = _HEADER.match(text, start)
    if header is None or not expected:
        return None
    lines = list(_block_lines(text, header.end(), end))
    first = next((line for line in lines if line[0].strip(" ")), ("", 0))[0]
    # The indentation is the first line's, unless the header states a smaller one, relative to a parent
    # that is not known here: the right one is the one that gives the expected value.
    for indent in range(len(first) - len(first.lstrip(" ")), -1, -1):
        chars = _decode_folded(lines, indent) if folded else _decode_literal(lines, indent)
        offsets = _matching(chars, expected)
        if offsets is not None:
            return offsets
    return None


def _block_lines(text: str, at: int, end: int) -> Iterator[tuple[str, int]]:
    while at < end and (found := _LINE.match(text, at)):
        yield found[1], at
        if found.end() == at:
            return
        at = found.end()


def _decode_literal(lines: list[tuple[str, int]], indent: int) -> _Chars:
    chars: _Chars = []
    for line, start in lines:
        chars.extend((line[col], start + col) for col in range(indent, len(line)))
        chars.append(("\n", start + len(line)))
    return chars


def _decode_folded(lines: list[tuple[str, int]], indent: int) -> _Chars:
    chars: _Chars = []
    breaks: _Chars = []  # since the last line that had content
    folds = False
    for line, start in lines:
        content = line[indent:]
        if content:
            starts_with_blank = content[0] in " \t"
            if breaks and folds and not starts_with_blank:
                breaks = breaks[1:] or [(" ", breaks[0][1])]
            chars.extend(breaks)
            chars.extend((char, start + indent + col) for col, char in enumerate(content))
            breaks, folds = [], not starts_with_blank
        breaks.append(("\n", start + len(line)))
    return chars + breaks
