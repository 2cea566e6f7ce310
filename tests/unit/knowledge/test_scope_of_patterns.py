"""The scope of an ingestion with a pattern: documents that do not match are never treated as deleted."""

from __future__ import annotations

import pytest

from compozy.knowledge.sources import SourceScope


@pytest.mark.parametrize(
    ("pattern", "document", "is_covered"),
    [
        ("notes/*.txt", "notes/a.txt", True),
        ("notes/*.txt", "notes/tea.md", False),
        ("notes/*.txt", "notes/below/a.txt", False),
        ("notes/*.txt", "other/notes/a.txt", False),
        ("notes/**/*.md", "notes/tea.md", True),
        ("notes/**/*.md", "notes/a/b/tea.md", True),
        ("notes/[!x]?.md", "notes/ab.md", True),
        ("notes/[!x]?.md", "notes/xb.md", False),
        ("**", "https://example.com/a.md", False),
    ],
)
def test_a_pattern_covers_what_it_matches(pattern: str, document: str, *, is_covered: bool) -> None:
    assert SourceScope(patterns=(pattern,)).covers(document) is is_covered
