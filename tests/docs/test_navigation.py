"""The navigation of the site: one list in docs/source.config.ts that contains every page once."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from tests.docs.pages import DOCS, ROOT

CONFIG = ROOT / "docs/source.config.ts"


def test_every_page_is_listed_once() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.mdx")}
    listed = [name for _, names in read_sections() for name in names]
    assert sorted(listed) == sorted(set(listed)), "a page is listed twice"
    assert pages - set(listed) == set(), "pages in no section of docs/source.config.ts"
    assert set(listed) - pages == set(), "pages that are listed in docs/source.config.ts, and are not there"


def test_a_section_has_the_pages_of_one_folder() -> None:
    folders = [{PurePosixPath(name).parent for name in names} for _, names in read_sections()]
    assert all(len(each) <= 1 for each in folders), folders
    named = [folder for each in folders for folder in each]
    assert len(named) == len(set(named)), "two sections share a folder"


def test_sections_have_unique_names() -> None:
    titles = [title for title, _ in read_sections()]
    assert len(titles) == len(set(titles)) > 10


def test_the_sidebar_has_five_groups() -> None:
    assert [section["group"] for section in read_list() if "group" in section] == [
        *("Get started", "Guides", "Concepts", "Reference", "Project"),
    ]
    assert "group" in read_list()[0]


def test_the_page_of_all_guides_has_each_one() -> None:
    text = (DOCS / "guides/overview.mdx").read_text(encoding="utf-8")
    listed = re.findall(r"\(/docs/(guides/[a-z-]+)\)", text)
    pages = dict(read_sections())["Guides"]
    assert sorted(listed) == sorted(set(pages) - {"guides/overview"})


def read_sections() -> list[tuple[str, list[str]]]:
    """Return title and pages of each section."""
    return [(section["title"], section["pages"]) for section in read_list()]


def read_list() -> list[dict[str, Any]]:
    """Read the list without Node: it is JSON except for its quotes, trailing commas and comments."""
    text = CONFIG.read_text(encoding="utf-8")
    found = re.search(r"^const navigation = (\[\n.*?^\]);", text, re.MULTILINE | re.DOTALL)
    assert found, "`const navigation = [...]` not found"
    plain = re.sub(r"^ *//.*$", "", found[1], flags=re.MULTILINE)
    plain = re.sub(r"\b(group|title|pages):", r'"\1":', plain.replace("'", '"'))
    plain = re.sub(r",(\s*[\]}])", r"\1", plain)
    return json.loads(plain)
