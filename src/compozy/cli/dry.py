"""`compozy workflow run --dry-run`: what a run would do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from compozy.cli.output import print_json, print_line
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.task.template_context import TemplateContext
from compozy.workflow.dry import dry_run
from compozy.workflow.places import locate_from
from compozy.workflow.start import check_input

_TEXTS = ("condition", "items", "with", "wait_for", "signal", "instructions", "prompt")


def show_dry_run(project: LoadedProject, workflow_id: str, given: Any, *, as_json: bool) -> int:
    """Print what a run of a workflow with the input `given` would do, and return the exit code.

    Raises:
        NotFoundError: the project has no such workflow.
        UsageError: the input is no object.
        SchemaMismatchError: it does not match the schema.
    """
    workflow = project.workflow(workflow_id).config
    value = check_input(workflow, given)
    context = TemplateContext(
        workflow={"id": workflow_id, "input": value, "status": "RUNNING"},
        project={"id": project.name, "name": project.name},
        input=value,
        locate=locate_from(snapshot(project, workflow_id)),
    )
    document = dry_run(workflow, context)
    if as_json:
        print_json(document)
        return 0
    print_line(f"{workflow_id} would run with {json.dumps(value, ensure_ascii=False)}")
    for line in _lines(document["tasks"], ""):
        print_line(line)
    return 0


def _lines(tasks: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for number, task in enumerate(tasks, start=1):
        after = ", ".join(_words_of(edge) for edge in task.get("follows", ()))
        kind = f" ({task['kind']})" if task["kind"] else ""
        yield f"{indent}{number}. {task['id']}{kind}" + (f"  {after}" if after else "")
        for key in _TEXTS:
            if key in task:
                yield from _text(key, task[key], f"{indent}   ")
        yield from _lines(task.get("tasks", []), f"{indent}   ")


def _text(key: str, value: Any, indent: str) -> Iterator[str]:
    first, *more = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).splitlines() or [""]
    yield f"{indent}{key}: {first}"
    yield from (f"{indent}{' ' * len(key)}  {line}" for line in more)


def _words_of(edge: dict[str, Any]) -> str:
    words = f"{edge['when']} → {edge['task'] or 'end'}".strip()
    return words if "is_taken" not in edge else f"{words} ({'taken' if edge['is_taken'] else 'not taken'})"
