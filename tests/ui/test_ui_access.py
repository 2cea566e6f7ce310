"""Sign-in, users and API keys on the web page of a server that requires a credential."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.harness.processes import Commands
from tests.harness.servers import API, start_server
from tests.harness.showcase import write_showcase
from tests.harness.stores import open_store
from tests.ui.axe import find_violations
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import tab_to

KEY = "correct-horse-battery-staple"
PHONE = 390
LINE = 20


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, built_page: None) -> Iterator[Site]:
    """Return a server of the showcase with an API key, on each database."""
    folder = tmp_path_factory.mktemp("locked")
    commands = Commands(tmp_path_factory.mktemp("commands"))
    with open_store(request.param, folder, migrated=False) as store:
        write_showcase(store.home, store.section, server={"api_key": KEY})
        yield Site(folder=store.home, commands=commands, server=start_server(commands, store.home))
        commands.end()


def sign_in(page: Page, key: str) -> None:
    """Sign in with an API key on the page that asks for it."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_key_is_refused_or_opens_the_page(page: Page) -> None:
    page.goto("/ui/runs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert find_violations(page) == []
    page.get_by_role("button", name="Use an API key").click()
    sign_in(page, "not-the-key")
    expect(page.get_by_role("alert")).to_have_text("This API key is not valid.")
    sign_in(page, KEY)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_a_viewer_sees_runs_and_cannot_start_them(page: Page) -> None:
    """An administrator creates a user and a key; the page offers to its owner only what the role permits."""
    page.goto("/ui/access?view=users")
    page.get_by_role("button", name="Use an API key").click()
    sign_in(page, KEY)
    page.get_by_role("button", name="New user").click()
    page.get_by_role("dialog").get_by_label("Email address").fill("eve@example.com")
    page.get_by_role("dialog").get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("region", name="Users")).to_contain_text("eve@example.com")
    page.get_by_role("button", name="API keys").click()
    page.get_by_role("button", name="New API key").click()
    page.locator('input[name="name"]').fill("reader")
    page.locator('input[name="user"]').fill("eve@example.com")
    page.get_by_role("button", name="Create", exact=True).click()
    key = page.get_by_label("API key", exact=True).input_value()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("region", name="API keys")).to_contain_text("reader")
    page.get_by_role("button", name="Audit log").click()
    expect(page.get_by_role("region", name="Audit log")).to_contain_text("add_user")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use an API key").click()
    sign_in(page, key)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page.get_by_text("eve@example.com")).to_be_visible()
    expect(page.get_by_text("Your role does not permit starting one.")).to_be_visible()
    expect(page.get_by_role("link", name="Start a run")).to_have_count(0)


def test_tables_are_cards_on_a_phone(page: Page, site: Site) -> None:
    """Each value has the label of its column, and words and buttons stay whole."""
    email, name, secret = "grace.hopper@operations.example.com", "import of parcels", {"Authorization": f"Bearer {KEY}"}
    for path, body in (("users", {"email": email, "role": "viewer"}), ("auth/generate", {"name": name, "user": email})):
        created = site.server.ask("POST", f"{API}/{path}", body, **secret)
        assert created.status == 201, created.content
    page.goto("/ui/access")
    page.get_by_role("button", name="Use an API key").click()
    sign_in(page, KEY)
    wide = page.get_by_role("table").get_by_role("row").filter(has_text=name)
    expect(wide.get_by_role("button", name="Revoke")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": PHONE, "height": 800})
    expect(wide.get_by_role("button", name="Revoke")).to_be_in_viewport(ratio=1)
    # The second one has a label above it.
    for text, lines in ((name, 1), (email, 2)):
        box = wide.get_by_text(text, exact=True).bounding_box()
        assert box is not None
        assert box["height"] < (lines + 0.5) * LINE
    label = "cell => getComputedStyle(cell, '::before').content"
    assert wide.get_by_role("cell").nth(2).evaluate(label) == '"User"'
    for view in ("keys", "users", "audit"):
        page.goto(f"/ui/access?view={view}")
        table = page.get_by_role("region").filter(has=page.get_by_role("table"))
        expect(table).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE
        assert table.evaluate("table => table.scrollWidth - table.clientWidth") == 0
        assert find_violations(page) == []


def test_sign_in_and_out_by_keyboard_alone(page: Page) -> None:
    page.goto("/ui/runs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    tab_to(page, "Use an API key")
    page.keyboard.press("Enter")
    tab_to(page, "API key")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="No conversations yet")).to_be_visible()
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
