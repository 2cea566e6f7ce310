"""Sprig's functions with regular expressions, which have Go's syntax and a bound in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import regex

from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.literals import quote
from compozy.template.re2 import PatternError, compile_pattern
from compozy.template.values import GoError, LimitError, NilStrings, Strings

_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def _compile(pattern: str) -> Any:
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise GoError(str(error)) from error
    except (regex.error, RecursionError, OverflowError) as error:
        raise GoError(f"error parsing regexp: {error}") from error


def _search(budget: Budget, pattern: Any, text: str, start: int) -> Any:
    try:
        return pattern.search(text, start, timeout=budget.regex_time_s())
    except TimeoutError as error:
        budget.turn.leave_loop()
        raise LimitError("the regular expression takes too long on this text") from error


def _find_all(budget: Budget, source: str, text: str, count: int) -> Iterator[Any]:
    """Yield at most `count` matches, all for a negative count. An empty match right behind another is none."""
    pattern = _compile(source)
    start, before, found = 0, -1, 0
    while (count < 0 or found < count) and start <= len(text):
        match = _search(budget, pattern, text, start)
        if match is None:
            return
        begin, end = match.span()
        is_new = not (end == start and begin == before)
        start = end + 1 if end == start else end
        before = end
        if is_new:
            found += 1
            yield match


@function("mustRegexMatch", "string string", counted=True)
def must_match(budget: Budget, pattern: str, text: str) -> bool:
    """Return whether the pattern matches somewhere in the text."""
    return _search(budget, _compile(pattern), text, 0) is not None


@function("regexMatch", "string string", counted=True)
def match_text(budget: Budget, pattern: str, text: str) -> bool:
    """Return whether the pattern matches somewhere in the text; not for a wrong pattern."""
    try:
        return must_match(budget, pattern, text)
    except GoError:
        return False


def _explain(error: GoError, pattern: str) -> GoError:
    """Return the error of the functions without `must`, which name the pattern in Go's words for a panic."""
    return GoError(f"regexp: Compile({_quote_pattern(pattern)}): {error.message}")


def _quote_pattern(pattern: str) -> str:
    return f"`{pattern}`" if "`" not in pattern and pattern.isprintable() else quote(pattern)


@function("mustRegexFind", "string string", counted=True)
def must_find(budget: Budget, pattern: str, text: str) -> str:
    """Return the first match, "" for none."""
    match = _search(budget, _compile(pattern), text, 0)
    return match.group() if match else ""


@function("regexFind", "string string", counted=True)
def find(budget: Budget, pattern: str, text: str) -> str:
    """Return the first match, "" for none."""
    _check(pattern)
    return must_find(budget, pattern, text)


def _check(pattern: str) -> None:
    try:
        _compile(pattern)
    except GoError as error:
        raise _explain(error, pattern) from error


@function("mustRegexFindAll", "string string int", counted=True)
def must_find_all(budget: Budget, pattern: str, text: str, count: int) -> Strings:
    """Return at most `count` matches, all for -1."""
    found = [match.group() for match in _find_all(budget, pattern, text, count)]
    budget.build_items(len(found))
    return Strings(found) if found else NilStrings()


@function("regexFindAll", "string string int", counted=True)
def find_all(budget: Budget, pattern: str, text: str, count: int) -> Strings:
    """Return at most `count` matches, all for -1."""
    _check(pattern)
    return must_find_all(budget, pattern, text, count)


def _replace(budget: Budget, source: str, text: str, replacement: str, *, expands: bool) -> str:
    pattern = _compile(source)
    parts: list[str] = []
    start = last = 0
    while start <= len(text):
        match = _search(budget, pattern, text, start)
        if match is None:
            break
        begin, end = match.span()
        parts.append(text[last:begin])
        if end > last or begin == 0:
            new = _expand(replacement, match, source) if expands else replacement
            budget.build(len(new))
            parts.append(new)
        last = end
        start = max(end, start + 1)
    return "".join(parts) + text[last:]


def _expand(replacement: str, match: Any, source: str) -> str:
    """Return the replacement with `$1` and `${name}` filled in; unknown groups are empty."""
    names = _names(source)

    def fill(reference: re.Match[str]) -> str:
        if reference.group(1):
            return "$"
        name = reference.group(2) or reference.group(3)
        if name.isdigit() and name.isascii():
            number = int(name[:6])
            return (match.group(number) or "") if number <= match.re.groups else ""
        return next((match.group(number) for number in names.get(name, ()) if match.group(number) is not None), "")

    return _REFERENCE.sub(fill, replacement)


@lru_cache(maxsize=256)
def _names(pattern: str) -> dict[str, list[int]]:
    """Return the numbers of the groups with names."""
    names: dict[str, list[int]] = {}
    number = 0
    for found in re.finditer(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\((?!\?)|\(\?P?<(\w+)>", pattern, re.DOTALL):
        if found.group()[0] == "(":
            number += 1
            if found.group(1):
                names.setdefault(found.group(1), []).append(number)
    return names


@function("mustRegexReplaceAll", "string string string", counted=True)
def must_replace_all(budget: Budget, pattern: str, text: str, replacement: str) -> str:
    """Return the text with each match replaced; `${1}` in the replacement stands for a group."""
    return _replace(budget, pattern, text, replacement, expands=True)


@function("regexReplaceAll", "string string string", counted=True)
def replace_all(budget: Budget, pattern: str, text: str, replacement: str) -> str:
    """Return the text with each match replaced; `${1}` in the replacement stands for a group."""
    _check(pattern)
    return must_replace_all(budget, pattern, text, replacement)


@function("mustRegexReplaceAllLiteral", "string string string", counted=True)
def must_replace_all_literal(budget: Budget, pattern: str, text: str, replacement: str) -> str:
    """Return the text with each match replaced by exactly the replacement."""
    return _replace(budget, pattern, text, replacement, expands=False)


@function("regexReplaceAllLiteral", "string string string", counted=True)
def replace_all_literal(budget: Budget, pattern: str, text: str, replacement: str) -> str:
    """Return the text with each match replaced by exactly the replacement."""
    _check(pattern)
    return must_replace_all_literal(budget, pattern, text, replacement)


@function("mustRegexSplit", "string string int", counted=True)
def must_split(budget: Budget, pattern: str, text: str, count: int) -> Strings:
    """Return the parts of the text between the matches, at most `count`, all for -1."""
    _compile(pattern)
    if count == 0:
        return NilStrings()
    if pattern and not text:
        return Strings([""])
    parts: list[str] = []
    begin = end = 0
    for match in _find_all(budget, pattern, text, count):
        if 0 < count == len(parts) + 1:
            break
        end = match.start()
        if match.end() != 0:
            parts.append(text[begin:end])
        begin = match.end()
    if end != len(text):
        parts.append(text[begin:])
    budget.build_items(len(parts))
    return Strings(parts)


@function("regexSplit", "string string int", counted=True)
def split(budget: Budget, pattern: str, text: str, count: int) -> Strings:
    """Return the parts of the text between the matches, at most `count`, all for -1."""
    _check(pattern)
    return must_split(budget, pattern, text, count)


@function("regexQuoteMeta", "string", counted=True)
def quote_meta(budget: Budget, text: str) -> str:
    """Return the text as a pattern that matches exactly it."""
    budget.build(2 * len(text))
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)
