"""Builds the web page into the package: a hook of Hatch, and the program behind `make web`.

A wheel and an sdist need the page. It is built with npm, unless the page in the package was built from these sources:
then nothing is done, so that a wheel of an sdist needs no Node.js. Editable installs, such as `make setup`, skip it.
`COMPOZY_WEB=without` builds a package without the page.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "web"
PAGE = ROOT / "src/compozy/server/pages/ui"
# The digest of the sources that a page was built from.
_STAMP = PAGE / "sources.txt"
# Neither the modules of npm nor the types that each build generates.
_NOT_SOURCES = ("node_modules", "src/api/schema.d.ts")
_HINT = "install Node.js 20.19 or newer, or set COMPOZY_WEB=without to build a package without the page"


class PageError(Exception):
    """The page could not be built."""


class PageHook(BuildHookInterface[Any]):
    """Builds the page before Hatch collects the files of the package."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the package is installed as editable or `COMPOZY_WEB` is `without`."""
        del build_data
        if version == "editable" or os.environ.get("COMPOZY_WEB") == "without":
            return
        try:
            build_page()
        except PageError as error:
            # Hatch prints a traceback for errors, and an exit with a text as it is.
            raise SystemExit(str(error)) from error


def build_page() -> bool:
    """Build the page if its sources changed, and return whether that was necessary.

    Raises:
        PageError: Node.js is missing, or the build failed.
    """
    digest = digest_of_sources()
    if (PAGE / "index.html").is_file() and _STAMP.is_file() and _STAMP.read_text(encoding="utf-8").strip() == digest:
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise PageError(f"The web page cannot be built because npm was not found: {_HINT}.")
    if not _has_modules():
        _run(npm, "ci", "--loglevel=error")
        _installed().write_text(_lock_digest(), encoding="utf-8")
    _run(npm, "run", "--silent", "build")
    _STAMP.write_text(digest + "\n", encoding="utf-8")
    return True


def digest_of_sources() -> str:
    """Return a hash of every file that the page is built from."""
    paths = [path for path in SOURCES.rglob("*") if path.is_file() and not _is_generated(path)]
    hashed = hashlib.sha256()
    for path in sorted(paths, key=lambda each: each.relative_to(SOURCES).as_posix()):
        hashed.update(f"{path.relative_to(SOURCES).as_posix()}\0{path.stat().st_size}\0".encode())
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _is_generated(path: Path) -> bool:
    return path.relative_to(SOURCES).as_posix().startswith(_NOT_SOURCES)


def _has_modules() -> bool:
    """Return whether `node_modules` is what the lock file says."""
    stamp = _installed()
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _lock_digest()


def _installed() -> Path:
    return SOURCES / "node_modules/.compozy"


def _lock_digest() -> str:
    return hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=SOURCES, check=False, stdout=sys.stderr)
    if done.returncode != 0:
        raise PageError(f"The web page could not be built: `{' '.join(command[-2:])}` failed in web/: {_HINT}.")


if __name__ == "__main__":
    try:
        print("Built the web page." if build_page() else "The web page is up to date.")
    except PageError as error:
        sys.exit(str(error))
