"""Redaction of texts before they are stored, by regular expressions in Go's syntax."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import regex

from compozy.clock import monotonic_s
from compozy.errors import ConversationError
from compozy.repeats import largest_repeat
from compozy.template.re2 import PatternError, translate

_MAX_S = 2.0
_MAX_REPEAT = 1000


def check_pattern(pattern: str) -> str:
    """Return a regular expression unchanged.

    Raises:
        ValueError: it cannot be used.
    """
    if largest_repeat(pattern) > _MAX_REPEAT:
        raise ValueError(f"a regular expression repeats a part at most {_MAX_REPEAT} times")
    compiled = _compile(pattern)
    if compiled.search("", timeout=_MAX_S) is not None:
        raise ValueError(f"the regular expression {pattern!r} matches the empty text")
    return pattern


def redacted(text: str, patterns: Iterable[str], replacement: str) -> str:
    """Return `text` with `replacement` in place of every match.

    Raises:
        ConversationError: an expression takes too long on this text; nothing of it may be stored then.
    """
    # It has no references to groups.
    replacement = replacement.replace("\\", "\\\\")
    ends_s = monotonic_s() + _MAX_S
    for pattern in patterns:
        try:
            text = _compile(pattern).sub(replacement, text, timeout=max(0.01, ends_s - monotonic_s()))
        except TimeoutError as error:
            raise ConversationError(
                f"`privacy_policy.redact_patterns`: the regular expression {pattern!r} takes too long on this text",
                hint="simplify it; a message that cannot be redacted is not stored",
            ) from error
    return text


@lru_cache(maxsize=256)
def _compile(pattern: str) -> Any:
    try:
        return regex.compile(translate(pattern), flags=regex.VERSION1)
    except PatternError as error:
        raise ValueError(str(error)) from error
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"error parsing regexp: {error}") from error
