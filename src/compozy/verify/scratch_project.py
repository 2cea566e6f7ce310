"""The project that is verified: a workflow whose prompts contain the answers of earlier steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compozy.verify.answers import prompt_of

NAME = "verify"
WORKFLOW = "verify"
# The steps whose answers are the output of a run, and the steps before each of them.
STEPS: dict[str, tuple[str, ...]] = {"first": (), "left": ("first",), "right": ("first",), "last": ("left", "right")}
# Runs that a process executes concurrently.
CONCURRENCY = 20

_RUN = "{{ .workflow.input.run }}"
_TEXTS = {
    "first": "{{ .tasks.first.output.text }}",
    "left": "{{ .tasks.both.output.left.output.text }}",
    "right": "{{ .tasks.both.output.right.output.text }}",
    "last": "{{ .tasks.last.output.text }}",
}


def write_project(folder: Path, *, driver: str, model_url: str) -> Path:
    """Write the project into a folder and return its file. Processes get the database from their environment."""
    provider = {"id": "answers", "type": "openai", "base_url": model_url, "model": "verify", "api_key": "none"}
    project = {
        "name": NAME,
        "database": {"driver": driver},
        "llm": {"providers": [provider]},
        "runtime": {"max_concurrent_workflows": CONCURRENCY},
        "workflows": [{"source": "verify.yaml"}],
    }
    file = folder / "compozy.yaml"
    file.write_text(json.dumps(project), encoding="utf-8")
    (folder / "verify.yaml").write_text(json.dumps(_workflow()), encoding="utf-8")
    return file


def _workflow() -> dict[str, Any]:
    tasks = {step: _task(step) for step in STEPS}
    both = {"id": "both", "type": "parallel", "tasks": [tasks["left"], tasks["right"]]}
    return {"id": WORKFLOW, "tasks": [tasks["first"], both, tasks["last"]], "output": _TEXTS}


def _task(step: str) -> dict[str, str]:
    return {"id": step, "prompt": prompt_of(_RUN, step, *(_TEXTS[before] for before in STEPS[step]))}
