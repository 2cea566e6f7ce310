"""Small projects with a scripted model. Their files are written as JSON, which is valid YAML."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATABASE = {"driver": "sqlite", "path": "./data/compozy.db"}
# A minute: longer than any test lasts.
SLOW_MS = 60_000
RESPONSES: dict[str, Any] = {
    "one": {"text": "first", "usage": {"input_tokens": 3, "output_tokens": 2}},
    "two": {"text": "second"},
    "slow": {"text": "late", "delay_ms": SLOW_MS},
    "bad": {"error": "boom"},
}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "two": {
        "tasks": [
            {"id": "one", "prompt": 'hello {{ .input.name | default "World" }}'},
            {"id": "two", "prompt": "after {{ .tasks.one.output.text }}"},
        ],
        "output": {"last": "{{ .tasks.two.output.text }}"},
    },
    "bad": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "bad", "prompt": "b"}, {"id": "two", "prompt": "c"}]},
    "slow": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "slow", "prompt": "b"}]},
    "echo": {"tasks": [{"id": "pass", "with": {"all": "{{ .input }}"}}]},
}


def write_project(
    folder: Path,
    workflows: Mapping[str, Mapping[str, Any]] = WORKFLOWS,
    *,
    responses: Any = RESPONSES,
    **sections: Any,
) -> Path:
    """Write a project named `demo` into `folder` and return the folder. `sections` replace sections of compozy.yaml."""
    if responses is RESPONSES:
        # A response that no task requests is an error.
        asked = {task["id"] for workflow in workflows.values() for task in workflow["tasks"]}
        responses = {task: response for task, response in RESPONSES.items() if task in asked} or [{"text": "any"}]
    project = {
        "name": "demo",
        "database": DATABASE,
        "llm": {"providers": [{"id": "s", "type": "scripted", "responses": responses}]},
        **sections,
    }
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    (folder / "compozy.yaml").write_text(json.dumps(project, ensure_ascii=False), encoding="utf-8")
    for name, workflow in workflows.items():
        text = json.dumps({"id": name, **workflow}, ensure_ascii=False)
        (folder / f"workflows/{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def query(folder: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query, [] if the project's database or the table does not exist."""
    path = folder / "data/compozy.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def states(folder: Path) -> list[tuple[str, str | None]]:
    """Return state and owner of every run."""
    return query(folder, "SELECT status, owner FROM workflow_states ORDER BY created_ms, workflow_exec_id")


def task_states(folder: Path, run_id: str | None = None) -> list[tuple[str, str]]:
    """Return name and state of every task, or of the tasks of one run."""
    rows: Sequence[tuple[str, str, str]] = query(
        folder, "SELECT task_id, status, workflow_exec_id FROM task_states ORDER BY workflow_exec_id, position"
    )
    return [(task, status) for task, status, owner in rows if run_id in {None, owner}]


def check_consistent(folder: Path) -> None:
    """Check that tables and journal agree, that each step is recorded once, and that no process is still registered."""
    journal = dict(query(folder, "SELECT workflow_uuid, status FROM workflow_status"))
    words = {"SUCCESS": "SUCCESS", "FAILED": "SUCCESS", "CANCELED": "CANCELLED", "TIMED_OUT": "CANCELLED"}
    for run_id, status, owner in query(folder, "SELECT workflow_exec_id, status, owner FROM workflow_states"):
        if status in words:
            assert journal.get(run_id, words[status]) == words[status], (run_id, status)
            assert owner is None
        else:
            assert journal.get(run_id, "PENDING") in {"PENDING", "ENQUEUED"}, (run_id, status)
    repeated = query(
        folder,
        "SELECT workflow_uuid, function_name, count(*) FROM operation_outputs GROUP BY 1, 2 HAVING count(*) > 1",
    )
    assert repeated == []
    assert query(folder, "SELECT executor_id FROM executors") == []
    assert query(folder, "PRAGMA integrity_check") == [("ok",)]
    assert query(folder, "PRAGMA foreign_key_check") == []
