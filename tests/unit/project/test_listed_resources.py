"""Resources in the lists of compozy.yaml refer to schemas, tools and files, like those in separate files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.errors import ProjectError
from compozy.project.load import load_project

PETS = {
    "openapi": "3.0.0",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "https://pets.example"}],
    "paths": {"/pets": {"get": {"operationId": "list"}}},
}
COUNT = {"id": "count", "type": "object", "properties": {"n": {"type": "integer"}}}
DATABASE = {"driver": "sqlite", "path": "./compozy.db"}
LISTS: dict[str, Any] = {
    "schemas": [COUNT],
    "tools": [{"id": "add", "run": "./functions.py:add", "input": "count"}, {"id": "pets", "openapi": "./pets.json"}],
    "agents": [{"id": "clerk", "output": "count", "tools": ["add", "pets"]}],
    "tasks": [{"id": "shared", "prompt": "x", "output": "count", "agent": "clerk"}],
}


def write(folder: Path, **lists: Any) -> None:
    scripted = {"providers": [{"id": "s", "type": "scripted", "responses": [{"text": "x"}]}]}
    (folder / "compozy.yaml").write_text(
        json.dumps({"name": "demo", "database": DATABASE, "llm": scripted, **LISTS, **lists})
    )
    (folder / "functions.py").write_text("def add(n: int) -> int:\n    return n\n")
    (folder / "pets.json").write_text(json.dumps(PETS))
    (folder / "workflows").mkdir()
    (folder / "workflows/w.yaml").write_text("id: w\ntasks: [{type: reference, target: shared}]\n")


def test_they_name_schemas_tools_and_files(tmp_path: Path) -> None:
    write(tmp_path)

    project = load_project(None, cwd=tmp_path, environ={})

    task = project.workflow("w").config.model_dump(by_alias=True, exclude_unset=True)["tasks"][0]
    assert [tool["id"] for tool in task["agent"]["tools"]] == ["add", "pets__list"]
    assert task["output"]["properties"] == COUNT["properties"]


@pytest.mark.parametrize(
    ("lists", "fault"),
    [
        (
            {"tools": [LISTS["tools"][0], {"id": "pets", "openapi": "./none.json"}]},
            "openapi: the file ./none.json cannot be read: No such file or directory",
        ),
        ({"agents": [{"id": "clerk", "tools": ["ad"]}]}, "unknown tool 'ad'"),
        ({"agents": [{"id": "clerk", "output": "cuont"}]}, "unknown schema 'cuont'"),
        ({"agents": [{"id": "clerk", "tools": [3]}]}, "tools[0]: expected a map, got 3"),
    ],
)
def test_a_wrong_name_is_one_error(tmp_path: Path, lists: dict[str, Any], fault: str) -> None:
    write(tmp_path, **lists)

    with pytest.raises(ProjectError) as caught:
        load_project(None, cwd=tmp_path, environ={})

    assert [found.message for found in caught.value.diagnostics if found.location.file == "compozy.yaml"] == [fault]
