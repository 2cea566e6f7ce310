"""The unit tests of the web page, which need Node.js."""

from __future__ import annotations

import subprocess

from tests.ui.conftest import ROOT


def test_the_modules_of_the_page(built_page: None) -> None:
    """The page was built, so that its packages are installed."""
    tests = subprocess.run(["npm", "test"], cwd=ROOT / "web", check=False, capture_output=True, text=True, timeout=280)
    assert tests.returncode == 0, tests.stdout + tests.stderr
