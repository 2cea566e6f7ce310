"""Agents, actions, schemas and tasks that are defined once and referred to by ID."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.processes import Commands
from tests.harness.projects import query
from tests.harness.servers import API, free_port, start_server

PROJECT = """\
name: demo
database: {{driver: sqlite, path: ./data/compozy.db}}
server: {{port: {port}}}
llm:
  providers:
    - {{id: s, type: scripted, responses: {responses}}}
    - {{id: other, type: scripted, responses: [{{text: other}}]}}
"""
CLERK = """\
resource: agent
id: clerk
description: Answers letters.
llm: s
instructions: "You work for {{ .workflow.input.company }}."
actions:
  - id: summarize
    prompt: "Summarize: {{ .input.text }}"
    input: {type: object, properties: {text: {type: string}, length: {type: integer, default: 3}}, required: [text]}
    output: summary
  - id: rate
    prompt: "Rate {{ .input.text }} of {{ .tasks.first.output.title }}"
"""
SUMMARY = """\
resource: schema
id: summary
type: object
properties: {title: {type: string}, parent: {$ref: summary}, stars: {$ref: stars.yaml}}
required: [title]
"""
LETTERS = """\
id: letters
input:
  type: object
  properties:
    company: {type: string, default: Acme}
    text: {type: string, default: Dear}
    how: {type: string, default: rate}
tasks:
  - {id: first, agent: clerk, action: summarize, with: {text: "{{ .input.text }} Sir"}}
  - {id: second, agent: clerk, action: "{{ .input.how }}", with: {text: "{{ .tasks.first.output.title }}"}}
  - {id: third, type: reference, target: closing, with: {name: Bob}}
output: {title: "{{ .tasks.first.output.title }}", second: "{{ .tasks.second.output }}"}
"""
RESPONSES: dict[str, Any] = {
    "first": {"json": {"title": "A", "parent": {"title": "B"}, "stars": 4}},
    "second": {"text": '{"title": "C"}'},
    "third": {"text": "Bye"},
}


def write(folder: Path, *, responses: Any = RESPONSES, **files: str) -> Path:
    """Write the project. `files` replaces or adds files, named with `__` for a slash."""
    texts = {
        "agents/clerk.yaml": CLERK,
        "schemas/summary.yaml": SUMMARY,
        "schemas/stars.yaml": "id: stars\ntype: integer\nmaximum: 5\n",
        "tasks/closing.yaml": "id: closing\nagent: clerk\nprompt: 'Goodbye {{ .input.name }}'\nwith: {name: Ada}\n",
        "workflows/letters.yaml": LETTERS,
        "compozy.yaml": PROJECT.format(port=free_port(), responses=json.dumps(responses)),
        **{name.replace("__", "/") + ".yaml": text for name, text in files.items()},
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def tasks_of(cli: RunCli, run: str) -> dict[str, dict[str, Any]]:
    document = json.loads(cli("workflow", "get", run, "--format", "json").out)
    return {task["path"]: task for task in document["tasks"]}


def test_an_agent_answers_by_its_actions(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)
    assert cli("config", "validate").out == "compozy.yaml is valid: project 'demo', 1 workflow\n"

    done = cli("workflow", "run", "letters", "--id", "a", "--quiet", "--format", "json")

    assert done.status == 0, done.err
    assert json.loads(done.out)["output"] == {
        "title": "A",
        "second": {"text": '{"title": "C"}', "response": '{"title": "C"}'},
    }
    tasks = tasks_of(cli, "a")
    # The input has the defaults of the action's schema. Both agents read the input of the workflow.
    assert tasks["first"]["input"] == {
        "with": {"text": "Dear Sir", "length": 3},
        "prompt": "Summarize: Dear Sir",
        "instructions": "You work for Acme.",
    }
    assert tasks["second"]["input"]["prompt"] == "Rate A of A"
    assert tasks["second"]["input"]["action"] == "rate"
    # Keys of the reference replace those of the shared task.
    assert tasks["third"]["input"]["prompt"] == "Goodbye Bob"


def test_an_action_that_is_chosen_at_run_time_keeps_its_schemas(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)

    done = cli("workflow", "run", "letters", "--id", "a", "-i", "how=summarize", "--quiet", "--format", "json")

    assert json.loads(done.out)["output"]["second"] == {"title": "C"}
    assert tasks_of(cli, "a")["second"]["input"]["with"] == {"text": "A", "length": 3}


def test_an_unknown_action_fails_the_task(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)

    done = cli("workflow", "run", "letters", "-i", "how=summarise")

    assert done.status == 1
    assert "task 'second': agent 'clerk' has no action 'summarise'" in done.err
    assert "did you mean 'summarize'?" in done.err


def test_the_input_of_an_action_is_checked_before_the_model_is_asked(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, workflows__letters=LETTERS.replace('Sir"}', 'Sir", length: many}'))

    done = cli("workflow", "run", "letters", "--id", "a")

    assert (
        "the input of task 'first' does not match its schema: length: expected a whole number, got 'many'" in done.err
    )
    assert "usage" not in tasks_of(cli, "a")["first"] or not tasks_of(cli, "a")["first"]["usage"]


def test_a_failing_template_is_located_in_the_file_of_the_agent(cli: RunCli, tmp_path: Path) -> None:
    write(
        tmp_path,
        agents__clerk=CLERK.replace('{{ .input.text }}"\n    input', '{{ .workflow.input.missing.x }}"\n    input'),
    )

    done = cli("workflow", "run", "letters")

    assert done.status == 1
    assert "agents/clerk.yaml:8:" in done.err


def test_the_agents_of_a_workflow_hide_shared_ones(cli: RunCli, tmp_path: Path) -> None:
    own = "id: own\nagents: [{id: clerk, llm: other}]\ntasks: [{id: ask, agent: clerk, prompt: Hi}]\n"
    write(tmp_path, workflows__own=own)

    done = cli("workflow", "run", "own", "--quiet", "--format", "json")

    assert json.loads(done.out)["tasks"][0]["output"]["text"] == "other"


def test_an_invalid_agent_affects_the_workflows_that_use_it(cli: RunCli, tmp_path: Path) -> None:
    own = "id: own\ntasks: [{id: ask, agent: {llm: other}, prompt: Hi}]\n"
    write(tmp_path, agents__clerk=CLERK.replace("llm: s", "llm: nobody"), workflows__own=own)

    assert cli("workflow", "run", "own").status == 0
    refused = cli("workflow", "run", "letters")

    assert refused.status == 5
    assert "agents/clerk.yaml:4:6: llm: unknown provider 'nobody'" in refused.err


def test_resources_are_listed_with_their_files(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)

    shown = json.loads(cli("config", "show", "--format", "json").out)["resources"]

    assert {(row["kind"], row["id"], row["location"]) for row in shown} == {
        ("workflow", "letters", "workflows/letters.yaml:1:5"),
        ("agent", "clerk", "agents/clerk.yaml:2:5"),
        ("schema", "summary", "schemas/summary.yaml:2:5"),
        ("schema", "stars", "schemas/stars.yaml:1:5"),
        ("task", "closing", "tasks/closing.yaml:1:5"),
    }


def test_the_file_of_an_agent_cannot_be_run(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)

    assert "'agents/clerk.yaml' holds a shared agent, not a workflow" in cli("workflow", "run", "agents/clerk.yaml").err


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_in_progress_is_not_affected_by_an_edit(commands: Commands, tmp_path: Path, kill: signal.Signals) -> None:
    waits = LETTERS.replace("  - {id: second", "  - {id: pause, type: wait, wait_for: go}\n  - {id: second")
    write(tmp_path, workflows__letters=waits)
    server = start_server(commands, tmp_path)
    server.ask("POST", f"{API}/workflows/letters/executions", {"execution_id": "a"})
    server.command.until(
        lambda: query(tmp_path, "SELECT 1 FROM task_states WHERE task_id = 'pause' AND status <> 'PENDING'") != []
    )
    (tmp_path / "agents/clerk.yaml").write_text(CLERK.replace("Rate", "Reject").replace("You work", "Nobody works"))
    (tmp_path / "schemas/summary.yaml").write_text("id: summary\ntype: object\nrequired: [other]\n")
    (tmp_path / "tasks/closing.yaml").unlink()
    (tmp_path / "workflows/letters.yaml").write_text("id: letters\ntasks: [{id: first}]\n")
    server.command.send(kill)
    server.command.wait()
    (tmp_path / "compozy.yaml").write_text(PROJECT.format(port=server.port, responses=json.dumps(RESPONSES)))
    (tmp_path / "workflows/unused.yaml").write_text(
        "id: unused\ntasks: [{id: first, prompt: x}, {id: second, prompt: x}, {id: third, prompt: x}]\n"
    )
    start_server(commands, tmp_path, port=server.port)
    commands.run(tmp_path, "workflow", "signal", "a", "go")
    done = commands.run(tmp_path, "workflow", "get", "a", "--wait", "--format", "json")

    document = json.loads(done.out)
    assert document["status"] == "SUCCESS", done.out
    tasks = {task["path"]: task["input"] for task in document["tasks"]}
    assert tasks["second"]["prompt"] == "Rate A of A"
    assert tasks["second"]["instructions"] == "You work for Acme."
    assert tasks["third"]["prompt"] == "Goodbye Bob"
