"""Measures the web page with a large run in Chromium: `python -m tests.bench.page`; needs `make web`.

It opens a run of 2,000 tasks while it is executed, and reports the time until the page answers a click, its frames, and
the time to show a value of 10 MB. Then it executes the run without pages and with ten of them, and compares the
processor time of the server. Only ratios are meaningful: the table names the load of the machine before and after, and
`--rounds` repeats everything and shows medians.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.bench.report import add_json, announce, write_rows
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
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000, help="tasks of the run")
    parser.add_argument("--pages", type=int, default=10, help="pages that show the run")
    parser.add_argument("--megabytes", type=int, default=10, help="size of the value")
    parser.add_argument("--rounds", type=int, default=1, help="times that everything is measured")
    add_json(parser)
    given = parser.parse_args()
    expect.set_options(timeout=_WAIT_MS)
    before = os.getloadavg()[0]
    with _serving() as (server, browser):
        rounds = [_measure(server, browser, given) for _ in range(given.rounds)]
    document = {"load_before": round(before, 1), "load_after": round(os.getloadavg()[0], 1), "rounds": rounds}
    print(_table(document))
    write_rows([document], given.json)


def _measure(server: Running, browser: Browser, given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, measure in {
        "run": lambda: _measure_run(server, browser, given.tasks),
        "value": lambda: _measure_value(server, browser, given.megabytes),
        "pages": lambda: _measure_pages(server, browser, given.tasks, given.pages),
    }.items():
        announce(name)
        found[name] = measure()
    return found


_ROWS = (
    ("Tasks of the run", "run", "tasks", ""),
    ("Opened until the page answers a click", "run", "interactive_ms", "ms"),
    ("Time between frames while it runs, p50", "run", "frame_p50_ms", "ms"),
    ("Time between frames while it runs, p95", "run", "frame_p95_ms", "ms"),
    ("Time between frames while it runs, longest", "run", "frame_max_ms", "ms"),
    ("Elements of the page", "run", "elements", ""),
    ("Size of the value", "value", "megabytes", "MB"),
    ("Opened until a part of the value is shown", "value", "shown_ms", "ms"),
    ("Open pages", "pages", "pages", ""),
    ("Processor time of the server without pages", "pages", "alone_s", "s"),
    ("Processor time of the server with pages", "pages", "followed_s", "s"),
    ("Ratio", "pages", "ratio", ""),
)


def _table(document: dict[str, Any]) -> str:
    rows = [("Load of the machine", f"{document['load_before']} before, {document['load_after']} after")]
    for title, part, key, unit in _ROWS:
        median = statistics.median(each[part][key] for each in document["rounds"])
        rows.append((title, f"{median:g} {unit}".strip()))
    width = max(len(title) for title, _ in rows)
    return "\n".join(f"| {title:{width}} | {value} |" for title, value in rows)


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
    ends_s = time.monotonic() + _WAIT_MS / 1000
    while (run := server.ask("GET", f"{_RUNS}/{run_id}?fields=summary").document)["finished_at"] is None:
        if time.monotonic() > ends_s:
            raise TimeoutError(f"run {run_id} is still {run['status']} after {_WAIT_MS / 1000:g} s")
        time.sleep(_POLL_S)
    if run["status"] != "SUCCESS":
        raise RuntimeError(f"run {run_id} ended with {run['status']}: {run['error']}")


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
        frames: list[float] = sorted(page.evaluate("window.frames_ms")) or [0.0]
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
        "ratio": round(followed_s / max(alone_s, 1 / _TICKS), 2),
    }


def _processor_of(server: Running, tasks: int, follow: Any) -> float:
    """Return the processor time of the server for a run that `follow` opens pages of."""
    run_id = _start(server, "large", {"items": list(range(tasks))})
    # Pages are open before the first of the tasks.
    opened: list[Page] = follow(run_id)
    try:
        before_s = _processor_s(server)
        _go(server, run_id)
        _until_ended(server, run_id)
        return _processor_s(server) - before_s
    finally:
        for page in opened:
            page.close()


def _processor_s(server: Running) -> float:
    fields = Path(f"/proc/{server.command.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
