"""The web page for everyone: no serious error to axe-core in both themes, phones, and states that it does not know."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, Route, expect
from tests.ui.axe import find_violations
from tests.ui.conftest import Site

NARROW = 320
PLACES = (
    *("runs", "workflows", "workflows/news", "workflows/digest", "schedules", "knowledge", "access"),
    *("chat", "chat?workflow=claims&key=ada", "memory", "tests"),
    *("webhooks", "costs", "costs?by=model&days=7", "workers", "access?view=users", "access?view=audit", "nothing"),
)
VIEWS = ("graph", "timeline", "values", "messages", "events", "definition", "json")
STATES = ("PENDING", "RUNNING", "WAITING", "PAUSED", "SUCCESS", "FAILED", "TIMED_OUT", "CANCELED", "MOVED", "LATER")


@pytest.fixture(scope="module")
def runs(site: Site) -> dict[str, str]:
    """Return the IDs of a run that waits, one that failed and one that succeeded."""
    return {
        "news": site.start("news", {"topic": "a bridge"}),
        "weather": site.start("weather", {"city": "Atlantis"}),
        "refunds": site.start("refunds"),
        "hello-world": site.start("hello-world"),
        "report": site.start("report"),
    }


def check(page: Page) -> None:
    """Fail if a page has serious errors in light or dark, or scrolls sideways on a phone."""
    expect(page.locator("main h1, main h2").first).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    assert find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_violations(page) == []
    page.set_viewport_size({"width": NARROW, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert find_violations(page) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_page(page: Page, place: str) -> None:
    page.goto(f"/ui/{place}")
    check(page)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_a_run(page: Page, runs: dict[str, str], view: str) -> None:
    page.goto(f"/ui/runs/{runs['news']}?view={view}&task=research")
    check(page)


@pytest.mark.parametrize("workflow", ["weather", "refunds", "hello-world", "report"])
def test_a_run(page: Page, runs: dict[str, str], workflow: str) -> None:
    page.goto(f"/ui/runs/{runs[workflow]}")
    check(page)


def test_every_state_is_shown(page: Page, site: Site, runs: dict[str, str]) -> None:
    """Also a state of a later version, in the list and on the page of the run."""
    seen: list[str] = []

    def answer_with_state(route: Route) -> None:
        answer = route.fetch()
        document = json.loads(answer.text())
        for run in [document, *document.get("executions", []), *document.get("tasks", [])]:
            if "status" in run:
                run["status"] = seen[-1]
        route.fulfill(response=answer, json=document)

    page.route("**/api/v0/executions/workflows?*", answer_with_state)
    page.route("**/api/v0/executions/workflows/*?fields=summary", answer_with_state)
    for state in STATES:
        seen.append(state)
        page.goto("/ui/runs")
        expect(page.locator(f'[data-row] [data-status="{state}"]').first).to_be_visible()
        page.goto(f"/ui/runs/{runs['hello-world']}")
        expect(page.locator(f'header [data-status="{state}"]').first).to_be_visible()
        expect(page.get_by_role("button", name="greet")).not_to_have_count(0)
    # A request that is still answered ends with the page.
    page.unroute_all(behavior="ignoreErrors")


def test_the_theme_is_kept(page: Page) -> None:
    page.goto("/ui/runs")
    page.get_by_label("Theme").select_option("Dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_label("Theme").select_option("Light")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
