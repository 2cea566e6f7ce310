"""Output that is derived from a loaded project: schemas, the scaffold, `config show`, the definition of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from loadedprojects import HELLO, POSTGRES, QDRANT, QUICKSTART, load, write

from compozy.config.nodes import to_value
from compozy.config.parse import parse_yaml
from compozy.errors import UsageError
from compozy.model import registry
from compozy.project.definition import snapshot
from compozy.project.jsonschema import project_schema, schema_schema, workflow_schema
from compozy.project.load import load_project
from compozy.project.masks import mask_address
from compozy.project.scaffold import scaffold
from compozy.project.show import show_settings
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.places import locate_from

Schema = Callable[[], dict[str, Any]]


@cache
def validator_of(schema: Schema) -> Any:
    return Draft202012Validator(schema())


def problems(schema: Schema, text: str) -> list[str]:
    node = parse_yaml(text.encode(), file="f").node
    assert node is not None
    return [str(error.message) for error in validator_of(schema).iter_errors(to_value(node))]


@pytest.mark.parametrize(
    "text", [QUICKSTART, QDRANT, POSTGRES, "version: 1.0\n", "database: {name: x, ssl_mode: require}\n"]
)
def test_the_seeds_projects_match_the_schema(text: str) -> None:
    assert problems(project_schema, text) == []


def test_the_seeds_workflow_matches_the_schema() -> None:
    assert problems(workflow_schema, HELLO) == []
    assert problems(workflow_schema, HELLO.replace("output:", "outputs:", 1)) == []


def test_variables_are_valid_in_place_of_numbers() -> None:
    text = "server: {port: '${PORT:-8080}'}\ndatabase: {driver: '${D}', auto_migrate: '${M}', busy_timeout: '${T}'}\n"
    assert problems(project_schema, text) == []
    assert problems(project_schema, "server: {port: abc}\n")
    assert problems(workflow_schema, HELLO + "version: 1\ntask: []\n")


@pytest.mark.parametrize(
    "text", ["databse: {}", "database: {driver: mysql}", "llm: {providers: [{id: a}]}", "server: 5"]
)
def test_errors_violate_the_schema(text: str) -> None:
    assert problems(project_schema, text)


def test_schemas_describe_every_key() -> None:
    for schema in (validator_of(project_schema).schema, validator_of(workflow_schema).schema):
        for definition in [schema, *(each for name, each in schema["$defs"].items() if name != "Task")]:
            # A shared schema has the keys of JSON Schema in addition to its own.
            assert definition["additionalProperties"] is (definition.get("title") == "SchemaResource")
            for key, value in definition["properties"].items():
                assert value.get("description") or key in {"input_tokens", "output_tokens"}, key


NESTED = """
id: n
tasks:
  - {id: a}
  - id: b
    type: parallel
    tasks: [{id: c, type: collection, items: [1], task: {id: 'd-{{ .index }}', prompt: x}}]
  - {id: e, type: router, condition: input.x, routes: {x: f, y: {id: g, type: wait, wait_for: go}}}
  - {id: f, type: aggregate, outputs: {a: 1}}
"""


def test_the_schema_distinguishes_types_of_tasks() -> None:
    assert problems(workflow_schema, NESTED) == []
    assert len(problems(workflow_schema, NESTED.replace("wait_for: go", "wait_fro: go"))) >= 1
    # The error of the one type that is meant, and not that of each.
    assert problems(workflow_schema, "id: n\ntasks: [{id: a, type: wait}]\n") == ["'wait_for' is a required property"]
    assert len(problems(workflow_schema, "id: n\ntasks: [{id: a, type: wiat}]\n")) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("id: a\ntype: object\nproperties: {b: {$ref: c}}\nrequired: [b]\n", 0),
        ("resource: schema\nid: a\nenum: [1, 2]\nx-more: 1\n", 0),
        ("type: object\n", 1),
        ("id: a\ntype: objct\nrequired: b\n", 2),
    ],
)
def test_the_schema_of_shared_schemas(text: str, count: int) -> None:
    assert len(problems(schema_schema, text)) == count


def test_the_scaffold_loads_without_errors(tmp_path: Path) -> None:
    written = scaffold(tmp_path / "new", name='It\'s: "new" 🎉')
    assert sorted(str(path.relative_to(tmp_path / "new")) for path in written) == [
        ".compozy/agent.schema.json",
        ".compozy/compozy.schema.json",
        ".compozy/mcp.schema.json",
        ".compozy/memory.schema.json",
        ".compozy/schema.schema.json",
        ".compozy/task.schema.json",
        ".compozy/tool.schema.json",
        ".compozy/workflow.schema.json",
        ".env.example",
        ".gitignore",
        "README.md",
        "compozy.yaml",
        "workflows/hello.yaml",
    ]
    project = load_project(tmp_path / "new", cwd=tmp_path, environ={})
    assert project.name == 'It\'s: "new" 🎉'
    assert [(provider.id, provider.missing_key_fallback) for provider in project.providers] == [
        ("openai", "local"),
        ("local", None),
    ]
    assert [task.id for task in project.workflow("hello").config.tasks] == ["greet", "reply"]
    for path, schema in (("compozy.yaml", project_schema), ("workflows/hello.yaml", workflow_schema)):
        text = (tmp_path / "new" / path).read_text()
        assert problems(schema, text) == []
        first = text.splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (tmp_path / "new" / path).parent.joinpath(first.partition("=")[2]).is_file()


def test_scaffold_without_a_name_uses_the_folders(tmp_path: Path) -> None:
    scaffold(tmp_path / "demo", name=None)
    assert load_project(tmp_path / "demo", cwd=tmp_path, environ={}).name == "demo"


def test_scaffold_never_overwrites(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": "mine", ".gitignore": "mine"})
    with pytest.raises(UsageError) as caught:
        scaffold(tmp_path, name=None)
    assert caught.value.message == f"{tmp_path} already has .gitignore, README.md"
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".gitignore", "README.md"]
    scaffold(tmp_path, name=None, force=True)
    assert (tmp_path / "README.md").read_text() != "mine"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129])
def test_scaffold_refuses_odd_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a project's name"):
        scaffold(tmp_path, name=name)


def test_scaffold_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, {"file": ""})
    with pytest.raises(UsageError, match="cannot write"):
        scaffold(tmp_path / "file", name=None)


PROVIDERS = """
llm:
  providers:
    - {id: a, type: openai, api_key: "${KEY}", fallback: c}
    - {id: b, type: anthropic, api_key: sk-hidden-1, model: claude}
    - {id: c, type: local}
    - {id: d, type: groq}
"""


def test_show(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": POSTGRES + PROVIDERS})
    shown = show_settings(load(tmp_path, DB_PASSWORD="hunter2", SERVER_PORT="9"))
    rows = {key: (value, source) for key, value, source in shown.rows}
    assert rows["name"] == (tmp_path.name, "the folder's name")
    assert rows["database.driver"] == ("postgres", "compozy.yaml:4:3")
    assert rows["database.password"] == ("********", "environment DB_PASSWORD")
    assert rows["database.conn_string"] == ("-", "default")
    assert rows["database.auto_migrate"] == ("true", "default")
    assert rows["database.conn_max_idle_time"] == ("300s", "default")
    assert rows["server.port"] == ("9", "environment SERVER_PORT")
    assert rows["knowledge.vector_dbs.0.dimension"] == ("1536", "compozy.yaml:16:7")
    assert "database.path" not in rows
    assert "database.host" in rows
    assert shown.providers == [
        ("a", "openai", registry.PROVIDERS["openai"].default_model, "missing KEY", "c"),
        ("b", "anthropic", "claude", "set", "-"),
        ("c", "local", registry.PROVIDERS["local"].default_model, "not needed", "-"),
        ("d", "groq", registry.PROVIDERS["groq"].default_model, "missing", "-"),
    ]
    assert "hunter2" not in str(shown)
    assert "sk-hidden" not in str(shown)
    document = shown.document(sources=True)
    assert document["settings"]["server.port"] == {"value": 9, "source": "environment SERVER_PORT"}
    assert shown.document(sources=False)["settings"]["server.port"] == 9
    assert document["providers"][2]["key"] == "not needed"
    assert json.loads(json.dumps(document)) == document


def test_show_has_the_options_of_tasks(tmp_path: Path) -> None:
    options = """
config:
  timeout: 1m
  retry_policy: {maximum_attempts: 5, non_retryable_error_types: [model, usage]}
"""
    write(tmp_path, {"compozy.yaml": QUICKSTART + options})
    rows = {key: (value, source) for key, value, source in show_settings(load(tmp_path)).rows if "config." in key}
    line = QUICKSTART.count("\n") + 3
    assert rows == {
        "config.timeout": ("60s", f"compozy.yaml:{line}:3"),
        "config.retry_policy.initial_interval": ("1s", "default"),
        "config.retry_policy.backoff_coefficient": ("2", "default"),
        "config.retry_policy.maximum_interval": ("60s", "default"),
        "config.retry_policy.maximum_attempts": ("5", f"compozy.yaml:{line + 1}:18"),
        "config.retry_policy.non_retryable_error_types": ("model, usage", f"compozy.yaml:{line + 1}:67"),
    }


def test_show_of_sqlite_has_no_keys_of_postgres(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART})
    keys = [key for key, _, _ in show_settings(load(tmp_path)).rows if key.startswith("database.")]
    assert keys == [f"database.{key}" for key in ("driver", "path", "busy_timeout", "synchronous", "auto_migrate")]


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("postgres://u:hunter2@h:5432/db?sslmode=require", "postgres://u:********@h:5432/db"),
        ("postgres://u:a@b:c@h/db", "postgres://u:********@h/db"),
        ("postgres://u@h/db?password=hunter2", "postgres://u@h/db"),
        ("postgres://[::1]:5432/db", "postgres://[::1]:5432/db"),
        ("host=h password=hunter2", "********"),
        ("postgres://u:p@[h/db", "********"),
        ("postgres://u:a/b@h/db", "********"),
        ("postgres://u:12/b@h/db", "********"),
        ("http://localhost:6333", "http://localhost:6333"),
    ],
)
def test_masked_addresses(address: str, masked: str) -> None:
    assert mask_address(address) == masked


def test_definition_of_a_run(tmp_path: Path) -> None:
    config = QDRANT + PROVIDERS
    text = HELLO.replace("llm: openai", "llm: a") + "input:\n  properties:\n    name: {default: null}\n"
    write(tmp_path, {"compozy.yaml": config, "workflows/a.yaml": text})
    project = load(tmp_path, KEY="sk-hidden-2")
    definition = snapshot(project, "hello-world")
    assert json.loads(json.dumps(definition)) == definition
    assert WorkflowConfig.model_validate(definition["workflow"]) == project.workflow("hello-world").config
    assert [provider["id"] for provider in definition["providers"]] == ["a", "c"]
    assert "hidden" not in str(definition)
    locate = locate_from(definition)(("tasks", 0, "prompt"))
    assert locate is not None
    assert str(locate(13)) == "workflows/a.yaml:6:27"
    assert locate_from(definition)(("output", "greeting")) is not None


def test_definition_uses_the_default_provider(tmp_path: Path) -> None:
    text = HELLO.replace("    agent:\n      llm: openai\n", "")
    write(tmp_path, {"compozy.yaml": QDRANT + PROVIDERS, "workflows/a.yaml": text})
    assert [each["id"] for each in snapshot(load(tmp_path), "hello-world")["providers"]] == ["a", "c"]
