"""Parses pages for the tests: fences with their meta words, headings, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/content/docs"

_OPENING = re.compile(r"^( *)(`{3,})(.*)$")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$")
# Fumadocs' syntax for an explicit anchor: `## Heading [#anchor]`.
_ANCHORED = re.compile(r"\s\[#([\w-]+)\]$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")


@dataclass(frozen=True, kw_only=True)
class Fence:
    """One fenced block. `line` is the line of its opening; `kind` is the language, or `yaml KIND`."""

    page: Path
    line: int
    kind: str
    meta: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(kw_only=True)
class Page:
    """One parsed page."""

    path: Path
    front: dict[str, str] = field(default_factory=dict[str, str])
    fences: list[Fence] = field(default_factory=list[Fence])
    prose: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    @property
    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as in a browser."""
        found: set[str] = set()
        for _, line in self.prose:
            if heading := _HEADING.match(line):
                own = _ANCHORED.search(heading[1])
                slug = own[1] if own else _slug(heading[1])
                number = next(n for n in range(100) if (f"{slug}-{n}" if n else slug) not in found)
                found.add(f"{slug}-{number}" if number else slug)
        return found

    @property
    def links(self) -> list[tuple[int, str]]:
        """Return line and target of each link."""
        return [
            (number, target) for number, line in self.prose for target in _LINK.findall(_CODE.sub("", line)) if target
        ]


def all_pages() -> list[Path]:
    """Return every page whose fences are checked."""
    examples = [path for path in (ROOT / "examples").rglob("README.md") if "data" not in path.parts]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(examples), *sorted(DOCS.rglob("*.mdx"))]


def page_name(path: Path) -> str:
    """Return the name of a page in test IDs."""
    return path.relative_to(ROOT).as_posix()


def read_page(path: Path) -> Page:
    """Parse the page at `path`.

    Raises:
        ValueError: a fence is not closed, or its meta words cannot be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    page = Page(path=path)
    start = _read_front(lines, page)
    numbered = iter(list(enumerate(lines, start=1))[start:])
    for number, line in numbered:
        if opening := _OPENING.match(line):
            page.fences.append(_read_fence(page.path, number, opening, numbered))
        else:
            page.prose.append((number, line))
    return page


def _read_front(lines: list[str], page: Page) -> int:
    if not lines or lines[0] != "---":
        return 0
    end = lines.index("---", 1)
    for line in lines[1:end]:
        key, _, value = line.partition(":")
        page.front[key.strip()] = value.strip()
    return end + 1


def _read_fence(path: Path, number: int, opening: re.Match[str], lines: Iterator[tuple[int, str]]) -> Fence:
    indent, ticks, info = opening.groups()
    body: list[str] = []
    for _, line in lines:
        if line.strip() == ticks:
            kind, meta = _read_info(info)
            text = "".join(f"{each.removeprefix(indent)}\n" for each in body)
            return Fence(page=path, line=number, kind=kind, meta=meta, text=text)
        body.append(line)
    raise ValueError(f"{path}:{number}: the fence is not closed")


def _read_info(info: str) -> tuple[str, dict[str, str]]:
    """Return the kind and the meta words of `yaml workflow title="a.yaml"`. Words without `=` are the kind."""
    words = shlex.split(info)
    meta = dict(word.split("=", 1) for word in words if "=" in word)
    kind = " ".join(word for word in words if "=" not in word)
    return ("yaml wrong" if kind == "yaml" and "wrong" in meta else kind), meta


def _slug(heading: str) -> str:
    plain = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
