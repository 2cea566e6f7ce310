"""HTML: the content of a page becomes Markdown, and only its frame is left out."""

from __future__ import annotations

import time

import pytest

from compozy.knowledge.read.kinds import read_document

SITE = """<!DOCTYPE html><html><head><title>Ovens &amp; more</title><script>no()</script></head><body>
<div id="onetrust-consent-sdk"><p>We value your cookies</p><button>Accept all</button></div>
<header><a href="/">Home</a><ul><li>Shop</li></ul><h1>Ovens</h1><form>Search</form></header>
<nav><ul><li>Menu one</li></ul></nav>
<main><header><p>By Ada</p></header><p>Ovens are hot.</p><aside>Related: fridges</aside>
<section id="cookies"><h2>Cookies from the oven</h2><p>Bake for ten minutes.</p></section>
<footer>Last changed in May</footer></main>
<div role="contentinfo">Imprint</div><div class="cookie-banner"><b>Cookies!</b></div><div hidden>no</div>
<div style="display: none">no</div><div class="x" aria-hidden="true">no</div><footer>(c) 2031</footer></body></html>"""


def text(page: str) -> str:
    return read_document("a.html", page.encode()).text


def test_the_frame_of_a_page_is_left_out() -> None:
    found = read_document("a.html", SITE.encode())
    assert found.title == "Ovens & more"
    assert found.text == ("# Ovens\n\nBy Ada\n\nOvens are hot.\n\n## Cookies from the oven\n\nBake for ten minutes.")


@pytest.mark.parametrize(
    "page",
    [
        "<nav><p>All of it</p></nav>",
        "<aside><div>All of it</div></aside>",
        '<body aria-hidden="true"><div aria-hidden="true">All of it</div>',
        '<div class="cookie-banner">All of it</div>',
        "<header>All of it</header>",
        "<nav>All of it",
    ],
)
def test_a_page_of_nothing_else_is_read_whole(page: str) -> None:
    assert text(page) == "All of it"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<div><nav>menu</div><p>text</p>", "text"),
        ("<div><svg><path></div><p>text</p>", "text"),
        ("<p>a<svg><path d='x'><p>text", "a\n\ntext"),
        ("<svg><foreignObject><p>no</p></foreignObject></svg><p>text", "text"),
        ('<script src="x"/><p>text</p>', "text"),
        ("<p>a<!-- c --!>b", "ab"),
        ("<template><p>no</template><template shadowrootmode=open><p>text</template>", "text"),
        ("<title>Title<p>text</p>", "text"),
        ("<p>a<p>b<p>c", "a\n\nb\n\nc"),
        ("<p>a</div></b></nav></script><p>b", "a\n\nb"),
        ("<div><ul><li>a</div><ul><li>b</ul>", "- a\n\n- b"),
        ("<h1>a<br>b</h1>c", "# a b\n\nc"),
        ('<p hidden="until-found">text</p>', "text"),
        ("<p>before<nav><ul><li>menu<main><p>text</main>", "before\n\ntext"),
    ],
)
def test_elements_that_are_not_closed(page: str, expected: str) -> None:
    assert text(page) == expected


def test_an_aside_belongs_to_an_article() -> None:
    assert text("<aside>Other</aside><article><p>a</p><aside>Caution: hot</aside></article>") == "a\n\nCaution: hot"


def test_lists() -> None:
    page = "<ol start=3><li>c<ul><li>x<li>y</ul><li>d</ol><p>after</p><menu><li>m</menu>"
    assert text(page) == "3. c\n   - x\n   - y\n4. d\n\nafter\n\n- m"


def test_tables() -> None:
    page = (
        "<table><caption>Ages</caption><thead><tr><th>Name<th>Age</thead><tr><td>Ada | Co<td><p>36</p></tr>"
        "<tr><td>Bob</table>after"
    )
    assert text(page) == "Ages\n\n| Name | Age |\n| --- | --- |\n| Ada \\| Co | 36 |\n| Bob |  |\n\nafter"
    assert text("<table><tr><td><h1>a</h1><td><p>b</table>") == "# a\n\nb"
    assert text("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>") == "| a | b |\n| --- | --- |\n\nc"
    assert text("<table><tr><td>one<tr><td>two</table>") == "one\n\ntwo"
    assert text("<tr><td>a<td>b</tr>") == "a b"
    assert text("<table><tr><th colspan=2>a<th>b<tr><td>c<td>d<td>e</table>") == (
        "| a |  | b |\n| --- | --- | --- |\n| c | d | e |"
    )
    assert text("<table><tr><td rowspan=3>a<td>b<tr><td>c<tr><td>d<td>e<tr><td>f</table>") == (
        "| a | b |  |\n| --- | --- | --- |\n|  | c |  |\n|  | d | e |\n| f |  |  |"
    )
    assert text("<p>x</p><table aria-hidden=true><tr><td>a<td>b</table><p>y</p>") == "x\n\ny"


def test_code_keeps_its_lines() -> None:
    assert text("<p>Run</p><pre><code>a  b\n  # c</code></pre><p>x</p>") == "Run\n\n```\na  b\n  # c\n```\n\nx"


@pytest.mark.parametrize(
    "page",
    ["<p>a</p><![foo bar]><p>b</p>", "<p>a<![if !IE]>\n\n<p>b<![endif]>", "<p>a<!foo><p>b", "<p>a<![CDATA[x]]><p>b"],
)
def test_unknown_declarations_are_comments(page: str) -> None:
    assert text(page) == "a\n\nb"


def test_raised_digits_stay_apart_and_soft_hyphens_go() -> None:
    assert text("<p>10<sup>5</sup>, the 1<sup>st</sup> note<sup><a>2</a></sup>, H<sub>2</sub>O") == (
        "10^5, the 1st note2, H2O"
    )
    assert text("<p>hy&shy;phen") == "hyphen"


@pytest.mark.parametrize("page", ["<p>a<![foo", "<p>a<![", "<p>a<!", "<p>a<!-- b", "<p>a</", "<p>a<b c='", "<p>a&#"])
def test_a_page_that_is_cut_off_is_read(page: str) -> None:
    assert text(page).startswith("a")


@pytest.mark.parametrize(
    "page",
    [
        "<table><tr><td>x" * 20_000,
        "<table><tr>" + "<td>x" * 20_000 + "<tr><td>x" * 20_000,
        "<table><tr>" + "<td colspan=99999 rowspan=99999>x" * 20_000 + "<tr><td>x" * 100,
        "<div>" * 50_000 + "</b>" * 50_000 + "text",
        "<div class='" + "cookie-" * 50_000 + "'>text</div>",
        "<ul><li>a" * 20_000,
        "<p>a" + "<!--" * 50_000,
        "<p>a" + "<a b " * 50_000,
        "<p>a" + "<a b='" * 50_000 + ">",
    ],
)
def test_no_page_takes_long(page: str) -> None:
    began = time.process_time()
    assert text(page)
    assert time.process_time() - began < 6
