"""A project is like one that was loaded before unless its files or variables changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.harness.projects import write_project

from compozy.project.load import load_project
from compozy.project.loaded import LoadedProject

WORKFLOW = {"tasks": [{"id": "one", "prompt": "hello"}]}
TOOL = {"resource": "tool", "id": "look", "run": "../look.py:look"}


@pytest.fixture
def home(tmp_path: Path, clean_environ: None) -> Path:
    """A project with a workflow and a tool."""
    write_project(tmp_path, {"one": WORKFLOW}, responses=[{"text": "x"}])
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/look.yaml").write_text(json.dumps(TOOL))
    (tmp_path / "look.py").write_text("def look() -> str:\n    return 'x'\n")
    (tmp_path / ".env").write_text("A=1\n")
    return tmp_path


def load(home: Path) -> LoadedProject:
    return load_project(None, cwd=home, environ={})


def test_the_same_files_are_alike(home: Path) -> None:
    before = load(home)
    (home / "result.json").write_text("{}")
    assert load(home).is_like(before)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workflows/one.yaml", "id: one\ntasks: [{id: one, prompt: other}]\n"),
        ("workflows/two.yaml", "id: two\ntasks: [{id: one, prompt: other}]\n"),
        ("tools/look.yaml", json.dumps({**TOOL, "description": "Looks."})),
        (".env", "A=2\n"),
    ],
)
def test_a_changed_file_makes_a_difference(home: Path, name: str, text: str) -> None:
    before = load(home)
    (home / name).write_text(text)
    assert not load(home).is_like(before)
