"""`compozy workflow run`, `list` and `get` in this process: results, exit codes, stdout and stderr."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.conftest import RunCli
from tests.harness.projects import DATABASE, RESPONSES, WORKFLOWS, check_consistent, query, states, write_project

ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECONDS = re.compile(r"\b\d+\.\ds\b")


def normal(text: str) -> str:
    """Return `text` without the parts that differ between runs."""
    return SECONDS.sub("0.0s", TIME.sub("TIME", ID.sub("ID", text)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project, in the folder that `cli` works in."""
    return write_project(tmp_path)


def test_a_run_prints_two_lines(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two")
    assert (done.status, done.err) == (0, "")
    assert done.out == 'Workflow \'two\' completed successfully\nResult: {"last": "second"}\n'
    check_consistent(project)


def test_a_run_as_json_is_one_document(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two", "--format", "json", "--id", "a", "--input", '{"name": "Ü"}')
    assert (done.status, done.err) == (0, "")
    document = json.loads(normal(done.out))
    assert document == snapshot(
        {
            "execution_id": "a",
            "workflow_id": "two",
            "status": "SUCCESS",
            "input": {"name": "Ü"},
            "output": {"last": "second"},
            "error": None,
            "usage": [{"provider": "s", "model": "scripted", "input_tokens": 3, "output_tokens": 2, "requests": 2}],
            "created_at": "TIME",
            "started_at": "TIME",
            "finished_at": "TIME",
            "journal_format": 1,
            "requested": None,
            "rerun_of": None,
            "origin": None,
            "trigger": {"type": "cli", "id": None, "by": None},
            "labels": {},
            "warnings": [],
            "fallbacks": [],
            "tasks": [
                {
                    "task_id": "one",
                    "path": "one",
                    "parent": None,
                    "type": "basic",
                    "status": "SUCCESS",
                    "attempts": 1,
                    "input": {"prompt": "hello Ü"},
                    "output": {"text": "first", "response": "first"},
                    "error": None,
                    "waits_for": None,
                    "signal_arrived": False,
                    "usage": [
                        {"input_tokens": 3, "output_tokens": 2, "requests": 1, "provider": "s", "model": "scripted"}
                    ],
                    "created_at": "TIME",
                    "started_at": "TIME",
                    "finished_at": "TIME",
                },
                {
                    "task_id": "two",
                    "path": "two",
                    "parent": None,
                    "type": "basic",
                    "status": "SUCCESS",
                    "attempts": 1,
                    "input": {"prompt": "after first"},
                    "output": {"text": "second", "response": "second"},
                    "error": None,
                    "waits_for": None,
                    "signal_arrived": False,
                    "usage": [
                        {"input_tokens": 0, "output_tokens": 0, "requests": 1, "provider": "s", "model": "scripted"}
                    ],
                    "created_at": "TIME",
                    "started_at": "TIME",
                    "finished_at": "TIME",
                },
            ],
        }
    )


def test_a_failed_run_names_task_cause_and_execution(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "bad")
    assert (done.status, done.out) == (1, "")
    assert normal(done.err) == snapshot("""\
Error: workflow 'bad' failed in task 'bad'
  provider 's' answered with its scripted error: boom
  execution ID
""")
    assert [status for status, _ in states(project)] == ["FAILED"]
    check_consistent(project)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            'type: collection, items: "{{ .input.l }}", task: {id: x, with: {n: 1}}',
            "workflows/odd.yaml:2:43: `items` is a list, a map, a whole number or JSON, got true",
        ),
        (
            'type: collection, items: [a, a], task: {id: "t-{{ .item }}", with: {n: 1}}',
            "workflows/odd.yaml:2:62: 1 task ID of the collection used more than once, such as 't-a'",
        ),
        (
            'type: composite, tasks: [{id: b, with: {n: "{{ div 1 .input.z }}"}}]',
            "its task 'b' failed: workflows/odd.yaml:2:64: error calling div: runtime error: integer divide by zero",
        ),
        (
            'type: parallel, tasks: [{id: b, with: {n: "{{ div 1 .input.z }}"}}]',
            "1 of 1 task inside it failed: 'b': workflows/odd.yaml:2:63:",
        ),
    ],
)
def test_an_error_in_a_container_is_reported_with_its_location(
    cli: RunCli, project: Path, task: str, told: str
) -> None:
    (project / "workflows/odd.yaml").write_text(f"id: odd\ntasks: [{{id: a, {task}}}]\n")
    done = cli("workflow", "run", "odd", "--input", '{"l": true, "z": 0}')
    assert done.status == 1
    assert done.err.splitlines()[1].startswith(f"  {told}")


def test_a_failed_run_as_json(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "bad", "-f", "json")
    assert (done.status, done.err) == (1, "")
    document = json.loads(done.out)
    assert (document["status"], document["output"]) == ("FAILED", None)
    assert document["error"] == snapshot(
        {
            "code": "model",
            "message": "provider 's' answered with its scripted error: boom",
            "details": {"provider": "s", "model": "scripted", "task": "bad"},
        }
    )
    assert [(task["task_id"], task["status"]) for task in document["tasks"]] == [("one", "SUCCESS"), ("bad", "FAILED")]


def test_lists_in_text(cli: RunCli, project: Path) -> None:
    assert normal(cli("workflow", "list").out) == snapshot("""\
WORKFLOW  TASKS  FILE                 NAME
bad       3      workflows/bad.yaml
echo      1      workflows/echo.yaml
slow      2      workflows/slow.yaml
two       2      workflows/two.yaml

No executions in ./data/compozy.db yet.
""")
    cli("workflow", "run", "two", "--id", "first")
    cli("workflow", "run", "bad", "--id", "second")
    done = cli("workflow", "list")
    assert (done.status, done.err) == (0, "")
    assert normal(done.out) == snapshot("""\
WORKFLOW  TASKS  FILE                 NAME
bad       3      workflows/bad.yaml
echo      1      workflows/echo.yaml
slow      2      workflows/slow.yaml
two       2      workflows/two.yaml

EXECUTION  WORKFLOW  STATUS   STARTED                   TIME
second     bad       FAILED   TIME  0.0s
first      two       SUCCESS  TIME  0.0s
""")
    assert "first" not in cli("workflow", "list", "--limit", "1").out


def test_lists_as_json(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first")
    document = json.loads(cli("workflow", "list", "--format=json").out)
    assert document["workflows"][-1] == snapshot(
        {"id": "two", "name": None, "description": None, "file": "workflows/two.yaml", "tasks": ["one", "two"]}
    )
    (run,) = document["executions"]
    assert (run["execution_id"], run["status"], run["trigger"]["type"]) == ("first", "SUCCESS", "cli")
    assert not {"tasks", "input", "output", "usage"} & set(run)
    (full,) = json.loads(cli("workflow", "list", "--format=json", "--full").out)["executions"]
    assert (full["output"], full["usage"][0]["requests"]) == ({"last": "second"}, 2)


def test_lists_are_filtered(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first", "--label", "team=ops", "--label", "env=prod")
    cli("workflow", "run", "bad", "--id", "second", "--label", "team=dev")

    def found(*options: str) -> list[str]:
        listed = cli("workflow", "list", "--format=json", *options)
        assert listed.status == 0, listed.err
        return [run["execution_id"] for run in json.loads(listed.out)["executions"]]

    assert found("--label", "team") == found("--trigger=cli") == found("--since=1h") == ["second", "first"]
    assert found("--label=team=ops") == found("--workflow=two") == found("--search=PROD") == ["first"]
    assert found("--search=boom", "--status=failed") == ["second"]
    assert found("--until=1h") == found("--started-by=ada") == found("--parent=first") == []
    refused = cli("workflow", "run", "two", "--label", "team")
    assert (refused.status, refused.err.splitlines()[0]) == (2, "Error: --label: expected NAME=VALUE, got 'team'")


def test_one_execution_in_text_and_as_json(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "first")
    shown = cli("workflow", "get", "first")
    assert (shown.status, shown.err) == (0, "")
    assert normal(shown.out) == snapshot("""\
Execution first
Workflow  two
Status    SUCCESS
Started   TIME
Time      0.0s

TASK  STATUS   ATTEMPTS  TIME  TOKENS  MODEL
one   SUCCESS  1         0.0s  3 + 2   s/scripted
two   SUCCESS  1         0.0s  0 + 0   s/scripted

Result: {"last": "second"}
""")
    ran = cli("workflow", "run", "two", "--id", "first", "--format", "json").out
    assert cli("workflow", "get", "first", "--format", "json").out == ran


def test_a_failed_execution_is_shown_with_status_1(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "bad", "--id", "it")
    shown = cli("workflow", "get", "it", "--wait")
    assert (shown.status, "boom" in shown.err, "FAILED" in shown.out) == (1, True, True)


def test_an_unknown_execution(cli: RunCli, project: Path) -> None:
    none_yet = cli("workflow", "get", "x")
    assert (none_yet.status, none_yet.out) == (2, "")
    assert none_yet.err == snapshot("""\
Error: no execution 'x': ./data/compozy.db has no runs yet
  run a workflow first: `compozy workflow run ID`
""")
    assert not (project / "data").exists()
    cli("workflow", "run", "two")
    unknown = cli("workflow", "get", "x")
    assert (unknown.status, unknown.err) == (
        2,
        snapshot("""\
Error: execution 'x' not found in this database
  list executions with `compozy workflow list`
"""),
    )


def test_an_unknown_workflow(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "tow")
    assert (done.status, done.out, done.err) == (
        2,
        "",
        snapshot("""\
Error: no workflow 'tow' in project 'demo'
  did you mean 'two'?
"""),
    )
    as_json = cli("workflow", "run", "tow", "--format", "json")
    assert (as_json.status, as_json.err) == (2, "")
    assert json.loads(as_json.out)["error"]["code"] == "not_found"
    assert not (project / "data").exists()


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
Error: the input does not fit the schema of workflow 'echo':
  input: missing key 'age'
  input: unknown key 'more'
  name: expected text, got 5
  tags[0].n: expected a whole number, got 'x'
  pass it with --input='{...}', --input=@file.json or --input=-
""")
    as_json = cli("workflow", "run", "echo", "--format", "json")
    problems = json.loads(as_json.out)["error"]["details"]["problems"]
    assert (as_json.status, problems) == (2, snapshot([{"path": "", "message": "missing key 'age'"}]))
    assert len(states(tmp_path)) == 1


# --id.


def test_the_same_id_twice_runs_once(cli: RunCli, project: Path) -> None:
    first = cli("workflow", "run", "two", "--id", "it", "--input", '{"name": "A"}', "--format", "json")
    steps = query(project, "SELECT * FROM operation_outputs")
    for arguments in ((), ("--input", '{"name": "A"}')):
        again = cli("workflow", "run", "two", "--id", "it", *arguments, "--format", "json")
        assert (again.status, again.out) == (0, first.out)
    assert query(project, "SELECT * FROM operation_outputs") == steps
    assert len(states(project)) == 1


def test_the_same_id_for_something_else_is_refused(cli: RunCli, project: Path) -> None:
    cli("workflow", "run", "two", "--id", "it", "--input", '{"name": "A"}')
    other_input = cli("workflow", "run", "two", "--id", "it", "--input", '{"name": "B"}')
    assert (other_input.status, other_input.err) == (
        2,
        snapshot("""\
Error: execution 'it' began with another input
  leave out --input to see that run, or choose another --id
"""),
    )
    other_workflow = cli("workflow", "run", "echo", "--id", "it")
    assert (other_workflow.status, other_workflow.err) == (
        2,
        snapshot("""\
Error: execution 'it' is a run of workflow 'two'
  choose another --id
"""),
    )
    assert [status for status, _ in states(project)] == ["SUCCESS"]


def test_the_id_of_a_run_whose_workflow_is_gone(cli: RunCli, project: Path) -> None:
    assert cli("workflow", "run", "two", "--id", "mine").status == 0
    (project / "workflows/two.yaml").unlink()
    known = cli("workflow", "run", "two", "--id", "mine")
    assert (known.status, known.out) == (2, "")
    assert known.err == snapshot("""\
Error: no workflow 'two' in project 'demo'
  execution 'mine' keeps its own copy: `compozy workflow get mine --wait` continues it
""")
    assert "this project has" in cli("workflow", "run", "two", "--id", "other").err
    assert cli("workflow", "get", "mine", "--wait").status == 0


def test_the_same_id_of_a_failed_run_shows_the_failure(cli: RunCli, project: Path) -> None:
    first = cli("workflow", "run", "bad", "--id", "it")
    again = cli("workflow", "run", "bad", "--id", "it")
    assert (again.status, again.err) == (1, first.err)


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "ü", "x" * 129, "a\n"])
def test_invalid_ids(cli: RunCli, project: Path, run_id: str) -> None:
    done = cli("workflow", "run", "two", "--id", run_id)
    assert (done.status, "an execution id has 1 to 128 letters" in done.err) == (2, True)
    assert not (project / "data").exists()


# Time.


def test_a_run_that_takes_too_long(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "slow", "--timeout", "500ms", "--id", "it")
    assert (done.status, done.out) == (1, "")
    assert done.err == snapshot("""\
Error: workflow 'slow' timed out
  it was not finished within its time limit
  execution it
""")
    assert states(project) == [("TIMED_OUT", None)]
    check_consistent(project)
    again = cli("workflow", "get", "it", "--wait", "--format", "json")
    assert (again.status, json.loads(again.out)["status"]) == (1, "TIMED_OUT")


def test_a_timeout_of_zero(cli: RunCli, project: Path) -> None:
    done = cli("workflow", "run", "two", "--timeout", "0")
    assert (done.status, "timed out" in done.err) == (1, True)
    check_consistent(project)


@pytest.mark.parametrize("flag", ["--timeout", "--wait-for-lock"])
@pytest.mark.parametrize("text", ["", "-1s", "soon", "1y", "nan", "inf", "9999999d", "1s 2"])
def test_invalid_timeouts(cli: RunCli, project: Path, flag: str, text: str) -> None:
    done = cli("workflow", "run", "two", f"{flag}={text}")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"Error: {flag}: ")
    assert not (project / "data").exists()


# Providers.


def with_key(fallback: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"id": "paid", "type": "openai", "api_key": "${MY_KEY}"}
    if fallback:
        asked["missing_key_fallback"] = fallback
    return {"providers": [asked, {"id": "s", "type": "scripted", "responses": RESPONSES}]}


def test_a_fallback_is_reported(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, llm=with_key("s"))
    done = cli("workflow", "run", "two")
    assert (done.status, done.out.splitlines()[-1]) == (0, 'Result: {"last": "second"}')
    assert done.err == snapshot("note: 's' (scripted) answered instead of 'paid': MY_KEY is not set\n")
    assert cli("--quiet", "workflow", "run", "two").err == ""
    as_json = cli("workflow", "run", "two", "--format", "json")
    assert json.loads(as_json.out)["fallbacks"] == snapshot(
        [
            {
                "task_id": "one",
                "path": "one",
                "provider": "paid",
                "answered_by": "s",
                "model": "scripted",
                "reason": "MY_KEY is not set",
            },
            {
                "task_id": "two",
                "path": "two",
                "provider": "paid",
                "answered_by": "s",
                "model": "scripted",
                "reason": "MY_KEY is not set",
            },
        ]
    )
    assert as_json.err == done.err


def test_a_missing_key_without_fallback_fails_the_run(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, llm=with_key(None))
    assert cli("config", "validate").status == 0
    done = cli("workflow", "run", "two")
    assert (done.status, done.out) == (1, "")
    assert normal(done.err) == snapshot("""\
Error: workflow 'two' failed in task 'one'
  provider 'paid' cannot be used: MY_KEY is not set
  set MY_KEY in the environment or in .env, or add `missing_key_fallback: <provider>` to provider 'paid'
  execution ID
""")
    assert states(tmp_path) == [("FAILED", None)]


def test_a_script_that_runs_out_is_an_error(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, responses=[{"text": "only one"}])
    done = cli("workflow", "run", "two")
    assert (done.status, normal(done.err)) == (
        1,
        snapshot("""\
Error: workflow 'two' failed in task 'two'
  the scripted provider 's' has 1 response in all, and task 'two' asked for number 2
  add a response to `responses`
  execution ID
"""),
    )


def test_a_template_that_finds_nothing_names_its_location(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"w": {"tasks": [{"id": "one", "prompt": "hello {{ .input.name }}"}]}})
    done = cli("workflow", "run", "w")
    assert (done.status, normal(done.err)) == (
        1,
        snapshot("""\
Error: workflow 'w' failed in task 'one'
  workflows/w.yaml:1:57: .input has no key "name"
  execution ID
"""),
    )


# Environment.


def test_the_project_is_named_before_or_after_the_command(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path / "a b/ü#?%41")
    file = str(tmp_path / "a b/ü#?%41/compozy.yaml")
    for arguments in (
        ("--config", file, "workflow", "run", "two"),
        ("workflow", "run", "two", f"--config={file}"),
        ("workflow", "run", "-c", "a b/ü#?%41", "two"),
        (f"--config={file}", "workflow", "list"),
    ):
        assert cli(*arguments).status == 0
    # The path of the database is relative to the project's folder, wherever the caller is.
    assert len(states(tmp_path / "a b/ü#?%41")) == 3
    assert not (tmp_path / "data").exists()


def test_another_database_by_flag(cli: RunCli, project: Path) -> None:
    for name in ("x y.db", "q?mode=memory#f.db", "%41.db", "'; --.db", "ü.db", "sub/er/x.db"):
        done = cli("workflow", "run", "two", "--db-path", name)
        assert done.status == 0, done
        assert (project / name).is_file()
        assert "SUCCESS" in cli("workflow", "list", "--db-path", name).out
    assert not (project / "data").exists()


def test_a_database_of_another_project(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("workflow", "run", "two").status == 0
    write_project(tmp_path, name="other")
    for command in (("workflow", "run", "two"), ("workflow", "list"), ("workflow", "get", "x")):
        done = cli(*command)
        assert (done.status, done.out) == (4, ""), command
        assert "belongs to the project 'demo', not to 'other'" in done.err
        assert "name: demo" in done.err


def test_errors_in_files_have_status_5(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"two": {"tasks": [{"id": "one", "promt": "x"}]}}, sever={"port": 1})
    for command in (("workflow", "run", "two"), ("workflow", "list"), ("config", "validate")):
        done = cli(*command)
        assert (done.status, done.out) == (5, ""), command
        assert re.sub(r":\d+:\d+:", ":L:C:", done.err) == snapshot("""\
compozy.yaml:L:C: unknown key 'sever' in compozy.yaml (did you mean 'server'?)
workflows/two.yaml:L:C: unknown key 'promt' in task 'one' (did you mean 'prompt'?)
Error: 2 problems found
""")
    document = json.loads(cli("workflow", "run", "two", "--format=json").out)
    assert [fault["file"] for fault in document["error"]["details"]["faults"]] == [
        "compozy.yaml",
        "workflows/two.yaml",
    ]
    assert not (tmp_path / "data").exists()


def test_a_resumed_run_keeps_its_definition_when_its_file_changes(cli: RunCli, project: Path) -> None:
    first = cli("workflow", "run", "two", "--id", "it", "--format", "json")
    write_project(project, {**WORKFLOWS, "two": {"tasks": [{"id": "other", "prompt": "x"}]}})
    assert cli("workflow", "get", "it", "--format", "json").out == first.out


def test_a_run_of_another_journal_format_is_listed_as_such(cli: RunCli, project: Path) -> None:
    import sqlite3

    cli("workflow", "run", "two", "--id", "it")
    with sqlite3.connect(project / "data/compozy.db") as connection:
        connection.execute("UPDATE workflow_states SET status = 'RUNNING', journal_format = 99, finished_ms = NULL")
    connection.close()
    listed = cli("workflow", "list")
    assert (listed.status, "journal format 99\n" in listed.out) == (0, True)
    assert listed.err == (
        "note: execution it was started with journal format 99; this Compozy only continues format 1. "
        "Finish it with the version that started it.\n"
    )
    waited = cli("workflow", "get", "it", "--wait")
    assert (waited.err.count("Finish it with the version that started it"), states(project)) == (2, [("RUNNING", None)])


def test_concurrency_is_a_setting(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, runtime={"max_concurrent_workflows": 1})
    assert cli("workflow", "run", "two").status == 0


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_both_kinds_of_sync(cli: RunCli, tmp_path: Path, synchronous: str) -> None:
    write_project(tmp_path, database={**DATABASE, "synchronous": synchronous})
    assert cli("workflow", "run", "two").status == 0
