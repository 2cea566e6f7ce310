"""The first walk of a reader: start a workflow, see it fail, correct its file, and run it again from there."""

from __future__ import annotations

import json
import signal

from playwright.sync_api import Page, expect
from tests.harness.servers import start_server
from tests.harness.showcase import WORKFLOWS
from tests.ui.conftest import Site
from tests.ui.test_ui_runs import status_is


def test_start_fail_correct_and_run_again(page: Page, site: Site) -> None:
    page.goto("/ui/workflows/weather")
    page.get_by_label("city").select_option(label="Atlantis")
    page.get_by_role("button", name="Start").click()
    status_is(page, "FAILED")
    expect(page.get_by_text("no station in Atlantis").first).to_be_visible()

    tasks = [
        {**task, "with": {"station": "7"}} if task["id"] == "measure" else task
        for task in WORKFLOWS["weather"]["tasks"]
    ]
    corrected = {"id": "weather", **WORKFLOWS["weather"], "tasks": tasks}
    (site.folder / "workflows/weather.yaml").write_text(json.dumps(corrected), encoding="utf-8")
    page.reload()
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Project files changed since then: restart the server to use them.")
    page.keyboard.press("Escape")

    site.server.command.send(signal.SIGTERM)
    site.server.command.wait()
    site.server = start_server(site.commands, site.folder, port=site.server.port)
    page.reload()
    page.get_by_role("button", name="Run again").click()
    expect(dialog).to_contain_text("The current files of the workflow are used.")
    expect(dialog).to_contain_text("the recorded results of 1 task (locate)")
    dialog.get_by_role("button", name="Run again from measure").click()
    expect(page.get_by_text("Repeats")).to_be_visible()
    status_is(page, "SUCCESS")
