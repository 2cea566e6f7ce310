"""A run that waits for a signal, and continues after it, for tests of moves."""

from __future__ import annotations

from compozy.database.database import Database
from compozy.database.executions import get_execution
from compozy.database.status import Status
from compozy.transfer.export import RunFilter, freeze_runs
from tests.harness.moves import export, load
from tests.harness.runs import Answers, check_run, flowing

WAITS = """
    tasks:
      - id: first
        prompt: "one {{ .input.n }}"
      - id: gate
        type: wait
        wait_for: go
        timeout: 1h
      - id: fan
        type: parallel
        tasks:
          - {id: left, prompt: "left {{ .tasks.gate.output.signal.payload.n }}"}
          - {id: right, with: {text: "ü \\u0000 😀"}}
      - id: last
        prompt: "last"
    output:
      first: "{{ .tasks.first.output.text }}"
      left: "{{ .tasks.fan.children.left.output.text }}"
    """
RESULT = {"first": "re: one 7", "left": "re: left 3"}


async def wait_at_gate(database: Database, run_id: str = "r") -> Answers:
    """Start a run and leave it at its gate, like a process that is stopped."""
    answers = Answers()
    async with flowing(database, answers=answers) as flows:
        await flows.start(WAITS, {"n": 7}, execution_id=run_id)
        await flows.until_waiting(run_id, "gate")
    return answers


async def finish(database: Database, run_id: str = "r") -> Answers:
    """Send the signal that the run waits for, and execute it to its end."""
    answers = Answers()
    async with flowing(database, answers=answers) as flows:
        await flows.signal(run_id, "go", {"n": 3})
        ran = await flows.ended(run_id)
        check_run(ran)
        assert (ran.status, ran.output) == (Status.SUCCESS, RESULT)
    return answers


def status_of(database: Database, run_id: str = "r") -> Status:
    """Return the state of a run."""
    with database.read() as connection:
        return get_execution(connection, run_id).status


def move(source: Database, target: Database) -> bytes:
    """Move the unfinished runs; return the document."""
    move_id, _ = freeze_runs(source, RunFilter())
    document = export(source, move_id=move_id)
    load(target, document)
    return document
