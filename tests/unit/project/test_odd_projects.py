"""Projects with many features, deep nesting or random content."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loadedprojects import QUICKSTART, load, write
from tests.harness.flows import EVERY_KIND, PROJECT

from compozy.errors import ProjectError, SourceLocation
from compozy.project.definition import snapshot
from compozy.project.load import load_project
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.places import locate_from

ODD = st.binary(max_size=120) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace"))
SNIPPETS = """\
a: 1|- x|id: a|tasks:|  - id: b|    prompt: '{{ .tasks.b.output.text }}'|    prompt: "{{ if"|${|}|llm:|  providers:
    - id: b|      fallback: b|      responses: {b: c}|<<: *a|database:|  driver: sqlite|  path: x|x: &a 1|y: *a|? [
{|[|"|'|z: >|!!int x|output: {}|input:|  type: object|  $ref: '#'|\t|\0|---|#|:|autoload:
  include: ['**', '../*', '[', '']
workflows:|  - source: .|resource: x
"""
PIECES = st.lists(st.sampled_from(re.split(r"[|\n]", SNIPPETS)), max_size=14).map(
    lambda lines: "\n".join(lines).encode()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ODD | PIECES, ODD | PIECES, ODD)
def test_no_file_breaks_the_loader(tmp_path: Path, config: bytes, workflow: bytes, env: bytes) -> None:
    (tmp_path / "workflows").mkdir(exist_ok=True)
    (tmp_path / "compozy.yaml").write_bytes(config)
    (tmp_path / "workflows/w.yaml").write_bytes(workflow)
    (tmp_path / ".env").write_bytes(env)
    with suppress(ProjectError):
        load(tmp_path)


def test_a_pipe_among_the_workflows_is_reported(tmp_path: Path) -> None:
    (tmp_path / "compozy.yaml").write_text(QUICKSTART)
    (tmp_path / "workflows").mkdir()
    os.mkfifo(tmp_path / "workflows/pipe.yaml")
    with pytest.raises(ProjectError) as caught:
        load_project(None, cwd=tmp_path, environ={})
    assert str(caught.value) == "workflows/pipe.yaml: this is not a regular file (replace it with a file, or delete it)"


def test_every_kind_of_task_at_its_best(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": PROJECT, "workflows/every-kind.yaml": EVERY_KIND})
    project = load(tmp_path)
    kept = snapshot(project, "every-kind")
    assert kept["workflow"]["config"] == {
        "timeout": 60.0,
        "retry_policy": {"maximum_attempts": 2, "initial_interval": 2.0},
    }
    # Every prompt has a provider, also in nested tasks and routes. The run can reach both.
    tasks = kept["workflow"]["tasks"]
    assert tasks[0]["agent"] == {"llm": "s"}
    assert tasks[2]["routes"]["any"]["agent"] == {"llm": "s"}
    assert tasks[3]["tasks"][0]["agent"] == {"llm": "t"}
    assert tasks[4]["task"]["agent"] == {"llm": "s"}
    assert {provider["id"] for provider in kept["providers"]} == {"s", "t"}
    assert WorkflowConfig.model_validate(kept["workflow"]).tasks[4].id == "each"
    # Templates and expressions have their locations.
    places = kept["source"]["places"]
    assert {
        "env/TONE",
        "tasks/4/filter",
        "tasks/4/task/prompt",
        "tasks/2/routes/any/prompt",
        "tasks/5/condition",
    } <= set(places)
    locate = locate_from(kept)(("tasks", 4, "filter"))
    assert locate is not None
    line = EVERY_KIND.splitlines().index("    filter: row != 'c' && index >= 0") + 1
    assert locate(4) == SourceLocation(file="workflows/every-kind.yaml", line=line, col=17)


def test_nesting_to_the_limit(tmp_path: Path) -> None:
    task: dict[str, Any] = {"id": "t0"}
    for depth in range(1, 30):
        task = {"id": f"t{depth}", "type": "composite", "tasks": [task]}
    write(
        tmp_path,
        {
            "compozy.yaml": PROJECT + "limits: {max_nesting_depth: 30}\n",
            "workflows/deep.yaml": json.dumps({"id": "deep", "tasks": [task]}),
        },
    )
    assert snapshot(load(tmp_path), "deep")["workflow"]["tasks"] == [task]
