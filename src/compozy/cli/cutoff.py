"""Warnings of answers that ended before their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compozy.cli.output import print_warnings

_CUT_OFF = {
    "length": "the answer is incomplete: it reached its token limit (raise `max_tokens`)",
    "content_filter": "the answer is incomplete: the provider's content filter cut it off",
}


def warn_of_cut_off(path: str, usages: Sequence[dict[str, Any]]) -> None:
    """Warn of each answer of the task at `path` that was cut off, by its `finish_reason`."""
    reasons = (usage.get("finish_reason") or "" for usage in usages)
    print_warnings(f"{path}: {_CUT_OFF[reason]}" for reason in reasons if reason in _CUT_OFF)
