"""The documentation site for tests: built once, by the first process that needs it, and served from docs/out.

A build is kept until one of its sources changes. Node and Chromium are not part of the Python environment: if they are
missing, tests are skipped on a developer's machine, and fail if `CI` is set.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.docs.pages import DOCS as PAGES
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"
EXPORT = DOCS / "out"
# Addresses of the pages as a reader requests them.
PLACES = (
    "/",
    "/docs/",
    *(f"/docs/{path.relative_to(PAGES).with_suffix('')}/" for path in sorted(PAGES.rglob("*.mdx"))),
)
_MADE = {"node_modules", ".next", ".source", "out"}
_BUILT = DOCS / ".next/tested.json"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BUILD_S, _READY_S = 280, 120


@dataclass(frozen=True, kw_only=True)
class Build:
    """The result of `npm run build`: its status, its output, and a digest of its sources."""

    digest: str
    status: int
    output: str


def run_npm(*words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run npm in docs/. Its warnings about the machine are not printed."""
    return subprocess.run(
        [require_npm(), "--loglevel=error", *words],
        cwd=DOCS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@functools.cache
def built_site() -> Build:
    """Return the build of the current docs/, which is in docs/out. Other processes wait for the first one."""
    require_npm()
    with (DOCS / "node_modules/.tested.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _digest()
        if _BUILT.exists() and EXPORT.exists():
            build = Build(**json.loads(_BUILT.read_text(encoding="utf-8")))
            if build.digest == digest:
                return build
        done = run_npm("run", "build", timeout_s=_BUILD_S)
        build = Build(digest=digest, status=done.returncode, output=done.stdout)
        _BUILT.parent.mkdir(exist_ok=True)
        _BUILT.write_text(json.dumps(asdict(build)), encoding="utf-8")
        return build


@contextlib.contextmanager
def serve_export() -> Generator[str]:
    """Serve docs/out like `npm run serve` does, and yield its address."""
    command = [require_node(), "scripts/serve.mjs", "--port", "0"]
    with subprocess.Popen(command, cwd=DOCS, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip().rstrip("/")
        finally:
            server.terminate()


@contextlib.contextmanager
def serve_pages(port: int, log: Path) -> Generator[str]:
    """Run `npm run dev`, and yield its address once it responds."""
    command = [require_npm(), "--loglevel=error", "run", "dev", "--", "--port", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=DOCS, stdout=output, stderr=output, start_new_session=True) as server,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            _await_answer(f"{address}/", log)
            yield address
        finally:
            # npm, the shell that it starts, and Next.js with its workers.
            os.killpg(server.pid, signal.SIGTERM)


def get(address: str, timeout_s: float = 60) -> tuple[int, str]:
    """Return status and body of a response."""
    try:
        with urllib.request.urlopen(address, timeout=timeout_s) as answer:
            return answer.status, answer.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8")


def require_npm() -> str:
    """Return the path of npm if the packages of the site are installed."""
    npm = require_program("npm")
    if not (DOCS / "node_modules/.ready").exists():
        _lack("docs/node_modules, made by `make site`,")
    return npm


def require_node() -> str:
    """Return the path of Node."""
    return require_program("node")


def require_browser() -> str:
    """Return the path of Chromium."""
    return require_program(*_BROWSERS)


def words_of(html: str) -> str:
    """Return the text of a page without its scripts."""
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def require_program(*names: str) -> str:
    """Return the path of the first of these programs that is installed."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found or _lack(names[0])


def _lack(what: str) -> str:
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def _digest() -> str:
    digest = hashlib.sha256()
    for path in [ROOT / "README.md", ROOT / "src/compozy/__init__.py", *sorted(DOCS.rglob("*"))]:
        inside = path.relative_to(ROOT)
        if not _MADE.intersection(inside.parts) and path.is_file() and path.name not in {"meta.json", "next-env.d.ts"}:
            digest.update(f"{inside}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _await_answer(address: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            get(address)
            return
        time.sleep(0.1)
    pytest.fail(f"the development server did not come up:\n{log.read_text(encoding='utf-8')}")
