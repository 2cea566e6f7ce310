"""Input of `compozy workflow run`: flags, files, standard input, and its schema."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.conftest import RunCli
from tests.harness.projects import WORKFLOWS, states, write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project, in the folder that `cli` works in."""
    return write_project(tmp_path)


# Input.


def echoed(cli: RunCli, *arguments: str) -> Any:
    done = cli("workflow", "run", "echo", "--format", "json", *arguments)
    assert done.status == 0, done
    document = json.loads(done.out)
    assert json.dumps(document["output"]["pass"]["all"]) == json.dumps(document["input"])
    return document["input"]


VALUES = [
    {},
    {"b": 1, "a": [1.5, None, True, {"ü": "🎈"}]},
    {"nul": "a\0b", "": "", "\x7f": "\u2028\x1b[31m"},
    {"big": 2**70, "long": "x" * 200_000},
]


@pytest.mark.parametrize("way", ["argument", "file", "file with a mark", "stdin"])
@pytest.mark.parametrize("value", VALUES, ids=["empty", "nested", "odd text", "large"])
def test_every_way_to_pass_input(
    cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch, way: str, value: Any
) -> None:
    text = json.dumps(value)
    if way == "argument":
        found = echoed(cli, "--input", text)
    elif way == "stdin":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        found = echoed(cli, "-i", "-")
    else:
        (project / "in ü.json").write_text(text, encoding="utf-8-sig" if way == "file with a mark" else "utf-8")
        found = echoed(cli, "--input=@in ü.json")
    assert found == value
    assert list(found) == list(value)


def test_half_a_character_is_stored_and_shown_as_json(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"fixed": {"tasks": [{"id": "pass", "with": {"a": 1}}]}})
    for way in ((), ("--format", "json")):
        done = cli("workflow", "run", "fixed", "--id", "it", *way, "--input", '{"half": "\\ud800"}')
        assert (done.status, done.err) == (0, "")
    assert json.loads(done.out)["input"] == {"half": "\ud800"}
    assert '"half": "\\ud800"' in done.out


def test_no_input_is_an_empty_object(cli: RunCli, project: Path) -> None:
    assert echoed(cli) == {}


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the input from --input is not JSON: Expecting value"),
        ("{'a': 1}", "is not JSON: Expecting property name enclosed in double quotes"),
        ('{"a": 1} x', "is not JSON: Extra data"),
        ('{"a": NaN}', "is not JSON: NaN is not a JSON value"),
        ('{"a": -Infinity}', "is not JSON: -Infinity is not a JSON value"),
        ('{"a": 1e999}', "is not JSON: the number 1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", f"is not JSON: the number {'9' * 40}... is too large"),
        ('{"a": 1e' + "9" * 600 + "}", f"is not JSON: the number 1e{'9' * 38}... is too large"),
        ('{"b": {"a": 1, "c": 2, "a": 1}}', "is not JSON: the key 'a' appears twice in one object"),
        (nested(101), "is not JSON: nested deeper than 100 levels"),
        (nested(200_000), "is not JSON: nested too deeply"),
        ("[1]", "the input of a workflow is a JSON object, got [1]"),
        ("null", ""),
        ('"text"', "the input of a workflow is a JSON object, got 'text'"),
        ("@", "cannot read the input file '.': Is a directory"),
        ("@none.json", "cannot read the input file 'none.json': No such file or directory"),
        ("@a\0b", "cannot read the input file"),
        ("@latin.json", "the input from latin.json is not UTF-8 text"),
        ("@large.json", "the input from large.json is larger than 10 MiB"),
    ],
    ids=lambda text: text[:20],
)
def test_invalid_input(cli: RunCli, project: Path, text: str, message: str) -> None:
    (project / "latin.json").write_bytes('{"a": "ü"}'.encode("latin-1"))
    with (project / "large.json").open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    done = cli("workflow", "run", "echo", "--input", text)
    assert done.status == (2 if message else 0), done
    assert message in done.err
    assert len(done.err) < 500
    assert (project / "data").exists() == (not message)


def test_stdin_that_is_too_large(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * (10 * 1024 * 1024 + 1))))
    done = cli("workflow", "run", "echo", "--input", "-")
    assert (done.status, "the input from stdin is larger than 10 MiB" in done.err) == (2, True)


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "World"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 7}}}},
    },
    "required": ["age"],
    "additionalProperties": False,
}


def test_misspelled_input_keys_are_named(cli: RunCli, tmp_path: Path) -> None:
    schema = {key: value for key, value in SCHEMA.items() if key != "additionalProperties"}
    write_project(tmp_path, {"echo": {**WORKFLOWS["echo"], "input": schema}})
    done = cli("workflow", "run", "echo", "--input", '{"age": 1, "nmae": "Ada", "tags": [{"n": 1, "xyz": 2}]}')
    assert done.status == 0
    assert [line for line in done.err.splitlines() if line.startswith("warning")] == [
        "warning: the input schema of workflow 'echo' does not list 'nmae' (did you mean 'name'?)",
        "warning: the input schema of workflow 'echo' does not list 'tags[0].xyz'",
    ]
    quiet = cli("workflow", "run", "echo", "--input", '{"age": 1, "nmae": "Ada"}', "--quiet")
    assert "warning" not in quiet.err


def test_a_schema_adds_defaults_and_names_invalid_values(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"echo": {**WORKFLOWS["echo"], "input": SCHEMA}})
    assert echoed(cli, "--input", '{"age": 1, "tags": [{}]}') == {"age": 1, "tags": [{"n": 7}], "name": "World"}
    done = cli("workflow", "run", "echo", "--input", '{"name": 5, "tags": [{"n": "x"}], "more": 1}')
    assert (done.status, done.out) == (2, "")
    assert done.err == snapshot("""\
Error: the input does not match the schema of workflow 'echo':
  input: missing key 'age'
  input: unknown key 'more'
  name: expected a string, got 5
  tags[0].n: expected a whole number, got 'x'
  pass it with --input='{...}', --input=@file.json or --input=-
""")
    as_json = cli("workflow", "run", "echo", "--format", "json")
    problems = json.loads(as_json.out)["error"]["details"]["problems"]
    assert (as_json.status, problems) == (2, snapshot([{"path": "", "message": "missing key 'age'"}]))
    assert len(states(tmp_path)) == 1
