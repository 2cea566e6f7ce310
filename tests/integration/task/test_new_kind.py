"""A type of task that exists only in this file: one record, its model and its runner, registered in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from compozy.config.nodes import to_value
from compozy.config.parse import parse_yaml
from compozy.errors import ProjectError
from compozy.project.jsonschema import workflow_schema
from compozy.project.load import load_project
from compozy.task.kind import TaskKind
from compozy.task.options import TaskBase
from compozy.task.registry import KINDS, register
from compozy.task.template_context import TemplateContext, render_text
from compozy.task.tree import Outcome, Runner, RunTask, TaskCall
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.documents import workflow_document
from compozy.workflow.dry import dry_run
from compozy.workflow.graph import mermaid_of, tree_of
from tests.harness.runs import Flows, check_run


class ShoutTask(TaskBase):
    """Prints a text in capital letters."""

    type: Literal["shout"] = Field(description="Kind of task.")
    text: str = Field(min_length=1, description="What is said; a template.")


async def run_shout(call: TaskCall, task: ShoutTask, _: RunTask) -> Outcome:
    """Return the text in capital letters."""
    return Outcome(output={"said": render_text(task.text, (*call.yaml_path, "text"), call.context).upper()})


RUNNER = Runner(run=run_shout)
KIND = TaskKind(
    name="shout",
    model=ShoutTask,
    runner=__name__,
    page="/docs/workflows/tasks",
    texts=(("text",),),
    output_keys=frozenset({"said"}),
    shape=('(["', '"])'),
    dry_texts=(("text",),),
)
WORKFLOW = """\
id: loud
tasks:
  - {id: first, with: {word: hey}}
  - {id: all, type: parallel, tasks: [{id: cry, type: shout, text: "{{ .input.name }} {{ .tasks.first.output.word }}"}]}
output: {said: "{{ .tasks.all.output.cry.output.said }}"}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the kind, and remove it again."""
    register(KIND)
    WorkflowConfig.model_rebuild(force=True)
    yield
    del KINDS[KIND.name]
    register()
    WorkflowConfig.model_rebuild(force=True)


def read(text: str) -> WorkflowConfig:
    node = parse_yaml(text.encode(), file="w.yaml").node
    assert node is not None
    return WorkflowConfig.model_validate(to_value(node))


def load(folder: Path, workflow: str) -> None:
    (folder / "workflows").mkdir()
    (folder / "compozy.yaml").write_text("name: demo\ndatabase: {driver: sqlite, path: ./demo.db}\n")
    (folder / "workflows" / "loud.yaml").write_text(workflow)
    load_project(folder, cwd=folder, environ={})


async def test_it_runs(flows: Flows) -> None:
    ran = await flows.run(WORKFLOW.removeprefix("id: loud\n"), {"name": "ada"})
    assert ran.output == {"said": "ADA HEY"}
    assert ran.states == {"first": "SUCCESS", "all": "SUCCESS", "all/cry": "SUCCESS"}
    check_run(ran)


def test_it_is_checked_in_a_project(tmp_path: Path) -> None:
    load(tmp_path, WORKFLOW)


@pytest.mark.parametrize(
    ("found", "changed", "message"),
    [
        (".tasks.first", ".tasks.frist", "unknown task 'frist'"),
        ("text:", "txt:", "unknown key 'txt' in task 'cry'"),
        ("shout,", "shuot,", "wait, signal, workflow, memory or shout, got 'shuot'"),
    ],
)
def test_its_errors_are_reported(tmp_path: Path, found: str, changed: str, message: str) -> None:
    with pytest.raises(ProjectError) as error:
        load(tmp_path, WORKFLOW.replace(found, changed))
    assert message in "\n".join(fault.message for fault in error.value.diagnostics)


def test_it_is_drawn_and_listed() -> None:
    workflow = read(WORKFLOW)
    assert '(["cry (shout)"])' in mermaid_of(workflow)
    assert "cry (shout)" in tree_of(workflow)
    assert workflow_document(workflow, file="w.yaml")["tasks"] == ["first", "all"]
    context = TemplateContext(workflow={"id": "w"}, project={"name": "demo"}, input={"name": "ada"})
    cry = dry_run(workflow, context)["tasks"][1]["tasks"][0]
    assert (cry["kind"], cry["text"]) == ("shout", "ada ‹.tasks.first.output.word›")


def test_it_is_in_the_json_schema() -> None:
    schema = workflow_schema()
    assert "shout" in schema["$defs"]["Task"]["properties"]["type"]["enum"]
    assert schema["$defs"]["ShoutTask"]["properties"]["text"]["description"] == "What is said; a template."
    assert schema["$defs"]["ParallelTask"]["properties"]["tasks"]["items"]["$ref"] == "#/$defs/Task"
