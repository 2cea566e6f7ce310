"""User errors on the web page: texts that are not JSON, and runs that no longer exist."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.harness.servers import API
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import status_is

INVALID = "A field is not valid JSON."


def count_runs(site: Site, workflow: str) -> int:
    """Return the number of runs of a workflow."""
    runs = site.server.ask("GET", f"{API}/executions/workflows?workflow_id={workflow}").document
    return len(runs["executions"])


@pytest.mark.parametrize("mode", ["Form", "JSON"])
def test_an_input_that_is_not_json_is_not_sent(page: Page, site: Site, mode: str) -> None:
    started = count_runs(site, "news")
    page.goto("/ui/workflows/news")
    page.get_by_label("topic").fill("a bridge")
    page.get_by_label("tags").fill("boats, birds")
    page.get_by_role("button", name=mode, exact=True).click()
    if mode == "JSON":
        page.get_by_label("Input as JSON").fill('{"topic": "a bridge"')
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text(INVALID)
    expect(page.get_by_text("This is not valid JSON.")).to_be_visible()
    assert count_runs(site, "news") == started

    if mode == "JSON":
        page.get_by_label("Input as JSON").fill('{"topic": "a bridge"}')
    else:
        page.get_by_label("tags").fill('["boats"]')
    page.get_by_role("button", name="Start").click()
    status_is(page, "WAITING")


def test_a_form_that_was_not_filled_in_denies_nothing(page: Page, site: Site) -> None:
    run_id = site.start("news", {"topic": "a bridge"})
    page.goto(f"/ui/runs/{run_id}")
    page.get_by_role("button", name="Send answer").click()
    expect(page.get_by_text("This value is required.")).to_be_visible()
    choice = page.get_by_role("radiogroup", name="publish")
    expect(choice).to_have_attribute("aria-invalid", "true")
    assert [task["status"] for task in site.run(run_id)["tasks"] if task["path"] == "review"] == ["WAITING"]
    choice.get_by_label("No").check()
    page.get_by_role("button", name="Send answer").click()
    status_is(page, "SUCCESS")
    answered = next(task for task in site.run(run_id)["tasks"] if task["path"] == "review")
    assert answered["output"]["payload"] == {"publish": False}


@pytest.mark.parametrize(("text", "refusal"), [('{"order": "17", "amount": 2', INVALID), ("", "order")])
def test_a_call_is_not_approved_with_its_old_arguments(page: Page, site: Site, text: str, refusal: str) -> None:
    """The arguments in the field count, not the last valid ones."""
    run_id = site.start("refunds")
    page.goto(f"/ui/runs/{run_id}")
    page.get_by_role("button", name="Edit arguments").click()
    page.locator("textarea").fill(text)
    page.get_by_role("button", name="Approve with these arguments").click()
    expect(page.get_by_role("alert")).to_contain_text(refusal)
    assert [task["status"] for task in site.run(run_id)["tasks"] if "approve" in task["path"]] == ["WAITING"]

    page.locator("textarea").fill('{"order": "17", "amount": 25}')
    page.get_by_role("button", name="Approve with these arguments").click()
    status_is(page, "SUCCESS")
    asked = next(task for task in site.run(run_id)["tasks"] if task["path"].startswith("handle/approve"))
    assert asked["output"]["payload"] == {"approve": True, "arguments": {"order": "17", "amount": 25}}


def test_a_run_that_was_deleted_while_it_is_shown(page: Page, site: Site) -> None:
    run_id = site.start("weather", {"city": "Atlantis"})
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "FAILED")
    other = page.context.new_page()
    other.goto("/ui/runs?workflow=weather")
    row = other.locator(f'[data-row="{run_id}"]')
    expect(row).to_be_visible()
    other.get_by_role("checkbox", name=f"Select {run_id}").check()
    other.get_by_role("button", name="Delete").click()
    dialog = other.get_by_role("dialog")
    expect(dialog).to_contain_text("Deleted runs cannot be restored.")
    dialog.get_by_role("button", name="Delete 1 run").click()
    expect(dialog).to_contain_text("1 run was deleted.")

    page.get_by_role("button", name="Run again").click()
    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text(f"Execution '{run_id}' not found")
    expect(alert).not_to_contain_text("/api/")
