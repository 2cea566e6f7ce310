"""Results of `compozy test` on the web page, from the file that the command writes."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect
from tests.ui.conftest import Site
from tests.ui.test_ui_looks import check

TESTS = {
    "workflow": "hello-world",
    "tests": [
        {"name": "it greets", "input": {"name": "Ada"}, "expect": {"output": {"greeting": "Goodbye"}}},
    ],
    "evaluate": [
        {
            "name": "greetings are short",
            "cases": [{"input": {"name": "Ada"}}, {"input": {"name": "the whole harbor"}}],
            "score": "output.greeting.size() < 10",
            "threshold": 0.5,
        },
    ],
}


def test_a_report_of_the_command_is_shown(page: Page, site: Site, tmp_path: Path) -> None:
    file = site.folder / "tests/hello-world.test.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(TESTS), encoding="utf-8")
    done = site.commands.run(site.folder, "test", "--mode", "record", "--format", "json")
    assert done.status == 1, done.err
    report = tmp_path / "report.json"
    report.write_text(done.out, encoding="utf-8")
    page.goto("/ui/tests")
    expect(page.get_by_role("heading", name="Open a report")).to_be_visible()
    check(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_label("Report of compozy test").set_input_files(report)
    expect(page.get_by_text("1 test, 1 failed")).to_be_visible()
    expect(page.get_by_text("1 evaluation, 1 below the threshold")).to_be_visible()
    expect(page.get_by_role("region", name="Tests")).to_contain_text("Goodbye")
    scored = page.get_by_role("region", name="greetings are short")
    expect(scored).to_contain_text("0.00")
    scored.locator("summary").last.click()
    expect(scored).to_contain_text("Hello! It is good to see you.")
    check(page)


def test_another_file_is_refused(page: Page) -> None:
    page.goto("/ui/tests")
    for content in (b"", b"[]", b"null", b'{"tests": 1}', b"no json"):
        page.get_by_label("Report of compozy test").set_input_files(
            FilePayload(name="other.json", mimeType="application/json", buffer=content)
        )
        expect(page.get_by_role("alert")).to_have_text("other.json is not a report of compozy test.")


def test_a_report_of_another_version_is_shown_as_far_as_it_is_known(page: Page) -> None:
    document = {
        "tests": [{"name": "later", "problems": None}, 7],
        "evaluations": [{"cases": [{"score": "high"}, None]}],
    }
    page.goto("/ui/tests")
    page.get_by_label("Report of compozy test").set_input_files(
        FilePayload(name="r.json", mimeType="application/json", buffer=json.dumps(document).encode())
    )
    expect(page.get_by_role("region", name="Tests")).to_contain_text("later")
