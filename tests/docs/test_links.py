"""Every link has a target, and every page can be built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Page, all_pages, page_name, read_page

PAGES = [*all_pages(), ROOT / "CHANGELOG.md"]
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
# Components of docs/components/mdx.tsx that pages use on a separate line.
_COMPONENT = re.compile(
    r"""^(<(Architecture|ChatPicture|DatabaseChoice|RunPicture|VectorStoreChoice) />|"""
    r"""<Callout( (title|type)="[^"<>{}]*")*>|</Callout>)$"""
)
each_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


@each_page
def test_links(path: Path) -> None:
    page = read_page(path)
    faults = [
        f"{page_name(path)}:{line}: {fault}" for line, target in page.links if (fault := find_error(page, target))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.mdx")), ids=page_name)
def test_page_can_be_built(path: Path) -> None:
    page = read_page(path)
    assert page.front.keys() == {"title", "description"}
    assert all(page.front.values())
    # MDX treats braces and angle brackets in prose as code.
    prose = [(line, text) for line, text in page.prose if not _COMPONENT.match(text)]
    odd = [f"{page_name(path)}:{line}" for line, text in prose if re.search(r"[{}<>]", _CODE.sub("", text))]
    assert not odd, f"braces or angle brackets outside of code: {odd}"
    assert not any(text.startswith("# ") for _, text in page.prose), "the title is in the front matter"


def test_headings_with_explicit_anchors(tmp_path: Path) -> None:
    page = tmp_path / "page.mdx"
    page.write_text(
        "## A heading [#its-own]\n\n## Another\n\n## Another\n\n## Keys [#keys] and more\n", encoding="utf-8"
    )
    assert read_page(page).anchors == {"its-own", "another", "another-1", "keys-keys-and-more"}


def find_error(page: Page, target: str) -> str:
    """Return the error of a link, "" if it has a target."""
    place, _, anchor = target.partition("#")
    if re.match(r"https?://", target):
        return "" if target.startswith("https://") else f"{target} is not https"
    path = _path_of(page, place)
    if not path.exists():
        return f"{target} does not exist"
    if not path.resolve().is_relative_to(ROOT):
        return f"{target} is outside of the repository"
    if anchor and anchor not in read_page(path).anchors:
        return f"{target}: heading not found"
    return ""


def _path_of(page: Page, place: str) -> Path:
    if not place:
        return page.path
    if place.startswith("/docs/"):
        return DOCS / f"{place.removeprefix('/docs/')}.mdx"
    return page.path.parent / place
