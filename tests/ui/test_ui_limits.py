"""A run that waits for a place, on the web page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import API, start_server
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import status_is

DEPLOY = {
    "concurrency": {"limit": 1, "key": "{{ .input.service }}"},
    "tasks": [{"id": "done", "type": "wait", "wait_for": "done"}],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, built_page: None) -> Iterator[Site]:
    """Return a server whose workflow has a limit."""
    folder = write_project(tmp_path_factory.mktemp("limits"), {"deploy": DEPLOY})
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield Site(folder=folder, commands=commands, server=start_server(commands, folder))
    commands.end()


def test_a_run_that_waits_links_to_the_one_it_waits_for(page: Page, site: Site) -> None:
    first = site.start("deploy", {"service": "web"})
    second = site.start("deploy", {"service": "web"})
    page.goto("/ui/runs")
    waits = page.get_by_text("Waits for a place", exact=True)
    expect(page.locator(f'[data-row="{second}"]').and_(page.get_by_role("link")).filter(has=waits)).to_be_visible()
    expect(waits).to_have_count(1)
    page.goto(f"/ui/runs/{second}")
    status_is(page, "PENDING")
    note = page.get_by_text("Waits for a place: 1 open with the key web.")
    expect(note).to_be_visible()
    page.get_by_role("link", name=first).click()
    status_is(page, "WAITING")
    page.go_back()
    site.server.ask("POST", f"{API}/executions/workflows/{first}/signals", {"name": "done"})
    status_is(page, "WAITING")
    expect(note).to_have_count(0)
