"""The page of all functions is what the engine writes, and no function is missing there."""

from __future__ import annotations

import re
from pathlib import Path

from compozy import template
from compozy.template.reference import write_reference
from compozy.template.reference_examples import EXAMPLES, TITLES

PAGE = Path(__file__).parents[3] / "docs/content/docs/workflows/template-functions.mdx"


def test_page_is_what_the_engine_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_reference(), (
        f"write it anew: python -m compozy.template.reference > {PAGE}"
    )


def test_every_function_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^### (\S+)$", text, re.MULTILINE))
    also = {name for names in re.findall(r" Also ((?:`\w+` ?)+)\.", text) for name in re.findall(r"\w+", names)}
    assert shown == EXAMPLES.keys()
    assert shown | also == template.FUNCTION_NAMES
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [*TITLES.values(), "Left out on purpose"]


def test_examples_call_their_function() -> None:
    assert not [name for name, example in EXAMPLES.items() if not re.search(rf"\b{name}\b", example)]
