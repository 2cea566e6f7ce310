"""Errors of the YAML parser, as messages that name the correction.

libyaml and PyYAML's own parser word the same problems a little differently; the patterns fit both.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml

from compozy.config.text import SourceText
from compozy.errors import Diagnostic

_Words = tuple[str, str]  # message, hint
# Characters of web pages and text processors where YAML needs a space or a colon: at the start of a line, after `:` or
# `-`, and after a key.
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_NO_WIDTH = "\u200b-\u200f\u2028\u2029\u2060\ufeff\u0085"
_LOOKALIKE = re.compile(
    rf"^ *([{_SPACES}{_NO_WIDTH}])|[:-]([{_SPACES}{_NO_WIDTH}])|^ *(?:- )?[\w-]+(\uff1a)", re.MULTILINE
)


def syntax_fault(source: SourceText, error: yaml.MarkedYAMLError) -> Diagnostic:
    """Return `error` as a diagnostic at the location to correct."""
    lookalike = _find_lookalike(source, _index(error.problem_mark))
    if lookalike is not None:
        return lookalike
    problem = str(error.problem or "")
    at = _index(error.problem_mark)
    opened = _index(error.context_mark) if error.context_mark else None
    for pattern, at_opening, say in _PROBLEMS:
        if re.search(pattern, f"{error.context or ''}: {problem}"):
            message, hint = say(source, at, opened)
            place = source.place(opened if at_opening and opened is not None else at)
            return Diagnostic(location=place, message=message, hint=hint, code="yaml")
    return Diagnostic(location=source.place(at), message=f"not YAML from here on: {problem}", code="yaml")


def _find_lookalike(source: SourceText, at: int) -> Diagnostic | None:
    """Return the error for a character that looks like a space or a colon, in the line of `at` or before it."""
    start = source.text.rfind("\n", 0, max(source.text.rfind("\n", 0, at), 0)) + 1
    end = source.text.find("\n", at)
    found = _LOOKALIKE.search(source.text, start, len(source.text) if end < 0 else end)
    if found is None:
        return None
    char = next(group for group in found.groups() if group)
    code = f"U+{ord(char):04X}"
    meant = "a colon" if char == "\uff1a" else "a space"
    message, hint = f"the character {code} is not {meant}", f"replace it with {meant}"
    if re.match(f"[{_NO_WIDTH}]", char):
        message, hint = f"the invisible character {code} is part of this line", "remove it"
    return Diagnostic(location=source.place(found.start(found.lastindex or 0)), message=message, hint=hint, code="yaml")


def _index(mark: yaml.Mark | None) -> int:
    return mark.index if mark else 0


def _char(source: SourceText, at: int) -> str:
    return source.text[at : at + 1]


def _bad_start(source: SourceText, at: int, _: int | None) -> _Words:
    char = _char(source, at)
    if char == "\t":
        return "a tab cannot indent YAML", "use spaces"
    return f"an unquoted value cannot start with {char!r}", "put it in quotes"


def _tab(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "a tab cannot indent YAML", "use spaces"


def _second_colon(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "a `:` inside an unquoted value", "put the value in quotes, or start a new line for a new key"


def _no_colon(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "expected `key: value`, found no `:`", "text over several lines needs `|` after its key"


def _open_list(source: SourceText, _at: int, opened: int | None) -> _Words:
    return _not_closed(source, opened, "list", "[", "]")


def _open_map(source: SourceText, _at: int, opened: int | None) -> _Words:
    message, hint = _not_closed(source, opened, "map", "{", "}")
    if opened is not None and source.text[opened : opened + 2] == "{{":
        return "an unquoted value cannot be a template", 'put it in quotes: "{{ ... }}"'
    return message, hint


def _not_closed(source: SourceText, opened: int | None, what: str, left: str, right: str) -> _Words:
    line = source.place(opened or 0).line
    return f"expected `,` or `{right}` in the {what} that `{left}` opens in line {line}", ""


def _open_quote(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "the quote that opens here is never closed", ""


def _escape(source: SourceText, at: int, _: int | None) -> _Words:
    # libyaml points at the backslash, PyYAML's own parser behind it.
    start = at if _char(source, at) == "\\" else at - 1
    escape = source.text[start : start + 2]
    return f"`{escape}` is not an escape sequence in double quotes", f"use single quotes, or write `\\{escape}`"


def _bad_code(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "an escape names a character that does not exist", ""


def _anchor(source: SourceText, _at: int, opened: int | None) -> _Words:
    char = _char(source, opened or 0)
    return f"an unquoted value cannot start with {char!r}", "put it in quotes"


def _indent_key(_source: SourceText, _at: int, opened: int | None) -> _Words:
    line = _source.place(opened or 0).line
    return f"expected a key of the map that starts in line {line}", "check the indentation of this line"


def _indent_item(_source: SourceText, _at: int, opened: int | None) -> _Words:
    line = _source.place(opened or 0).line
    return f"expected a `- ` of the list that starts in line {line}", "check the indentation of this line"


def _list_in_line(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "a list cannot start in the line of its key", "start it in the next line, or put the value in quotes"


def _block_header(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "text cannot follow `|` or `>` in the same line", "start it in the next line"


def _after_end(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "expected the end of the file", "check the indentation of this line"


def _no_value(_source: SourceText, _at: int, _: int | None) -> _Words:
    return "expected a value, or the `]` or `}` that closes what is open", ""


_Say = Callable[[SourceText, int, int | None], _Words]

# Message of the parser, whether the location is the start of the construct (else where reading stopped), our message.
_PROBLEMS: tuple[tuple[str, bool, _Say], ...] = (
    (r"tab character (that violates|where an indentation)", False, _tab),
    (r"cannot start any token", False, _bad_start),
    (r"mapping values are not allowed", False, _second_colon),
    (r"could not find expected ':'", True, _no_colon),
    (r"flow sequence.*expected ',' or '\]'", False, _open_list),
    (r"flow mapping.*expected ',' or '\}'", False, _open_map),
    (r"quoted scalar: found unexpected (end of stream|document)", True, _open_quote),
    (r"unknown escape character", False, _escape),
    (r"escape code|escape sequence of", False, _bad_code),
    (r"(anchor|alias).*expected alphabetic or numeric", True, _anchor),
    (r"block mapping.*(expected key|expected <block end>)", False, _indent_key),
    (r"block (collection|sequence).*(expected '-' indicator|expected <block end>)", False, _indent_item),
    (r"(block )?sequence entries are not allowed", False, _list_in_line),
    (r"block scalar.*expected (a )?comment or", False, _block_header),
    (r"expected (the )?node content", False, _no_value),
    (r"expected '?<document start>", False, _after_end),
)
