"""Webhooks, costs, workers and budgets on the web page, the list by keys, and text of a run that is opened late."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from tests.harness.servers import API
from tests.harness.showcase import SECRET, STORY
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import status_is, tab_to


def test_raise_a_spent_budget(page: Page, site: Site) -> None:
    run_id = site.start("report")
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "WAITING")
    asked = page.get_by_role("region", name="Waiting for an answer")
    expect(asked.get_by_role("heading")).to_have_text("The budget of the run is spent")
    expect(asked).to_contain_text("1 model request allowed, 1 model request spent.")
    expect(page.get_by_role("button", name="Raise the budget")).to_be_enabled()
    asked.get_by_label("Model requests to add").fill("2")
    asked.get_by_role("button", name="Raise the budget").click()
    status_is(page, "SUCCESS")
    expect(page.get_by_text("Cost $")).to_be_visible()


def test_deny_a_budget(page: Page, site: Site) -> None:
    page.goto(f"/ui/runs/{site.start('report')}")
    page.get_by_role("button", name="Deny").click()
    status_is(page, "FAILED")


def test_a_delivery_is_shown_and_replayed(page: Page, site: Site) -> None:
    page.goto("/ui/webhooks")
    expect(page.get_by_text("/api/v0/hooks/parcels")).to_be_visible()
    sent = site.server.ask("POST", f"{API}/hooks/parcels", {"id": "parcel-1"}, X_Token=SECRET)
    assert sent.status == 202, sent.content
    table = page.get_by_role("region", name="Deliveries")
    expect(table).to_contain_text("parcel.sent")
    table.locator("[data-row]").first.click()
    expect(page).to_have_url(re.compile(r"delivery="))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text('"parcel-1"')
    dialog.get_by_role("button", name="Start another run").click()
    expect(dialog).to_have_count(0)
    expect(table.get_by_text("replay")).to_be_visible()
    page.get_by_label("Outcome").select_option("refused")
    expect(page.get_by_text("No delivery has this outcome")).to_be_visible()


def test_costs_by_workflow_model_and_run(page: Page, site: Site) -> None:
    run_id = site.start("hello-world")
    page.goto("/ui/costs")
    row = page.get_by_role("row").filter(has_text="hello-world")
    expect(row).to_contain_text("$")
    page.get_by_role("button", name="Model", exact=True).click()
    expect(page).to_have_url(re.compile(r"by=model"))
    expect(page.get_by_role("row").filter(has_text="script").first).to_contain_text("100 %")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name=run_id).click()
    status_is(page, "SUCCESS")


def test_the_server_is_one_of_the_workers(page: Page) -> None:
    page.goto("/ui/workers")
    expect(page.get_by_role("region", name="Workers")).to_contain_text("this server")


def test_many_runs_by_keys(page: Page, site: Site) -> None:
    """Select rows, pause them, resume one and cancel it, without a mouse."""
    wanted = [site.start("order") for _ in range(2)]
    page.goto("/ui/runs?workflow=order&status=WAITING")
    expect(page.locator(f'[data-row="{wanted[1]}"]')).to_be_visible()
    for key in "jxjx":
        page.keyboard.press(key)
    expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
    page.keyboard.press("p")
    tab_to(page, "Pause 2 runs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("2 runs were paused.")
    page.keyboard.press("Escape")
    page.goto(f"/ui/runs/{wanted[0]}")
    status_is(page, "PAUSED")
    page.keyboard.press("p")
    status_is(page, "WAITING")
    page.keyboard.press("c")
    tab_to(page, "Cancel the run")
    page.keyboard.press("Enter")
    status_is(page, "CANCELED")
    page.keyboard.press("r")
    tab_to(page, "Run again from payment")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Repeats")).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_role("dialog", name="Send a signal")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_run_that_is_opened_late_shows_its_text(page: Page, site: Site) -> None:
    """While a list is open, the text of each run is kept from its start."""
    site.start("hello-world")
    page.goto("/ui/runs")
    expect(page.get_by_role("list", name="Runs")).to_be_visible()
    run_id = site.start("story")
    row = page.locator(f'[data-row="{run_id}"]')
    expect(row).to_be_visible()
    row.click()
    text = page.locator('[data-live-text="write"]')
    expect(text).to_be_visible()
    shown = text.text_content() or ""
    assert STORY.startswith(shown)
    assert shown
    status_is(page, "SUCCESS")


def test_a_large_run_draws_only_what_is_visible(page: Page, site: Site) -> None:
    run_id = site.start("large", {"items": list(range(300))})
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "SUCCESS")
    expect(page.get_by_role("button", name="Show the 300 tasks of each")).to_be_visible()
    assert page.get_by_role("list", name="Tasks").locator("[data-row]").count() < 60
    # The graph counts the same tasks as the list: the template of the items is none of them.
    expect(page.get_by_text("301 tasks", exact=True)).to_have_count(2)
    page.get_by_label("Filter tasks").fill("item-299")
    page.locator('[data-row="each/item-299"]').click()
    expect(page.get_by_label("Task each/item-299")).to_contain_text("299")


def test_a_large_value_is_shown_in_part(page: Page, site: Site) -> None:
    run_id = site.start("hello-world", {"name": "x" * 400_000})
    page.goto(f"/ui/runs/{run_id}?view=values")
    expect(page.get_by_text("20.0 kB of 400.0 kB are shown.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("are shown.")).to_have_count(0)
