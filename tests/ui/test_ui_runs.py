"""The web page in Chromium: every operation by clicks and by keys, on both databases."""

from __future__ import annotations

import re
import signal

from playwright.sync_api import Browser, Page, expect
from tests.harness.servers import API, start_server
from tests.harness.showcase import STORY
from tests.ui.conftest import Site

STATUS = "header [data-status]"
# The label or the text of the element that has the focus.
_FOCUSED = """() => {
    const focused = document.activeElement;
    const labels = [...(focused.labels ?? [])].map(label => label.innerText).join(' ');
    const title = focused.querySelector(':scope > title')?.textContent;
    return (focused.getAttribute('aria-label') || title || labels || focused.innerText || '').trim();
}"""


def status_is(page: Page, status: str) -> None:
    """Wait until the run that a page shows has a status."""
    expect(page.locator(STATUS).first).to_have_attribute("data-status", status)


def test_start_a_run_from_its_form(page: Page, site: Site) -> None:
    page.goto("/")
    expect(page).to_have_url(re.compile(r"/ui/runs$"))
    page.get_by_role("link", name="Workflows").click()
    page.get_by_role("link", name="Hello world").click()
    page.get_by_label("name", exact=True).fill("Ada")
    page.get_by_role("textbox", name="Labels").fill("team=ops")
    page.get_by_role("button", name="Start").click()
    status_is(page, "SUCCESS")
    expect(page.get_by_role("region", name="Result")).to_contain_text("greeting")
    expect(page.get_by_text("team=ops")).to_be_visible()
    page.get_by_role("button", name="Input and output").click()
    expect(page.get_by_text('"Ada"')).to_be_visible()


def test_the_server_judges_an_input(page: Page) -> None:
    page.goto("/ui/workflows/news")
    page.get_by_label("length").fill("3")
    page.get_by_role("button", name="Start").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("topic")
    expect(alert).not_to_contain_text("in the body")
    expect(page.get_by_label("topic")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("This value is required.")).to_be_visible()
    page.get_by_label("topic").fill("a bridge")
    page.get_by_label("length").fill("30")
    page.get_by_role("button", name="Start").click()
    status_is(page, "WAITING")


def test_answer_a_form(page: Page, site: Site) -> None:
    run_id = site.start("news", {"topic": "a bridge"})
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "WAITING")
    asked = page.get_by_role("region", name="Waiting for an answer")
    expect(asked.get_by_role("heading", name="Publish this article?", exact=True)).to_be_visible()
    expect(asked.get_by_text("Its sources are marked <archive> and <press>.")).to_be_visible()
    page.get_by_role("radiogroup", name="publish").get_by_label("Yes").check()
    page.get_by_role("textbox", name="remark").fill("fine")
    page.get_by_role("button", name="Send answer").click()
    status_is(page, "SUCCESS")
    answered = next(task for task in site.run(run_id)["tasks"] if task["path"] == "review")
    assert answered["output"]["payload"] == {"publish": True, "remark": "fine"}


def test_approve_a_call_with_other_arguments(page: Page, site: Site) -> None:
    run_id = site.start("refunds")
    page.goto(f"/ui/runs/{run_id}")
    page.get_by_role("button", name="Edit arguments").click()
    page.locator("textarea").fill('{"order": "17", "amount": 250}')
    page.get_by_role("button", name="Approve with these arguments").click()
    status_is(page, "SUCCESS")
    page.get_by_role("button", name="Messages").click()
    expect(page.get_by_text("refunded 250.0 for order 17")).to_be_visible()


def test_deny_a_call(page: Page, site: Site) -> None:
    run_id = site.start("refunds")
    page.goto(f"/ui/runs/{run_id}")
    page.get_by_label("Reason for denying").fill("too much")
    page.get_by_role("button", name="Deny").click()
    status_is(page, "SUCCESS")
    asked = next(task for task in site.run(run_id)["tasks"] if task["path"].startswith("handle/approve"))
    assert asked["output"]["payload"] == {"approve": False, "reason": "too much"}


def test_pause_resume_signal_and_cancel(page: Page, site: Site) -> None:
    run_id = site.start("order")
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "WAITING")
    page.get_by_role("button", name="Pause", exact=True).click()
    status_is(page, "PAUSED")
    page.get_by_role("button", name="Resume").click()
    status_is(page, "WAITING")
    page.get_by_role("region", name="Waiting for an answer").locator("textarea").fill('{"amount": 7}')
    page.get_by_role("region", name="Waiting for an answer").get_by_role("button", name="Send signal").click()
    status_is(page, "SUCCESS")

    page.goto(f"/ui/runs/{site.start('order')}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("not needed")
    page.get_by_role("button", name="Cancel the run").click()
    status_is(page, "CANCELED")


def test_run_again_from_the_failed_task_with_another_input(page: Page, site: Site) -> None:
    run_id = site.start("weather", {"city": "Atlantis"})
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "FAILED")
    expect(page.get_by_text("no station in Atlantis").first).to_be_visible()
    page.get_by_role("button", name="Show the task measure").click()
    expect(page).to_have_url(re.compile(r"task=measure"))
    page.get_by_role("button", name="Run again from here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the recorded results of 1 task (locate)")
    dialog.get_by_label("city").select_option(label="Oslo")
    expect(dialog).to_contain_text("Kept results were computed with the earlier input.")
    dialog.get_by_role("button", name="Run again from measure").click()
    expect(page.get_by_text("Repeats")).to_be_visible()
    status_is(page, "SUCCESS")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    expect(page.get_by_text('+   "city": "Oslo"')).to_be_visible()


def test_filters_are_in_the_address_and_many_runs_are_changed(page: Page, site: Site) -> None:
    wanted = [site.start("order") for _ in range(3)]
    page.goto("/ui/runs?workflow=order&status=WAITING")
    for run_id in wanted:
        page.get_by_role("checkbox", name=f"Select {run_id}").check()
    page.get_by_role("toolbar").get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 runs will be canceled.")
    dialog.get_by_role("button", name="Cancel 3 runs").click()
    expect(dialog).to_contain_text("3 runs were canceled.")
    dialog.get_by_role("button", name="Done").click()
    for run_id in wanted:
        expect(page.locator(f'[data-row="{run_id}"]')).to_have_count(0)
    page.get_by_role("button", name="Save filter").click()
    page.get_by_label("Name").fill("open orders")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page).to_have_url(re.compile(r"/ui/runs$"))
    page.get_by_label("Saved filters").select_option("open orders")
    expect(page).to_have_url(re.compile(r"status=WAITING"))


def test_two_tabs_show_the_same(page: Page, chromium: Browser, site: Site) -> None:
    run_id = site.start("order")
    other = page.context.new_page()
    other.goto("/ui/runs")
    row = other.locator(f'[data-row="{run_id}"] [data-status]')
    expect(row).to_have_attribute("data-status", "WAITING")
    page.goto(f"/ui/runs/{run_id}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(row).to_have_attribute("data-status", "CANCELED")


def test_a_new_run_appears_in_the_list(page: Page, site: Site) -> None:
    page.goto("/ui/runs")
    expect(page.get_by_role("list", name="Runs")).to_be_visible()
    run_id = site.start("hello-world")
    expect(page.locator(f'[data-row="{run_id}"] [data-status]')).to_have_attribute("data-status", "SUCCESS")


def test_text_is_shown_while_it_is_written(page: Page) -> None:
    """Text is published to those who watch a run when the model is asked, as the page does for runs that it starts."""
    page.goto("/ui/workflows/story")
    page.get_by_role("button", name="Start").click()
    text = page.locator('[data-live-text="write"]')
    expect(text).to_be_visible()
    seen = set[str]()
    while page.locator(STATUS).first.get_attribute("data-status") == "RUNNING":
        if text.count():
            seen.add(page.evaluate("document.querySelector('[data-live-text]')?.textContent ?? ''"))
        page.wait_for_timeout(100)
    grown = sorted(seen, key=len)
    assert len(grown) >= 3
    assert all(STORY.startswith(part) for part in grown)
    status_is(page, "SUCCESS")
    page.get_by_role("button", name="write: Success").click()
    expect(page.get_by_label("Task write").locator("pre").first).to_contain_text(STORY)


def test_by_keyboard_alone(page: Page, site: Site) -> None:
    """Start, answer and run again without a mouse."""
    page.goto("/ui/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.locator('[data-row="news"]')).to_be_visible()
    while page.evaluate("document.activeElement.dataset.row") != "news":
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    tab_to(page, "topic")
    page.keyboard.type("a bridge")
    tab_to(page, "Start")
    page.keyboard.press("Enter")
    status_is(page, "WAITING")
    tab_to(page, "Yes")
    page.keyboard.press("Space")
    tab_to(page, "Send answer")
    page.keyboard.press("Enter")
    status_is(page, "SUCCESS")
    tab_to(page, "translate: Success")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Task translate")).to_be_visible()
    tab_to(page, "Run again", backwards=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.locator("[data-search]")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("no such run")
    expect(page.get_by_text("No run matches these filters")).to_be_visible()


def tab_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Press Tab until the element with this label or text has the focus."""
    for _ in range(150):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        text = str(page.evaluate(_FOCUSED))
        if text == name or text.startswith((f"{name}\n", f"{name}(")):
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def test_the_page_continues_after_a_restart(page: Page, site: Site) -> None:
    """The last test of this module, because it restarts the server."""
    run_id = site.start("order")
    page.goto(f"/ui/runs/{run_id}")
    status_is(page, "WAITING")
    site.server.command.send(signal.SIGTERM)
    site.server.command.wait()
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    site.server = start_server(site.commands, site.folder, port=site.server.port)
    expect(page.get_by_text("The server does not answer.")).to_have_count(0)
    sent = site.server.ask(
        "POST", f"{API}/executions/workflows/{run_id}/signals", {"name": "paid", "payload": {"amount": 3}}
    )
    assert sent.status == 202
    status_is(page, "SUCCESS")
