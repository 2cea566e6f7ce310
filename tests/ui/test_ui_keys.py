"""Answers, signals, comparison and several runs on the web page by keyboard alone, on both databases."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import status_is, tab_to


def answer_of(site: Site, run_id: str, prefix: str) -> Any:
    """Return the payload that a task of a run took."""
    task = next(task for task in site.run(run_id)["tasks"] if task["path"].startswith(prefix))
    return task["output"]["payload"]


def press(page: Page, name: str) -> None:
    """Press the button with this name."""
    tab_to(page, name)
    page.keyboard.press("Enter")


def open_refund(page: Page, site: Site) -> str:
    """Open a run that waits for the approval of a call."""
    run_id = site.start("refunds")
    page.goto(f"/ui/runs/{run_id}")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    return run_id


def test_approve_by_keys(page: Page, site: Site) -> None:
    run_id = open_refund(page, site)
    press(page, "Approve")
    status_is(page, "SUCCESS")
    assert answer_of(site, run_id, "handle/approve") == {"approve": True}


def test_deny_by_keys(page: Page, site: Site) -> None:
    run_id = open_refund(page, site)
    tab_to(page, "Reason for denying")
    page.keyboard.type("too much")
    press(page, "Deny")
    status_is(page, "SUCCESS")
    assert answer_of(site, run_id, "handle/approve") == {"approve": False, "reason": "too much"}


def test_edit_the_arguments_by_keys(page: Page, site: Site) -> None:
    run_id = open_refund(page, site)
    press(page, "Edit arguments")
    while page.evaluate("document.activeElement.tagName") != "TEXTAREA":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type('{"order": "17", "amount": 5}')
    press(page, "Approve with these arguments")
    status_is(page, "SUCCESS")
    assert answer_of(site, run_id, "handle/approve")["arguments"] == {"order": "17", "amount": 5}


def test_signal_by_keys(page: Page, site: Site) -> None:
    run_id = site.start("order")
    page.goto(f"/ui/runs/{run_id}")
    expect(page.get_by_role("button", name="Send signal")).to_be_visible()
    tab_to(page, "Payload (JSON)")
    page.keyboard.type('{"amount": 7}')
    press(page, "Send signal")
    status_is(page, "SUCCESS")
    assert answer_of(site, run_id, "payment") == {"amount": 7}


def test_compare_two_runs_by_keys(page: Page, site: Site) -> None:
    runs = [site.start("weather", {"city": city}) for city in ("Oslo", "Atlantis")]
    page.goto("/ui/runs?workflow=weather")
    for run_id in runs:
        expect(page.locator(f'[data-row="{run_id}"]')).to_be_visible()
    for key in "jxjx":
        page.keyboard.press(key)
    expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
    press(page, "Compare")
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/ui/compare"))
    expect(page.get_by_text('"city": "Oslo"').first).to_be_visible()
