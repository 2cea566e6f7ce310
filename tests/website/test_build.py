"""The site is built without warnings and contains every page with its anchors and links."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.docs.pages import DOCS as PAGES
from tests.docs.pages import page_name, read_page
from tests.harness.servers import free_port
from tests.harness.website import DOCS, EXPORT, PLACES, Build, get, require_node, run_npm, serve_pages, words_of

MDX = sorted(PAGES.rglob("*.mdx"))


def test_the_build_warns_of_nothing(build: Build) -> None:
    assert "Generating static pages" in build.output
    assert not re.search(r"warn|deprecat|error|⚠", build.output, re.IGNORECASE), build.output


def test_every_page_is_built(build: Build) -> None:
    missing = [place for place in PLACES if not (EXPORT / place.strip("/") / "index.html").is_file()]
    assert not missing
    assert (EXPORT / "404.html").is_file()


@pytest.mark.parametrize("path", MDX, ids=page_name)
def test_a_page_has_its_headings_and_titles(build: Build, path: Path) -> None:
    """Anchors match those of tests/docs. Of the words after a fence's kind, only the title is shown."""
    page = read_page(path)
    html = (EXPORT / "docs" / path.relative_to(PAGES).with_suffix("") / "index.html").read_text(encoding="utf-8")
    # The heading of the table of contents belongs to the site.
    assert set(re.findall(r'<h[2-6][^>]* id="([^"]+)"', html)) - {"toc-title"} == page.anchors
    titles = [fence.meta["title"] for fence in page.fences if "title" in fence.meta]
    assert [unescape(title) for title in re.findall(r"<figcaption[^>]*>([^<]+)<", html)] == titles
    assert len(re.findall(r'<figure[^>]*class="[^"]*\bshiki\b', html)) == len(page.fences)
    assert not re.search(r"\b(norun|pace|background)=", words_of(html))


def test_every_page_is_in_the_index_of_the_search(build: Build) -> None:
    index = (EXPORT / "search.json").read_text(encoding="utf-8")
    assert [path for path in MDX if f'"/docs/{path.relative_to(PAGES).with_suffix("")}"' not in index] == []


def test_no_link_is_broken(build: Build) -> None:
    done = run_npm("run", "check-links")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ pages, \d+ links: none is broken", done.stdout)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="/nowhere">x</a>', "index.html: /nowhere: page not found"),
        ('<a href="/other/#lost">x</a>', "index.html: /other/#lost: anchor not found"),
        ('<a href="#lost">x</a>', "index.html: #lost: anchor not found"),
        ('<a href="/../secret.html">x</a>', "index.html: /../secret.html: page not found"),
        ('<a href="http://example.com/">x</a>', "index.html: http://example.com/: is not https"),
        ('<img src="/lost.png">', "index.html: /lost.png: file not found"),
        (
            '<script src="https://example.com/a.js"></script>',
            "index.html: https://example.com/a.js: is loaded from elsewhere",
        ),
        ('<link rel="stylesheet" href="/bad.css">', "bad.css: //example.com/a.woff2: is loaded from elsewhere"),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, body: str, fault: str) -> None:
    site = tmp_path / "site"
    (site / "other").mkdir(parents=True)
    (tmp_path / "secret.html").write_text("")
    (site / "other/index.html").write_text('<h2 id="there">x</h2>')
    (site / "fine.html").write_text(
        '<a href="/other#there">x</a> <a href="other/">x</a> <a href="https://example.com">x</a>'
    )
    (site / "index.html").write_text(body)
    if "bad.css" in body:
        (site / "bad.css").write_text("@font-face { src: url(//example.com/a.woff2) }")
    done = run_npm("run", "--silent", "check-links", "--", str(site))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"check-links: {fault}"]


def test_an_empty_site_is_an_error(tmp_path: Path) -> None:
    done = run_npm("run", "--silent", "check-links", "--", str(tmp_path))
    assert done.returncode == 1
    assert "there are no pages" in done.stdout


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ([{"title": "A", "pages": ["a/one"]}], "a/two is in no section of source.config.ts"),
        ([{"title": "A", "pages": ["a/one", "a/two", "a/six"]}], 'a/six in "A": content/docs/a/six.mdx does not exist'),
        ([{"title": "A", "pages": ["a/one", "a/two", "a/one"]}], 'a/one is in "A" and in "A"'),
    ],
)
def test_the_list_of_pages_is_checked(sections: list[object], fault: str) -> None:
    call = f"findFaults({json.dumps(sections)}, ['a/one', 'a/two'])"
    script = f"import {{ findFaults }} from './scripts/navigation.mjs'; console.log(JSON.stringify({call}))"
    assert fault in json.loads(_run_node(script))


def test_a_page_that_is_not_listed_fails_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "docs"
    shutil.copytree(PAGES, pages, ignore=shutil.ignore_patterns("meta.json"))
    assert run_npm("run", "--silent", "navigation", "--", str(pages)).returncode == 0
    made = json.loads((pages / "database/meta.json").read_text(encoding="utf-8"))
    assert made["title"] == "Database"
    assert {"overview", "postgresql", "sqlite"} <= set(made["pages"])
    (pages / "database/sqlite.mdx").rename(pages / "database/other.mdx")
    done = run_npm("run", "--silent", "navigation", "--", str(pages))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        'navigation: database/sqlite in "Database": content/docs/database/sqlite.mdx does not exist',
        "navigation: database/other is in no section of source.config.ts",
    ]


def test_no_registry_is_named() -> None:
    lock = json.loads((DOCS / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"]
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    # Packages for other systems may have been unavailable when the file was created.
    bare = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert [name for name in bare if not re.search(r"darwin|win32|android|freebsd|wasm32|linux-arm-", name)] == []
    wanted = lock["packages"][""]
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


@pytest.mark.timeout(600)
def test_the_development_server_answers_a_page_of_each_section(build: Build, tmp_path: Path) -> None:
    # It renders each page on request, in seconds on a busy machine; the build renders all.
    places = ["/", *{place.rsplit("/", 2)[0]: place for place in PLACES}.values()]
    assert len(places) > 10
    with serve_pages(free_port(), tmp_path / "log") as address:
        # The first page of each kind is compiled on request, which takes a minute on a busy machine.
        answers = {place: get(f"{address}{place}", timeout_s=300)[0] for place in places}
        assert get(f"{address}/docs/nowhere/")[0] == 404
    assert answers == dict.fromkeys(places, 200), (tmp_path / "log").read_text(encoding="utf-8")


def _run_node(script: str) -> str:
    done = subprocess.run(
        [require_node(), "--input-type=module", "--eval", script], cwd=DOCS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
