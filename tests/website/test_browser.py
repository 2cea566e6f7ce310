"""The site in Chromium: search, light and dark mode, phone width, and accessibility."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.harness.website import DOCS, PLACES

AXE = DOCS / "node_modules/axe-core/axe.min.js"
PHONE = 375
# Everyday words, some of them misspelled -> the page that answers them.
WORDS = {
    "api key": "agents/providers",
    "approval": "guides/human-approval",
    "backup": "guides/back-up",
    "chat": "guides/documents",
    "cost": "guides/monitor",
    "crash": "concepts/durability",
    "cron": "guides/schedule",
    "curl": "guides/http-and-python",
    "docker": "guides/docker",
    "error": "troubleshooting/overview",
    "github actions": "guides/ci-tests",
    "if else": "guides/branches-and-loops",
    "install": "getting-started/installation",
    "json": "guides/structured-output",
    "kubernetes": "guides/docker",
    "loop": "guides/branches-and-loops",
    "n8n": "project/comparison",
    "openai": "agents/providers",
    "paralel": "workflows/parallel",
    "pdf": "knowledge-bases/overview",
    "pgvector": "knowledge-bases/vector-databases",
    "pip": "getting-started/installation",
    "postgress": "database/postgresql",
    "prometheus": "guides/monitor",
    "restore": "guides/back-up",
    "retry": "workflows/tasks",
    "roadmap": "project/limitations",
    "schedule": "guides/schedule",
    "systemd": "guides/systemd",
    "timeout": "workflows/tasks",
    "tool": "agents/tools",
    "webhook": "guides/receive-webhooks",
}
# Everyday questions -> the link on the page of all pages, and words of the page that answers it.
QUESTIONS = {
    "install with pip": ("Installation", "pip install"),
    "a first workflow": ("Quickstart", "compozy workflow run"),
    "my OpenAI key": ("Model providers", "OPENAI_API_KEY"),
    "pass input": ("compozy workflow", "--input"),
    "loop over a list": ("Branches and loops", "collection"),
    "if and else with a default": ("Branches and loops", "default"),
    "JSON from a model": ("Get JSON from a model", "schema"),
    "retries and timeouts": ("Tasks", "retry"),
    "schedule a workflow": ("Schedule a workflow", "cron"),
    "give an agent a tool": ("Tools", "Python functions"),
    "ask a person": ("Human approval", "approve"),
    "why did it fail": ("Where to begin", "compozy workflow get"),
    "Docker": ("Deploy with Docker", "docker run"),
    "backup": ("Back up and restore", "compozy db backup"),
    "tests in CI": ("Test workflows in CI", "scripted"),
}
# Colors that depend on light and dark mode.
COLOURS = ["color-contrast", "link-in-text-block"]


@pytest.mark.parametrize("place", [*PLACES, "/404.html"])
def test_a_page_is_accessible(page: Page, foreign: list[str], place: str) -> None:
    """No serious violation in axe, light and dark; no sideways scrolling on a phone; no error; no outside request."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(place, wait_until="load")
    assert find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.classList.contains('dark')")
    assert find_violations(page, COLOURS) == []
    page.set_viewport_size({"width": PHONE, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert find_violations(page, ["scrollable-region-focusable"]) == []
    assert errors == []
    assert foreign == []


def test_the_search_finds_the_pages_of_the_database(page: Page) -> None:
    results = search(page, "sqlite")
    first = [link.split("#")[0].strip("/") for link in results]
    assert first[0] == "docs/database/sqlite"
    assert {"docs/database/overview", "docs/troubleshooting/database", "docs/configuration/database"} <= set(first)
    assert find_violations(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/database/sqlite/")


@pytest.mark.parametrize("words", ["--db-path", "db-path", "db-driver", "wait-for-lock"])
def test_the_search_finds_options_with_dashes_and_without(page: Page, words: str) -> None:
    assert search(page, words)


def test_the_search_answers_everyday_words(page: Page) -> None:
    open_search(page)
    found = {words: [link.split("#")[0].strip("/") for link in type_words(page, words)] for words in WORDS}
    first = {words: links[0].removeprefix("docs/") if links else "" for words, links in found.items()}
    assert first == WORDS


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items(), ids=QUESTIONS)
def test_a_question_is_answered_after_two_clicks(page: Page, question: str, answer: tuple[str, str]) -> None:
    title, words = answer
    page.goto("/")
    page.get_by_role("link", name="Documentation", exact=True).last.click()
    page.wait_for_url("**/docs/")
    page.locator("#nd-page a").filter(has=page.get_by_text(title, exact=True)).first.click()
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
    assert words in page.locator("#nd-page").inner_text(), question


def test_a_search_without_results_shows_a_message(page: Page) -> None:
    assert search(page, "xyzzyplugh") == []
    expect(page.get_by_text("No results found")).to_be_visible()


def test_light_and_dark(page: Page) -> None:
    """The system setting applies until the reader chooses, and the choice is kept."""
    page.goto("/docs/database/sqlite/")
    light = page.screenshot()
    assert brightness(page) > 240
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.classList.contains('dark')")
    assert brightness(page) < 30
    assert page.screenshot() != light
    page.locator("[data-theme-toggle] button[aria-label=light]").first.click()
    assert brightness(page) > 240
    page.reload()
    assert brightness(page) > 240


def test_code_is_coloured_and_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/docs/getting-started/quickstart/")
    colours = page.evaluate("""() => new Set([...document.querySelectorAll('figure.shiki code span')]
        .map(each => getComputedStyle(each).color)).size""")
    assert colours >= 4
    block = page.locator("figure:has(.console-output)").first
    block.get_by_label("Copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("compozy ")
    assert "$" not in copied
    assert block.locator(".console-output").first.inner_text() not in copied


def test_the_menu_of_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": PHONE, "height": 844})
    page.goto("/docs/database/sqlite/")
    page.get_by_label("Open Sidebar").first.click()
    link = page.get_by_role("link", name="PostgreSQL", exact=True).first
    expect(link).to_be_visible()
    assert find_violations(page) == []
    link.click()
    page.wait_for_url("**/docs/database/postgresql/")


@pytest.mark.parametrize("width", [PHONE, 1280])
def test_diagrams_fit_and_have_text(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/docs/database/overview/")
    diagram = page.get_by_role("img", name="Which database")
    expect(diagram).to_be_visible()
    assert page.evaluate(OVERFLOWING, "svg[role=img]") == []
    smallest = page.evaluate(SMALLEST, "svg[role=img]")
    assert smallest >= 11


# Texts of a diagram that exceed the edge of their drawing or of their box.
OVERFLOWING = """selector => [...document.querySelectorAll(selector)].filter(svg => svg.clientWidth > 0).flatMap(svg =>
    [...svg.querySelectorAll('g > text')].filter(text => {
        const box = text.parentElement.querySelector(':scope > rect');
        const inside = text.getBBox();
        const edge = box ? box.getBBox() : { x: 0, width: svg.viewBox.baseVal.width };
        return inside.x < edge.x || inside.x + inside.width > edge.x + edge.width;
    }).map(text => text.textContent))"""
# The size of a diagram's small print, in pixels.
SMALLEST = """selector => Math.min(...[...document.querySelectorAll(selector)].filter(svg => svg.clientWidth > 0)
    .map(svg => 12.5 * svg.clientWidth / svg.viewBox.baseVal.width))"""


def search(page: Page, words: str) -> list[str]:
    """Search, and return the targets of the results, best first."""
    open_search(page)
    return type_words(page, words)


def open_search(page: Page) -> None:
    """Open the search dialog."""
    page.goto("/docs/")
    page.get_by_role("button", name="Search").first.click()


def type_words(page: Page, words: str) -> list[str]:
    """Type into the open dialog, and return the targets of the results, best first."""
    dialog = page.get_by_role("dialog")
    page.get_by_placeholder("Search").fill("")
    expect(dialog.locator("[data-url]")).to_have_count(0)
    page.get_by_placeholder("Search").fill(words)
    expect(dialog.locator("[data-url]").or_(dialog.get_by_text("No results found")).first).to_be_visible()
    return dialog.locator("[data-url]").evaluate_all("found => found.map(each => each.dataset.url)")


def brightness(page: Page) -> float:
    """Return the brightness of the background, 0 to 255."""
    return page.evaluate("""() => {
        const context = document.createElement('canvas').getContext('2d');
        context.fillStyle = getComputedStyle(document.body).backgroundColor;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
        return (red + green + blue) / 3;
    }""")


def find_violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return the violations that axe rates as serious or critical."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    # `region` is slow, and never more than moderate.
    every = {"rules": {"region": {"enabled": False}}}
    options = {"resultTypes": ["violations"], **({"runOnly": {"type": "rule", "values": rules}} if rules else every)}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{fault['id']}: {node['target']}: {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
