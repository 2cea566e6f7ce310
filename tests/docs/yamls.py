"""Checks YAML fences: whole files, sections of files, and invalid files with their messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel

from compozy.config.parse import parse_yaml
from compozy.config.validate import validate
from compozy.errors import ProjectError, UsageError
from compozy.model.registry import PROVIDERS
from compozy.project.file import ProjectFile
from compozy.project.load import load_project
from compozy.replay.config import TestFile
from compozy.task.registry import KINDS
from compozy.tool.openapi import read_operations
from compozy.tool.openapi_schema import OpenApiError
from compozy.workflow.config import WorkflowConfig
from tests.docs.pages import Fence, read_page

_TYPES = [*(kind for kind in PROVIDERS if kind != "scripted")]
PROJECT = {
    "knowledge": {"vector_dbs": [{"id": "main", "provider": "filesystem"}]},
    "version": "1.0",
    "name": "scratch",
    "database": {"driver": "sqlite", "path": "./data/compozy.db"},
    "llm": {
        "providers": [
            *({"id": kind, "type": kind, "api_key": "none"} for kind in _TYPES if kind not in {"local", "ollama"}),
            *({"id": kind, "type": kind} for kind in ("local", "ollama")),
            {"id": "scripted", "type": "scripted", "responses": [{"text": "Hello"}]},
        ]
    },
}
WORKFLOW = {"id": "scratch", "tasks": [{"id": "scratch", "with": {"a": 1}}]}
NAMED = frozenset({"python", "typescript", "yaml openapi"})
"""Kinds of files that tools refer to."""
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")
# A workflow that calls other workflows of its page.
_CALLS = re.compile(r"type: workflow|workflows: \[")
_TASK = re.compile(r"\.tasks\.(\w+)")


def check_project(fence: Fence, folder: Path) -> list[str]:
    """Return the errors of a complete compozy.yaml."""
    document = _parse(fence)
    _write_named(document, folder)
    _write(folder / "workflows/scratch.yaml", _workflow_for(document))
    _write(folder / "compozy.yaml", fence.text)
    return _find_errors(folder, _environ(fence))


def check_workflow(fence: Fence, folder: Path) -> list[str]:
    """Return the errors of a complete workflow file."""
    _write(folder / "compozy.yaml", PROJECT)
    _write_resources(fence, folder)
    if _CALLS.search(fence.text):
        for other in read_page(fence.page).fences:
            if other.kind == "yaml workflow" and "title" in other.meta and other.text != fence.text:
                _write(folder / other.meta["title"], other.text)
    _write(folder / "workflows/shown.yaml", fence.text)
    return _find_errors(folder, {})


def check_resource(fence: Fence, folder: Path) -> list[str]:
    """Return the errors of a shared resource, next to the others of its page."""
    if "title" not in fence.meta:
        return ["a resource needs a title, the name of its file"]
    _write(folder / "compozy.yaml", PROJECT)
    _write_resources(fence, folder)
    _write(folder / "workflows/scratch.yaml", WORKFLOW)
    return _find_errors(folder, {})


def _write_resources(fence: Fence, folder: Path) -> None:
    _write_kinds(fence, folder, {"yaml resource", *NAMED})


def _write_kinds(fence: Fence, folder: Path, kinds: Set[str]) -> None:
    for other in read_page(fence.page).fences:
        if other.kind in kinds and "title" in other.meta:
            _write(folder / other.meta["title"], other.text)


def check_openapi(fence: Fence) -> list[str]:
    """Return why a file is not an OpenAPI document."""
    try:
        read_operations(_parse(fence))
    except OpenApiError as error:
        return [str(error)]
    return []


def check_test(fence: Fence) -> list[str]:
    """Return what is wrong with a file of tests."""
    parsed = parse_yaml(fence.text.encode(), file=fence.meta.get("title", "tests/shown.test.yaml"))
    if parsed.node is None:
        return [str(fault) for fault in parsed.faults]
    _, faults = validate(TestFile, parsed.node, label="the test file")
    return [str(fault) for fault in (*parsed.faults, *faults)]


def check_fragment(fence: Fence, folder: Path) -> list[str]:
    """Return the errors of sections of a compozy.yaml, of a workflow file or of a task."""
    document = _parse(fence)
    if _is_part_of(document, ProjectFile):
        _write_named(document, folder)
        _write_kinds(fence, folder, NAMED)
        _write(folder / "workflows/scratch.yaml", _workflow_for(document))
        _write(folder / "compozy.yaml", _merged(PROJECT, document, fence.text))
        return _find_errors(folder, _environ(fence))
    if isinstance(document, list):
        items = cast("list[Any]", document)
        document = {"tasks": items}
        text = "tasks:\n" + _indented(fence.text)
    elif any(_is_part_of(document, kind.model) for kind in KINDS.values()) and not _is_part_of(
        document, WorkflowConfig
    ):
        given = cast("dict[str, Any]", document)
        extra = {"id": "shown", **({} if "prompt" in given or "agent" not in given else {"prompt": "Hello"})}
        return _check_parts(folder, {"tasks": [{**extra, **given}]}, "")
    elif _is_part_of(document, WorkflowConfig):
        text = fence.text
    else:
        return ["its keys are those of no file: neither of compozy.yaml nor of a workflow or a task"]
    return _check_parts(folder, cast("dict[str, Any]", document), text)


def check_wrong(fence: Fence, told: str, folder: Path) -> list[str]:
    """Return how the errors of an invalid file differ from the page."""
    name = fence.meta.get("title") or _name_of_wrong(fence, told)
    _write(folder / "compozy.yaml", PROJECT)
    if not name.startswith("workflows/"):
        _write(folder / "workflows/scratch.yaml", WORKFLOW)
    _write(folder / name, fence.text)
    found = _find_errors(folder, _variables(fence))
    count = len(found)
    closing = f"Error: {count} problem{'s' if count != 1 else ''} found"
    if not found:
        return ["it is not wrong"]
    if told.splitlines() in (found, [*found, closing]):
        return []
    return [f"the page shows\n{told}and the program\n" + "".join(f"{line}\n" for line in found)]


def check_parses(fence: Fence) -> list[str]:
    """Return an error if the text is not YAML."""
    return [] if isinstance(_parse(fence), dict) else ["it is not a YAML mapping"]


def _check_parts(folder: Path, document: dict[str, Any], text: str) -> list[str]:
    """Check parts of a workflow file. Tasks that they read and that are not shown are added before them."""
    tasks = document.get("tasks", [])
    shown = {task.get("id") for task in tasks}
    read = dict.fromkeys(_TASK.findall(text or str(document)))
    added: list[dict[str, Any]] = [
        {"id": name, "prompt": "Hello", "output": {"type": "object"}} for name in read if name not in shown
    ]
    workflow: dict[str, Any] = {**WORKFLOW, **document}
    workflow["tasks"] = [*added, *tasks] or WORKFLOW["tasks"]
    _write(folder / "compozy.yaml", PROJECT)
    _write(folder / "workflows/shown.yaml", workflow)
    return _find_errors(folder, {})


def _find_errors(folder: Path, environ: Mapping[str, str]) -> list[str]:
    try:
        load_project(None, cwd=folder, environ=environ)
    except ProjectError as error:
        return [str(fault).replace(str(folder), "DIR") for fault in error.diagnostics]
    except UsageError as error:
        return [error.message]
    return []


def _parse(fence: Fence) -> Any:
    return yaml.safe_load(fence.text)


def _is_part_of(document: Any, model: type[BaseModel]) -> bool:
    if not isinstance(document, dict):
        return False
    known = {field.alias or name for name, field in model.model_fields.items()} | {"outputs"}
    return set(cast("dict[str, Any]", document)) <= known


def _merged(base: Mapping[str, Any], document: Any, text: str) -> str:
    """Return the text of a fragment with the missing sections added from `base`."""
    rest = {key: value for key, value in base.items() if key not in document}
    return yaml.safe_dump(rest, sort_keys=False) + text


def _workflow_for(document: Any) -> dict[str, Any]:
    """Return a workflow with the tasks of a project's scripted answers."""
    llm: Any = document.get("llm") or {}
    by_task = [
        provider["responses"] for provider in llm.get("providers", ()) if isinstance(provider.get("responses"), dict)
    ]
    names = dict.fromkeys(name for responses in by_task for name in cast("dict[str, Any]", responses))
    return {"id": "scratch", "tasks": [{"id": name, "prompt": "Hello"} for name in names] or WORKFLOW["tasks"]}


def _write_named(document: Any, folder: Path) -> None:
    """Write the files that a project refers to: workflows, and models of local providers."""
    for index, source in enumerate(document.get("workflows", ())):
        _write(folder / source["source"], {**WORKFLOW, "id": f"named-{index}"})
    llm: Any = document.get("llm") or {}
    for provider in llm.get("providers", ()):
        if provider.get("type") == "local" and "path" in provider:
            _write(folder / provider["path"], "GGUF")


def _name_of_wrong(fence: Fence, told: str) -> str:
    if fence.meta.get("wrong") == "workflow":
        named = re.search(r"^(workflows/[\w./-]+?):", told, re.MULTILINE)
        return named[1] if named else "workflows/shown.yaml"
    return "compozy.yaml"


def _environ(fence: Fence) -> dict[str, str]:
    """Return a value for each variable of the fence. `1` is valid as text and as a number."""
    keys = {name for line in fence.text.splitlines() if "api_key" in line for name in _VARIABLE.findall(line)}
    return {name: "1" for name in _VARIABLE.findall(fence.text) if name not in keys} | _variables(fence)


def _variables(fence: Fence) -> dict[str, str]:
    return dict(word.split("=", 1) for word in fence.meta.get("env", "").split())


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
