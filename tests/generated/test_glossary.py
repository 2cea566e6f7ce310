"""The glossary of "Core concepts" defines each term once, and the pages use its terms."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, page_name, read_page
from tests.generated.language import Text, read_prose

GLOSSARY = DOCS / "concepts/overview.mdx"
TERMS = ("workflow", "run", "task", "step", "journal", "agent", "provider", "store", "server", "worker")
"""Terms that the glossary must define, besides others."""

SYNONYMS = {
    re.compile(r"\bexecutions?\b(?! IDs?\b)", re.IGNORECASE): "run",
    re.compile(r"\bworkflow (?:instances?|executions?)\b", re.IGNORECASE): "run",
    re.compile(r"\b(?:vendors?|backends?) of models\b", re.IGNORECASE): "provider",
}
"""Words that pages avoid -> the term of the glossary."""

# The page of the HTTP API names resources as their JSON does; generated pages repeat option and key names.
WITH_OTHER_NAMES = ("api/", "reference/", "concepts/overview")
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.mdx"))]
    if not page_name(path).removeprefix("docs/content/docs/").startswith(WITH_OTHER_NAMES)
]


@cache
def prose_of(path: Path) -> list[Text]:
    """Return the texts of a page, for all terms."""
    return list(read_prose(path))


def read_glossary() -> dict[str, str]:
    """Return the meaning of each term, in lower case."""
    rows = [re.match(r"\| \*\*(.+?)\*\* \| (.+) \|$", line) for _, line in read_page(GLOSSARY).prose]
    found = [(row[1].lower(), row[2]) for row in rows if row]
    assert len(found) == len(dict(found)), "a term is defined twice"
    return dict(found)


def test_the_glossary_defines_the_terms() -> None:
    glossary = read_glossary()
    assert [term for term in TERMS if term not in glossary] == []
    assert [term for term, meaning in glossary.items() if not re.search(r"\]\(/docs/[\w/#-]+\)", meaning)] == []


@pytest.mark.parametrize("term", read_glossary())
def test_pages_use_a_term_of_the_glossary(term: str) -> None:
    pattern = re.compile(rf"\b{term}s?\b", re.IGNORECASE)
    using = [path for path in PAGES if any(pattern.search(text.text) for text in prose_of(path))]
    assert len(using) >= 3


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_a_page_uses_no_synonym_of_a_term(path: Path) -> None:
    wrong = [
        f"{text.location}: write {term!r}: {match[0]}"
        for text in prose_of(path)
        for pattern, term in SYNONYMS.items()
        if (match := pattern.search(text.text))
    ]
    assert wrong == []
