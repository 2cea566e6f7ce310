"""Options and settings of `compozy workflow run`: IDs, time limits, providers, databases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.conftest import RunCli
from tests.harness.projects import DATABASE, RESPONSES, WORKFLOWS, check_consistent, query, states, write_project
from tests.integration.cli.printed import normal


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the scripted project, in the folder that `cli` works in."""
    return write_project(tmp_path)


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
