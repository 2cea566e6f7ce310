"""OpenAPI files as sources of tools, on the command line and with a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.project.definition import snapshot
from compozy.project.load import load_project
from tests.conftest import RunCli
from tests.harness.projects import write_project
from tests.harness.websites import Site, run_site

PETS = """\
openapi: 3.0.3
servers: [{url: "http://localhost:PORT/v1"}]
paths:
  /pets:
    get:
      operationId: listPets
      summary: List the pets
      parameters: [{name: limit, in: query, schema: {type: integer}}]
      responses:
        200: {description: ok}
    post:
      operationId: createPet
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}
  /pets/{id}:
    delete: {operationId: deletePet, parameters: [{name: id, in: path, required: true, schema: {type: string}}]}
    post: {operationId: uploadPhoto, requestBody: {content: {image/png: {}}}}
components:
  schemas:
    Pet:
      type: object
      required: [name]
      properties: {name: {type: string}, mother: {$ref: "#/components/schemas/Pet"}}
"""


@pytest.fixture
def site() -> Iterator[Site]:
    """A server whose paths respond with themselves."""
    with run_site() as running:
        yield running


def write(folder: Path, port: int, tasks: list[dict[str, Any]], source: Any, responses: Any = None) -> None:
    """Write a project with the file and one workflow."""
    write_project(
        folder,
        {"w": {"tasks": tasks, "output": {"said": f"{{{{ .tasks.{tasks[-1]['id']}.output }}}}"}}},
        responses=responses or [{"text": "any"}],
        tools=[{"id": "pets", "openapi": source, "timeout": "20s"}],
        runtime={"native_tools": {"private_hosts": ["localhost"]}},
    )
    (folder / "pets.yaml").write_text(PETS.replace("PORT", str(port)))


def test_a_model_and_tasks_call_operations(
    site: Site, cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PET_TOKEN", "s3cr3t-t0ken")
    source = {
        "file": "./pets.yaml",
        "exclude": ["upload*"],
        "headers": {"Authorization": "Bearer {{ .env.PET_TOKEN }}"},
    }
    body = {"name": "Rex", "mother": {"name": "Eva"}}
    calls: list[Any] = [
        {"tool": "pets__createPet", "arguments": {"body": {"name": 5}}},
        {"tool": "pets__createPet", "arguments": {"body": body}},
    ]
    tasks = [
        {"id": "ask", "prompt": "Add Rex.", "tools": ["pets"]},
        {"id": "gone", "tool": "pets__deletePet", "with": {"id": "a/../b"}},
        {"id": "list", "tool": {"id": "pets__listPets", "effect": "read"}, "with": {"limit": 3}},
    ]
    write(tmp_path, site.port, tasks, source, {"ask": [{"tool_calls": calls}, {"text": "done"}]})

    valid = cli("config", "validate")
    done = cli("workflow", "run", "w", "--id", "run-1", "--format", "json")

    assert (valid.status, valid.err) == (0, "")
    assert done.status == 0, done.err
    assert json.loads(json.loads(done.out)["output"]["said"]) == {"path": "/v1/pets?limit=3"}
    # The model gets an error for the call with the invalid argument; only the other one is sent.
    assert [(seen.method, seen.path) for seen in site.seen] == [
        ("POST", "/v1/pets"),
        ("DELETE", "/v1/pets/a%2F..%2Fb"),
        ("GET", "/v1/pets?limit=3"),
    ]
    assert json.loads(site.seen[0].body) == body
    assert {seen.headers["authorization"] for seen in site.seen} == {"Bearer s3cr3t-t0ken"}
    assert "idempotency-key" in site.seen[0].headers
    assert "s3cr3t-t0ken" not in cli("workflow", "get", "run-1", "--verbose").out


def test_a_task_selects_operations_and_changes_them(site: Site, cli: RunCli, tmp_path: Path) -> None:
    calls: list[Any] = [
        {"tool": "pets__listPets", "arguments": {}},
        {"tool": "pets__deletePet", "arguments": {"id": "1"}},
    ]
    chosen = {"id": "pets", "openapi": {"include": ["GET /pets", "deletePet"]}, "approve": "deny"}
    inline = {
        "id": "own",
        "openapi": {"file": "../pets.yaml", "include": ["list*"], "prefix": "", "server": "http://localhost:1"},
    }
    tasks = [{"id": "ask", "prompt": "Look.", "tools": [chosen, inline]}]
    write(tmp_path, site.port, tasks, "./pets.yaml", {"ask": [{"tool_calls": calls}, {"text": "done"}]})
    # Only offered operations are checked, and nothing offers the upload here.
    tools = [{"id": "pets", "openapi": {"file": "./pets.yaml", "exclude": ["upload*"]}}]
    write_text(tmp_path, tools)

    done = cli("workflow", "run", "w", "--id", "run-1", "--format", "json")
    shown = json.loads(cli("workflow", "get", "run-1", "--format", "json", "--verbose").out)

    assert done.status == 0, done.err
    assert site.seen == []
    assert "uploadPhoto" not in json.dumps(shown)


def write_text(folder: Path, tools: list[dict[str, Any]]) -> None:
    project = json.loads((folder / "compozy.yaml").read_text())
    (folder / "compozy.yaml").write_text(json.dumps({**project, "tools": tools}))


def test_a_run_keeps_the_operations_and_not_the_file(tmp_path: Path) -> None:
    write(tmp_path, 1, [{"id": "list", "tool": "pets__listPets"}], {"file": "./pets.yaml", "include": ["listPets"]})

    project = load_project(tmp_path / "compozy.yaml", cwd=tmp_path, environ={})
    kept = json.dumps(snapshot(project, "w"))

    assert '"url": "http://localhost:1/v1/pets"' in kept
    assert "openapi" not in kept


@pytest.mark.parametrize(
    ("source", "tasks", "message"),
    [
        ("./none.yaml", [], "openapi: the file ./none.yaml cannot be read: No such file or directory"),
        ("../pets.yaml", [], "openapi: ../pets.yaml is outside of the project"),
        ("./compozy.yaml", [], "openapi: ./compozy.yaml: it is not an OpenAPI 3 document"),
        ("./pets.yaml", [], "openapi: operation 'uploadPhoto' of ./pets.yaml cannot be a tool: its body is image/png"),
        ({"file": "./pets.yaml", "include": ["listPet"]}, [], "include: 'listPet' is not an operation of ./pets.yaml"),
        ({"file": "./pets.yaml", "exclude": ["x*", "up*"]}, [], "exclude: 'x*' is not an operation of ./pets.yaml"),
        ({"file": "./pets.yaml", "exclude": ["*"]}, [], "./pets.yaml offers 0 operations; 1 to 100 can become tools"),
        ({"file": "./pets.yaml", "only": []}, [], "unknown key 'only'"),
        ({"file": "./pets.yaml", "include": ["get*"], "prefix": "a b"}, [], "prefix: "),
        ({"file": "./pets.yaml", "include": ["list*"], "prefix": "1"}, [], "'1listPets' is not the name of a tool"),
        ({"file": "./pets.yaml", "include": ["*Pet", "list*"]}, [{"tool": "pets"}], "this names more than one tool"),
        (
            {"file": "./pets.yaml", "include": ["list*"]},
            [{"tool": "pets__listPet"}],
            "unknown tool 'pets__listPet' (did you mean 'pets__listPets'?)",
        ),
    ],
)
def test_errors_are_reported_with_their_location(
    cli: RunCli, tmp_path: Path, source: Any, tasks: list[dict[str, Any]], message: str
) -> None:
    write(tmp_path, 1, [{"id": "t", **task} for task in tasks or [{"with": {}}]], source)

    done = cli("config", "validate")

    assert done.status == 5
    assert message in done.err
    assert ("compozy.yaml:1:" in done.err) or "workflows/w.yaml:1:" in done.err


def test_errors_of_the_file_have_their_own_location(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, 1, [{"id": "t", "with": {}}], "./pets.yaml")
    (tmp_path / "pets.yaml").write_text("openapi: 3.0.0\npaths: {a: 1\n")

    done = cli("config", "validate")

    assert done.status == 5
    assert "./pets.yaml:2:" in done.err or "pets.yaml:3:" in done.err
