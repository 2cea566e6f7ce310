"""The same workflows on SQLite and PostgreSQL have the same states, tasks and journal, and each step once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import free_port
from tests.harness.stores import Store, open_store

DRIVERS = ("sqlite", "postgres")
RESPONSES: dict[str, Any] = {
    "one": {"text": "first ü \u0000 😀", "usage": {"input_tokens": 3, "output_tokens": 2}},
    "two": {"text": "second", "delay_ms": 2000},
    "slow": {"text": "never", "delay_ms": 600_000},
    "bad": {"error": "boom"},
    "check": {"text": '{"z": 1, "a": [1.5, null, {"deep": true}]}'},
}
TWO: dict[str, Any] = {
    "tasks": [
        {"id": "one", "prompt": 'hello {{ .input.name | default "World" }}'},
        {"id": "two", "prompt": "after {{ .tasks.one.output.text }}"},
    ],
    "output": {"last": "{{ .tasks.two.output.text }}", "first": "{{ .tasks.one.output.text }}"},
}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "good": TWO,
    "checked": {"tasks": [{"id": "check", "prompt": "a"}, {"id": "pass", "with": {"all": "{{ .input }}"}}]},
    "bad": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "bad", "prompt": "b"}, {"id": "two", "prompt": "c"}]},
    # On any machine, its first task answers long before the time limit, and its second does not.
    "late": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "slow", "prompt": "b"}]},
    "lost": {"tasks": [{"id": "one", "prompt": "{{ .input.none.deeper }}"}]},
}
# In an order that no database produces by itself.
INPUT: dict[str, Any] = {"z": "ü \u0000 😀", "name": "Ada", "a": [1, 1.5, 1e300, None, True, {"b": {}}], "": "é"}
# Parts that differ between runs: the time of a model's answer.
_TIMES = frozenset({"timestamp"})


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a project on a database of each driver."""
    with open_store(request.param, tmp_path / "project") as opened:
        _write(opened)
        yield opened


def test_the_same_workflows_leave_the_same_log(commands: Commands, tmp_path: Path) -> None:
    """Runs that succeed, fail in a model, fail in a template, time out, or are cut and resumed."""
    logs: list[dict[str, Any]] = []
    for driver in DRIVERS:
        with open_store(driver, tmp_path / driver) as store:
            _write(store)
            said = _run_all(commands, store)
            logs.append({"said": said, **_read_log(store)})
            assert store.damage() == []
    ours, theirs = logs
    assert ours == theirs
    # The compared logs contain the expected results of these runs.
    assert {run: state["status"] for run, state in ours["runs"].items()} == {
        "good": "SUCCESS",
        "checked": "SUCCESS",
        "bad": "FAILED",
        "lost": "FAILED",
        "late": "TIMED_OUT",
        "cut": "SUCCESS",
    }
    assert ours["runs"]["checked"]["input"] == INPUT
    assert list(ours["runs"]["checked"]["input"]) == list(INPUT)
    assert "boom" in ours["runs"]["bad"]["error"]["message"]
    assert [row[1] for row in ours["journal"]["cut"]] == [row[1] for row in ours["journal"]["good"]]


@pytest.mark.usefixtures("port_of_file")
def test_commands_and_a_server_started_together(commands: Commands, store: Store) -> None:
    """The owner of a file executes, and the others hand it their runs. On a server they share them. Each step once."""
    started = [commands.start(store.home, "workflow", "run", "good", "--id", f"r{number}") for number in range(2)]
    server = commands.start(store.home, "start")
    started += [commands.start(store.home, "workflow", "run", "good", "--id", f"s{number}") for number in range(2)]
    for command in started:
        done = command.wait()
        assert (done.status, done.out.splitlines()[0]) == (0, "Workflow 'good' completed successfully"), done.err
    server.until(lambda: "listening" in server.out)
    server.send(signal.SIGTERM)
    assert server.wait().status == 0
    assert store.query("SELECT status, owner FROM workflow_states") == [("SUCCESS", None)] * 4
    assert store.query("SELECT status, attempts FROM task_states") == [("SUCCESS", 1)] * 8
    assert store.query("SELECT DISTINCT status FROM {journal}workflow_status") == [("SUCCESS",)]
    repeated = "SELECT workflow_uuid, function_name FROM {journal}operation_outputs GROUP BY 1, 2 HAVING count(*) <> 1"
    assert store.query(repeated) == []
    assert store.query("SELECT executor_id FROM executors") == []


def _write(store: Store) -> None:
    write_project(store.home, WORKFLOWS, responses=RESPONSES, database=store.section, server={"port": free_port()})


def _run_all(commands: Commands, store: Store) -> list[tuple[int, str]]:
    """Execute everything and return the output."""
    asked = [
        ("good", "good", "--input", '{"name": "Ada"}'),
        ("checked", "checked", "--input", json.dumps(INPUT)),
        ("bad", "bad"),
        ("lost", "lost", "--input", "{}"),
        ("late", "late", "--timeout", "6s"),
    ]
    done = [commands.run(store.home, "workflow", "run", name, "--id", run_id, *more) for name, run_id, *more in asked]
    cut = commands.start(store.home, "workflow", "run", "good", "--id", "cut")
    waits = "SELECT status FROM task_states WHERE workflow_exec_id = 'cut' AND task_id = 'two'"
    cut.until(lambda: store.query(waits) == [("RUNNING",)])
    cut.send(signal.SIGTERM)
    done += [cut.wait(), commands.run(store.home, "workflow", "run", "good", "--id", "cut")]
    assert [each.status for each in done] == [0, 0, 1, 1, 1, 143, 0], done
    return [(each.status, each.out + each.err) for each in done]


def _read_log(store: Store) -> dict[str, Any]:
    """Return the stored rows of every run, without process IDs and times."""
    columns = "workflow_exec_id, workflow_id, status, owner, journal_format, parent_exec_id"
    columns += ", input, output, error, usage, definition"
    runs = store.query(f"SELECT {columns} FROM workflow_states")
    task_columns = "workflow_exec_id, task_id, position, execution_type, status, attempts, input, output, error, usage"
    tasks = store.query(f"SELECT {task_columns} FROM task_states ORDER BY 1, 3")
    steps = store.query(
        "SELECT workflow_uuid, function_id, function_name, output, error FROM {journal}operation_outputs ORDER BY 1, 2"
    )
    ends = store.query("SELECT workflow_uuid, status, name, output, error FROM {journal}workflow_status ORDER BY 1")
    names = columns.split(", ")
    return {
        "runs": {row[0]: {name: _value(value) for name, value in zip(names, row, strict=True)} for row in runs},
        "tasks": [tuple(_value(value) for value in row) for row in tasks],
        "journal": {
            run: [tuple(map(_value, row[1:])) for row in steps if row[0] == run] for run in {r[0] for r in steps}
        },
        "ends": [tuple(_value(value) for value in row) for row in ends],
    }


def _value(stored: Any) -> Any:
    """Return stored JSON as a value without its times, and other values unchanged."""
    if not isinstance(stored, str) or stored[:1] not in {"{", "["}:
        return stored
    return _without_times(json.loads(stored))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "TIME" if key in _TIMES else _without_times(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_without_times(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value
