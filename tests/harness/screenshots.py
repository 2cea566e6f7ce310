"""Takes the pictures of the web page that the README and the pages show: `make screenshots`.

python -m tests.harness.screenshots FOLDER
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness.processes import Commands
from tests.harness.servers import API, Running, start_server
from tests.harness.showcase import SECRET, write_showcase
from tests.harness.website import require_browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"]
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 780}
_WAIT_S = 60.0


class Showcase:
    """Runs to take pictures of, on a server with the showcase."""

    def __init__(self, server: Running) -> None:
        self._server = server

    def start(self, workflow: str, given: Any = None, **labels: str) -> str:
        """Start a run and return its ID."""
        body = {"input": given or {}, "labels": labels}
        return str(self._server.ask("POST", f"{API}/workflows/{workflow}/executions", body).document["execution_id"])

    def until(self, run_id: str, *states: str) -> str:
        """Wait for a state of a run and return its ID."""
        ends_s = time.monotonic() + _WAIT_S
        while time.monotonic() < ends_s:
            if self._server.ask("GET", f"{API}/executions/workflows/{run_id}").document["status"] in states:
                return run_id
            time.sleep(0.05)
        raise TimeoutError(f"run {run_id} did not reach {' or '.join(states)}")

    def deliver(self, payload: dict[str, Any]) -> None:
        """Send a request to the webhook."""
        self._server.ask("POST", f"{API}/hooks/parcels", payload, X_Token=SECRET)

    def talk(self) -> None:
        """Hold a conversation whose last message waits for an approval."""
        first = self.start("claims", {"guest": "Ada", "message": "My order 17 came broken."}, chat="Ada")
        self.until(first, "WAITING")
        self._server.ask("POST", f"{API}/executions/workflows/{first}/approve", {"input": {"approve": True}})
        self.until(first, "SUCCESS")
        last = {"guest": "Ada", "message": "Thank you! The lamp of the same order flickers, too."}
        self.until(self.start("claims", last, chat="Ada"), "WAITING")

    def make(self) -> dict[str, str]:
        """Start the runs of the pictures, and return the addresses of their pages by name."""
        self.until(self.start("hello-world", {"name": "Ada"}, team="harbor"), "SUCCESS")
        self.until(self.start("large", {"items": list(range(40))}), "SUCCESS")
        self.start("order", None, customer="4711")
        budget = self.until(self.start("report"), "WAITING")
        self.deliver({"id": "parcel-17"})
        self.deliver({"state": "unknown"})
        failed = self.until(self.start("weather", {"city": "Atlantis"}), "FAILED")
        self.until(self.start("weather", {"city": "Oslo"}), "SUCCESS")
        approval = self.until(self.start("refunds", None, customer="4711"), "WAITING")
        self.talk()
        news = self.until(self.start("news", {"topic": "the bridge"}, team="harbor"), "WAITING")
        return {
            "runs": "/ui/runs",
            "run": f"/ui/runs/{news}?task=article",
            "failed": f"/ui/runs/{failed}?task=measure",
            "approval": f"/ui/runs/{approval}",
            "start": "/ui/workflows/news",
            "budget": f"/ui/runs/{budget}",
            "schedules": "/ui/schedules",
            "webhooks": "/ui/webhooks",
            "costs": "/ui/costs",
            "chat": "/ui/chat?workflow=claims&key=Ada",
            "memory": "/ui/memory?memory=guests&key=guest:Ada",
        }


def take(browser: Browser, server: Running, folder: Path) -> None:
    """Write all pictures into `folder`."""
    showcase = Showcase(server)
    places = showcase.make()
    for scheme in ("light", "dark"):
        with_page(browser, server, scheme, DESK, lambda page, name=scheme: live(page, folder, name))
        for name, place in places.items():
            target = folder / f"{name}-{scheme}.png"
            with_page(browser, server, scheme, DESK, lambda page, at=place, to=target: shoot(page, at, to))
    for name in ("runs", "run", "start", "chat"):
        target = folder / f"{name}-phone.png"
        place = places[name].partition("?task=")[0]
        with_page(browser, server, "light", PHONE, lambda page, at=place, to=target: shoot(page, at, to))


def with_page(browser: Browser, server: Running, scheme: Any, size: Any, act: Callable[[Page], None]) -> None:
    """Open a page, act on it, and close it."""
    context = browser.new_context(base_url=server.url, viewport=size, color_scheme=scheme, locale="en-GB")
    context.set_default_timeout(_WAIT_S * 1500)
    act(context.new_page())
    context.close()


def shoot(page: Page, place: str, target: Path) -> None:
    """Take a picture of a page that has loaded."""
    # A page with a stream is never idle.
    has_stream = "/runs" in place or "/chat" in place
    page.goto(place, wait_until="load" if has_stream else "networkidle")
    expect(page.get_by_text("Loading…")).to_have_count(0)
    expect(page.locator("main h1")).to_be_visible()
    if "/chat" in place:
        # The question arrives last.
        expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    page.wait_for_timeout(500)
    page.screenshot(path=target)


def live(page: Page, folder: Path, scheme: str) -> None:
    """Take a picture while a model writes."""
    page.goto("/ui/workflows/story")
    page.get_by_role("button", name="Start").click()
    text = page.locator("[data-live-text]")
    expect(text).to_contain_text("storm")
    page.screenshot(path=folder / f"live-{scheme}.png")


def main() -> None:
    """Start a server with the showcase and take the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=_WAIT_S * 1000)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        commands = Commands(Path(scratch) / "commands")
        server = start_server(commands, write_showcase(Path(scratch) / "harbor-news"))
        browser = playwright.chromium.launch(executable_path=require_browser(), args=FLAGS)
        try:
            take(browser, server, folder)
        finally:
            browser.close()
            commands.end()


if __name__ == "__main__":
    main()
