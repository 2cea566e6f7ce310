"""Chat and memory on the web page: text while it is written, approvals in place, conversations that are stored."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
from tests.harness.servers import API
from tests.harness.showcase import GREETING
from tests.ui.axe import find_violations
from tests.ui.conftest import Site
from tests.ui.test_ui_looks import check
from tests.ui.test_ui_runs import tab_to

REFUNDED = "The refund is on its way."


def answers(page: Page) -> Locator:
    """Return the texts of the answers that a page shows."""
    return page.locator("[data-role=assistant] [data-text]")


def send(page: Page, text: str) -> None:
    """Send a message with the Enter key."""
    page.get_by_role("textbox", name="Message").fill(text)
    # While an answer is written, the button stops it, and Enter sends nothing.
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    page.keyboard.press("Enter")


def stored(site: Site, key: str, memory: str = "guests") -> list[dict[str, Any]]:
    """Return the messages of a conversation."""
    answer = site.server.ask("GET", f"{API}/memory/{memory}/read?key={key}")
    assert answer.status == 200, answer.content
    return answer.document["messages"]


def test_text_of_an_answer_grows_into_the_stored_one(page: Page, site: Site) -> None:
    page.goto("/ui/chat?workflow=concierge&key=ada")
    expect(page.get_by_text("No messages yet.")).to_be_visible()
    send(page, "A table for two?")
    text = page.locator("[data-live-text] [data-text]")
    expect(text).to_be_visible()
    seen = set[str]()
    while page.get_by_role("button", name="Stop").count():
        seen.add(page.evaluate("document.querySelector('[data-live-text] [data-text]')?.textContent ?? ''"))
        page.wait_for_timeout(50)
    assert len(seen) >= 3
    assert all(GREETING.startswith(part) for part in seen)
    expect(answers(page)).to_have_text([GREETING])
    assert [message["content"] for message in stored(site, "guest:ada")] == ["A table for two?", GREETING]
    page.reload()
    expect(answers(page)).to_have_text([GREETING])
    expect(page.locator("[data-role=user]")).to_contain_text("A table for two?")


def test_a_call_is_approved_in_place_and_its_run_continues_the_conversation(page: Page, site: Site) -> None:
    page.goto("/ui/chat?workflow=claims&key=bob")
    send(page, "My order 17 came broken.")
    asked = page.get_by_role("region", name="Waiting for an answer")
    expect(asked).to_contain_text("refund")
    check(page)
    asked.get_by_role("button", name="Approve", exact=True).click()
    expect(answers(page)).to_have_text([REFUNDED])
    send(page, "And order 18?")
    page.get_by_label("Reason for denying").fill("not broken")
    page.get_by_role("button", name="Deny").click()
    expect(answers(page)).to_have_text([REFUNDED, REFUNDED])
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert len(stored(site, "guest:bob")) == 4
    page.set_viewport_size({"width": 320, "height": 500})
    page.reload()
    expect(answers(page).last).to_be_in_viewport()
    page.get_by_role("log").get_by_role("link", name="Run").last.click()
    expect(page.get_by_text("chat=bob")).to_be_visible()


def test_an_answer_is_stopped(page: Page, site: Site) -> None:
    page.goto("/ui/chat?workflow=claims&key=eve")
    send(page, "Hello")
    expect(page.get_by_role("region", name="Waiting for an answer")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The answer was stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert site.server.ask("GET", f"{API}/memory/guests/read?key=guest:eve").status == 404


def test_a_chat_by_keyboard_alone(page: Page) -> None:
    page.goto("/ui/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="Open a conversation")).to_be_visible()
    tab_to(page, "Workflow")
    page.keyboard.type("Con")
    expect(page).to_have_url(re.compile(r"workflow=concierge"))
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile(r"workflow=claims"))
    tab_to(page, "Conversation (guest)")
    page.keyboard.type("kay")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No messages yet.")).to_be_visible()
    tab_to(page, "Message")
    page.keyboard.type("Order 17,")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("please")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    tab_to(page, "Edit arguments", backwards=True)
    page.keyboard.press("Enter")
    tab_to(page, "Approve with these arguments", backwards=True)
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_text([REFUNDED])
    expect(page.locator("[data-role=user] [data-text]")).to_have_text(["Order 17,\nplease"])


def test_two_tabs_show_one_conversation(page: Page) -> None:
    other = page.context.new_page()
    for each in (page, other):
        each.goto("/ui/chat?workflow=claims&key=two")
        expect(each.get_by_text("No messages yet.")).to_be_visible()
    send(page, "Order 17")
    other.get_by_role("button", name="Approve", exact=True).click()
    expect(answers(page)).to_have_text([REFUNDED])
    expect(answers(other)).to_have_text([REFUNDED])


def test_a_stored_conversation_is_read_extended_cleared_and_deleted(page: Page, site: Site) -> None:
    body = {"key": "guest:zoe", "messages": [{"role": "user", "content": f"message {number}"} for number in range(60)]}
    assert site.server.ask("POST", f"{API}/memory/guests/append", body).status == 200
    page.goto("/ui/memory")
    page.get_by_role("link", name="guest:zoe").click()
    expect(page).to_have_url(re.compile(r"memory=guests&key=guest"))
    log = page.get_by_role("log")
    expect(log).to_contain_text("message 59")
    expect(log.get_by_text("message 5", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Earlier messages").click()
    expect(log.get_by_text("message 5", exact=True)).to_be_visible()
    form = page.get_by_role("form", name="Add a message")
    form.get_by_label("Text").fill("Zoe speaks Greek.")
    form.get_by_role("button", name="Add").click()
    expect(log).to_contain_text("Zoe speaks Greek.")
    assert stored(site, "guest:zoe")[-1]["role"] == "system"
    page.get_by_role("button", name="Clear").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("61 messages of guest:zoe")
    assert find_violations(page) == []
    dialog.get_by_role("button", name="Clear it").click()
    expect(page.get_by_text("This conversation is empty")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Memory")).to_be_visible()
    assert site.server.ask("GET", f"{API}/memory/guests/read?key=guest:zoe").status == 404


def test_a_conversation_continues_in_the_chat(page: Page, site: Site) -> None:
    page.goto("/ui/chat?workflow=claims&key=kim")
    send(page, "Order 17")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(answers(page)).to_have_text([REFUNDED])
    page.goto("/ui/memory?memory=guests&key=guest:kim")
    expect(page.get_by_role("log")).to_contain_text(REFUNDED)
    check(page)
    page.get_by_role("link", name="Continue in Chat").click()
    expect(answers(page)).to_have_text([REFUNDED])
