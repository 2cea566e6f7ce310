"""Verbs without a server: an unhandled verb does nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from compozy.cli import operate
from compozy.cli.verbs import Verb
from compozy.client import Document


@dataclass(frozen=True)
class _Archive(Verb):
    path = "archive"

    def say(self, answer: Document) -> int:
        return 0


def test_an_unhandled_verb_is_not_mistaken_for_another() -> None:
    do: Any = operate._do  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(AssertionError, match="Archive"):
        asyncio.run(do(cast("Any", None), _Archive("a")))
