"""Measures the web page with a large run in Chromium: `python -m tests.bench.page`; needs `make web`.

It opens a run of 2,000 tasks while it is executed, and reports the time until the page answers a click, its frames, and
the time to show a value of 10 MB. Then it executes the run without pages and with ten of them, and compares the
processor time of the server. Only ratios are meaningful.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import API, Running, start_server
from tests.harness.website import require_browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
_RUNS = f"{API}/executions/workflows"
_WAIT_MS = 300_000
_POLL_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PARTS = 10
_WORKFLOWS: dict[str, Any] = {
    "large": {
        "tasks": [
            {"id": "go", "type": "wait", "wait_for": "go"},
            {
                "id": "each",
                "type": "collection",
                "items": "{{ .input.items }}",
                "max_workers": 4,
                "task": {"id": "item-{{ .index }}", "with": {"item": "{{ .item }}"}},
            },
        ]
    },
    # The body of a request is smaller than the value.
    "value": {"tasks": [{"id": "text", "with": {f"part-{number}": "{{ .input.text }}" for number in range(_PARTS)}}]},
}
# The times between frames, collected until the page is asked for them.
_FRAMES = """() => {
    window.frames_ms = [];
    let last = performance.now();
    const frame = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000, help="tasks of the run")
    parser.add_argument("--pages", type=int, default=10, help="pages that show the run")
    parser.add_argument("--megabytes", type=int, default=10, help="size of the value")
    given = parser.parse_args()
    expect.set_options(timeout=_WAIT_MS)
    with _serving() as (server, browser):
        found = {
            "run": _measure_run(server, browser, given.tasks),
            "value": _measure_value(server, browser, given.megabytes),
            "pages": _measure_pages(server, browser, given.tasks, given.pages),
        }
    print(json.dumps(found, indent=2))


@contextlib.contextmanager
def _serving() -> Generator[tuple[Running, Browser]]:
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        commands = Commands(Path(scratch) / "commands")
        project = write_project(Path(scratch) / "project", _WORKFLOWS)
        browser = playwright.chromium.launch(executable_path=require_browser(), args=FLAGS)
        try:
            yield start_server(commands, project), browser
        finally:
            browser.close()
            commands.end()


def _start(server: Running, workflow: str, given: Any) -> str:
    answer = server.ask("POST", f"{API}/workflows/{workflow}/executions", {"input": given})
    return str(answer.document["execution_id"])


def _go(server: Running, run_id: str) -> None:
    server.ask("POST", f"{_RUNS}/{run_id}/signals", {"name": "go"})


def _until_ended(server: Running, run_id: str) -> None:
    while server.ask("GET", f"{_RUNS}/{run_id}?fields=summary").document["finished_at"] is None:
        time.sleep(_POLL_S)


def _measure_run(server: Running, browser: Browser, tasks: int) -> dict[str, Any]:
    run_id = _start(server, "large", {"items": list(range(tasks))})
    _go(server, run_id)
    with contextlib.closing(browser.new_context(base_url=server.url)) as context:
        page = context.new_page()
        page.set_default_timeout(_WAIT_MS)
        began_s = time.monotonic()
        page.goto(f"/ui/runs/{run_id}")
        page.get_by_role("button", name="each: ").click()
        expect(page.get_by_role("region", name="Task each")).to_be_visible()
        ready_s = time.monotonic() - began_s
        page.evaluate(_FRAMES)
        _until_ended(server, run_id)
        expect(page.locator("header [data-status=SUCCESS]").first).to_be_visible()
        frames: list[float] = sorted(page.evaluate("window.frames_ms"))
        return {
            "tasks": tasks,
            "interactive_ms": round(ready_s * 1000),
            "frame_p50_ms": round(frames[len(frames) // 2], 1),
            "frame_p95_ms": round(frames[int(len(frames) * 0.95)], 1),
            "frame_max_ms": round(frames[-1], 1),
            "elements": page.evaluate("document.querySelectorAll('*').length"),
        }


def _measure_value(server: Running, browser: Browser, megabytes: int) -> dict[str, Any]:
    run_id = _start(server, "value", {"text": "x" * (megabytes * 1_000_000 // _PARTS)})
    _until_ended(server, run_id)
    with contextlib.closing(browser.new_context(base_url=server.url)) as context:
        page = context.new_page()
        page.set_default_timeout(_WAIT_MS)
        began_s = time.monotonic()
        page.goto(f"/ui/runs/{run_id}?task=text")
        expect(page.get_by_role("button", name="Show all").first).to_be_visible()
        shown_s = time.monotonic() - began_s
        return {"megabytes": megabytes, "shown_ms": round(shown_s * 1000)}


def _measure_pages(server: Running, browser: Browser, tasks: int, pages: int) -> dict[str, Any]:
    def open_no_pages(_run_id: str) -> list[Page]:
        return []

    alone_s = _processor_of(server, tasks, open_no_pages)

    def open_pages(run_id: str) -> list[Page]:
        opened = [browser.new_page(base_url=server.url) for _ in range(pages)]
        for page in opened:
            page.goto(f"/ui/runs/{run_id}", timeout=_WAIT_MS)
            expect(page.locator("header [data-status=WAITING]").first).to_be_visible()
        return opened

    followed_s = _processor_of(server, tasks, open_pages)
    return {
        "pages": pages,
        "alone_s": round(alone_s, 1),
        "followed_s": round(followed_s, 1),
        "ratio": round(followed_s / alone_s, 2),
    }


def _processor_of(server: Running, tasks: int, follow: Any) -> float:
    """Return the processor time of the server for a run that `follow` opens pages of."""
    run_id = _start(server, "large", {"items": list(range(tasks))})
    # Pages are open before the first of the tasks.
    opened: list[Page] = follow(run_id)
    before_s = _processor_s(server)
    _go(server, run_id)
    _until_ended(server, run_id)
    used_s = _processor_s(server) - before_s
    for page in opened:
        page.close()
    return used_s


def _processor_s(server: Running) -> float:
    fields = Path(f"/proc/{server.command.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
