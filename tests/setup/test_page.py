"""The web page gets into the package: built once, found in the wheel and the sdist, and refused with one sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI = "compozy/server/pages/ui/"
WITHOUT_NODE = {"PATH": "/nonexistent"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what the page is built from, without a page."""
    copy = tmp_path / "checkout"
    _copy(ROOT / "web", copy / "web", "node_modules", "schema.d.ts")
    _copy(ROOT / "packaging", copy / "packaging")
    return copy


def _copy(source: Path, target: Path, *ignored: str) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *ignored))


def build(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program behind `make web`."""
    command = [sys.executable, "packaging/page.py"]
    return subprocess.run(
        command, cwd=checkout, env={**os.environ, **environ}, capture_output=True, text=True, timeout=280, check=False
    )


def test_without_node_one_sentence_says_what_to_do(checkout: Path) -> None:
    done = build(checkout, **WITHOUT_NODE)
    assert done.returncode == 1
    assert done.stderr == (
        "The web page cannot be built because npm was not found: install Node.js 20.19 or newer, or set"
        " COMPOZY_WEB=without to build a package without the page.\n"
    )


def test_a_page_of_the_same_sources_is_kept(checkout: Path) -> None:
    sys.path.insert(0, str(checkout / "packaging"))
    try:
        digest = subprocess.run(
            [sys.executable, "-c", "import page; print(page.digest_of_sources())"],
            cwd=checkout / "packaging",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        sys.path.pop(0)
    page = checkout / "src" / UI
    page.mkdir(parents=True)
    (page / "index.html").write_text("built before", encoding="utf-8")
    (page / "sources.txt").write_text(digest, encoding="utf-8")
    assert build(checkout, **WITHOUT_NODE).stdout == "The web page is up to date.\n"

    (checkout / "web/src/main.tsx").write_text("changed", encoding="utf-8")
    assert build(checkout, **WITHOUT_NODE).returncode == 1


def test_the_lock_names_no_registry_and_every_package_is_pinned() -> None:
    lock = (ROOT / "web/package-lock.json").read_text(encoding="utf-8")
    assert "registry" not in lock
    assert '"resolved"' not in lock
    package = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert [version for version in versions if not re.fullmatch(r"[0-9.]+", version)] == []


@pytest.mark.timeout(600)
def test_wheel_and_sdist_hold_the_page(tmp_path: Path) -> None:
    """The wheel of an sdist is built without Node.js."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("needs npm")
    checkout = tmp_path / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/", "examples/")):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    _hatch(checkout, "sdist", tmp_path / "dist")
    sdist = next((tmp_path / "dist").glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert any(name.endswith(f"{UI}index.html") for name in names)
    assert not any("node_modules" in name for name in names)

    unpacked = next((tmp_path / "unpacked").iterdir())
    _hatch(unpacked, "wheel", tmp_path / "dist", **WITHOUT_NODE)
    with zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))) as wheel:
        page = {name.removeprefix(UI) for name in wheel.namelist() if name.startswith(UI)}
    assert {"index.html", "icon.svg"} < page
    assert any(re.fullmatch(r"assets/index-.+\.js", name) for name in page)


def _hatch(folder: Path, target: str, out: Path, **environ: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
