"""Kills a run at every commit, lets the next process resume it, and checks the result.

The program is imported once, and each attempt is a forked child that runs the real command line. To run it alone:

    python -m tests.harness.kills FOLDER [--driver sqlite|postgres] [--first N] [--every K] [--mutant NAME]

On PostgreSQL the next process does not know immediately that the previous one is dead. The lease is shortened, the next
process waits until it has expired, and one more process follows, like another worker.

It prints one JSON document with the kills and all errors.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.eventlog import find_log_errors
from tests.harness.forks import (
    die_at_commit,
    die_at_step,
    fork,
    import_program,
    shorten_leases,
    wait_for_file,
    write_to,
)
from tests.harness.killed_memories import MEMORY_CHECKS, MEMORY_WORKFLOWS, write_recall
from tests.harness.ledger import TOOL_ROUNDS, serve_ledger
from tests.harness.mutants import MUTANTS
from tests.harness.stores import Store, open_store

WORKFLOWS = {
    "tasks": """\
id: three
tasks:
  - {id: one, prompt: "first question"}
  - {id: two, prompt: "second question after {{ .tasks.one.output.text }}"}
  - {id: three, prompt: "third question after {{ .tasks.two.output.text }}"}
output:
  last: "{{ .tasks.three.output.text }}"
""",
    "tools": """\
id: three
tasks:
  - id: work
    prompt: "third question"
    max_concurrent_tools: 4
    tools:
      - {id: look, run: "../effects.py:look", runtime: python-inprocess, effect: retry}
      - {id: pay, run: "../effects.py:pay", runtime: python-inprocess, effect: once}
output:
  last: "third question: {{ .tasks.work.output.text }}"
""",
    "agents": """\
id: three
agents:
  - id: payer
    max_concurrent_tools: 4
    tools:
      - {id: look, run: "../effects.py:look", runtime: python-inprocess, effect: retry}
      - {id: pay, run: "../effects.py:pay", runtime: python-inprocess, effect: once}
tasks:
  - {id: work, prompt: "third question", sub_agents: [payer]}
output:
  last: "third question: {{ .tasks.work.output.text }}"
""",
    **MEMORY_WORKFLOWS,
}
# The third request asks a person, who is another process.
WORKFLOWS["budget"] = WORKFLOWS["tasks"].replace("tasks:", "budget: {max_requests: 2}\ntasks:", 1)
# Number of model requests of a run.
_REQUESTS = {"tasks": 3, "budget": 3, "tools": TOOL_ROUNDS + 1, "agents": TOOL_ROUNDS + 3, "memory": 6, "recall": 4}
_TASKS = {
    "tasks": ("one", "two", "three"),
    "budget": ("one", "two", "three", "budget:1"),
    "tools": ("work",),
    "agents": ("work", "call-0-0-0-payer"),
    "memory": ("one", "note", "two", "three", "tidy"),
    "recall": ("one", "two", "three", "four"),
}
EFFECTS = """\
import os
from pathlib import Path


def note(line):
    with open(Path(__file__).parent / "effects.txt", "a") as file:
        file.write(line + "\\n")
        file.flush()
        os.fsync(file.fileno())


def look(n: int, ctx) -> int:
    note(f"look {ctx.idempotency_key}")
    return n


def pay(amount: int, ctx) -> str:
    note(f"pay {ctx.idempotency_key}")
    return f"paid {amount}"
"""
PROJECT = """\
version: "1.0"
name: kills
database: {database}
runtime: {{allow_inprocess: true}}
memories:
  - {{id: chat, type: buffer}}
  - {{id: brief, type: message_count_based, max_messages: 4, flushing: {{type: hybrid_summary}}}}
  - {{id: long, flushing: {{type: hybrid_summary, summary_tokens: 100}}}}
llm:
  providers:
    - {{id: ledger, type: openai, base_url: "http://127.0.0.1:{port}/v1", model: m, api_key: none}}
"""
_STEPS = "SELECT function_name FROM {journal}operation_outputs ORDER BY function_id"
LEASE_S = 2.0
RUN_ID = "the-run"
_LONGEST_ANSWER_S = 120.0
COMMAND = ["workflow", "run", "three", "--id", RUN_ID, "--format", "json", "--quiet"]


@dataclass
class Kill:
    """One attempt: killed at commit `number` (0 is not killed), and the state afterwards."""

    number: int
    when: str = ""
    killed: bool = False
    steps_before: list[str] = field(default_factory=list[str])
    resumed_s: float = 0.0
    faults: list[str] = field(default_factory=list[str])


def main() -> None:
    """Run the attempts and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--driver", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--workflow", choices=sorted(WORKFLOWS), default="tasks", help="what is run")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="break the program on purpose")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty: name a new folder, or delete it")
    ledger = folder / "ledger.txt"
    server = fork(serve_ledger, ledger, folder / "port")
    try:
        port = wait_for_file(folder / "port")
        import_program()
        if arguments.mutant is not None:
            MUTANTS[arguments.mutant]()
        series = _Series(folder=folder, ledger=ledger, port=port, driver=arguments.driver, workflow=arguments.workflow)
        kills = list(_kill_everywhere(series, arguments.first, arguments.every))
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    print(json.dumps({"kills": [asdict(kill) for kill in kills]}))


@dataclass(frozen=True, kw_only=True)
class _Series:
    """The folder and options of the attempts of one call."""

    folder: Path
    ledger: Path
    port: str
    driver: str
    workflow: str

    def asked(self) -> Counter[str]:
        """Number of model requests by prompt."""
        return Counter(self.ledger.read_text().splitlines())


def _kill_everywhere(series: _Series, first: int, every: int) -> Iterator[Kill]:
    number = first
    while True:
        with open_store(series.driver, series.folder / f"kill-{number}") as store:
            kill = _attempt(series, store, number)
        yield kill
        if not kill.killed:
            # The run ended before that many commits: every kill point was tried.
            return
        number += every


def _attempt(series: _Series, store: Store, number: int) -> Kill:
    kill = Kill(number=number, when="before" if number % 2 else "after")
    home = store.home
    _write_project(home, series.port, store.section, series.workflow)
    if series.workflow == "recall":
        write_recall(store, series.port)
    series.ledger.write_text("")
    answering = fork(_answer, home) if series.workflow == "budget" else 0
    victim = fork(_run, home, number, series.workflow)
    status = os.waitpid(victim, 0)[1]
    kill.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not kill.killed:
        kill.faults += [] if status == 0 else [f"the run that was not killed ended with status {status}"]
        _finish_answer(answering, kill)
        _check(store, series, kill)
        return kill
    kill.steps_before = [str(name) for (name,) in store.query(_STEPS)]
    counted = series.asked()
    began_s = time.monotonic()
    _resume(home, kill)
    kill.resumed_s = time.monotonic() - began_s
    if series.driver == "postgres":
        time.sleep(LEASE_S)
        _resume(home, kill)
    _finish_answer(answering, kill)
    _check(store, series, kill)
    _check_recorded_once(kill, counted, series.asked())
    return kill


def _resume(home: Path, kill: Kill) -> None:
    status = os.waitpid(fork(_run, home, 0, ""), 0)[1]
    if status != 0:
        kill.faults.append(f"the next process ended with status {status}: {(home / 'err').read_text()[-500:]}")


def _answer(home: Path) -> None:
    """Raise the budget as soon as the run asks, whichever process executes it."""
    from compozy.cli.main import run

    os.chdir(home)
    write_to(home, "answer-out", "answer-err")
    until_s = time.monotonic() + _LONGEST_ANSWER_S
    while (status := run(["workflow", "approve", RUN_ID, "--add-requests", "1"])) != 0 and time.monotonic() < until_s:
        time.sleep(0.1)
    os._exit(status)


def _finish_answer(answering: int, kill: Kill) -> None:
    if answering and os.waitpid(answering, 0)[1] != 0:
        kill.faults.append("the question was never answered")


def _run(home: Path, kill_at: int, workflow: str) -> None:
    from compozy.cli.main import run

    os.chdir(home)
    shorten_leases(LEASE_S)
    write_to(home, "out", "err")
    if kill_at and workflow == "budget":
        # While it waits it renews its lease, so the number of its commits is not fixed; that of its steps is.
        die_at_step((".request", ".ask", ".end"), (kill_at + 1) // 2, "before" if kill_at % 2 else "after")
    elif kill_at:
        die_at_commit(kill_at)
    status = run(COMMAND)
    sys.stdout.flush()
    os._exit(status)


def _check(store: Store, series: _Series, kill: Kill) -> None:
    """Check the end: one result, tables and journal agree, no effect is lost or happens more than once more."""
    try:
        document = json.loads((store.home / "out").read_text())
    except ValueError:
        kill.faults.append("no JSON document on stdout")
        return
    if document.get("status") != "SUCCESS" or "third question" not in str(document.get("output")):
        kill.faults.append(f"the run ended as {document}")
    asked, requests = series.asked(), _REQUESTS[series.workflow]
    if len(asked) != requests or sum(asked.values()) > requests + 1:
        kill.faults.append(f"the model was asked {dict(asked)}")
    if series.workflow == "budget":
        _check_budget(store, kill)
    if series.workflow in MEMORY_WORKFLOWS:
        kill.faults += MEMORY_CHECKS[series.workflow](store)
    if series.workflow in {"tools", "agents"} and document.get("status") == "SUCCESS":
        _check_effects(store, str(document["output"]["last"]).removeprefix("third question: "), kill)
    # Requests of a conversation have the same name.
    repeated = (
        "SELECT function_name FROM {journal}operation_outputs WHERE function_name NOT LIKE '%.model.request' "
        "GROUP BY 1 HAVING count(*) > 1"
    )
    expected = [(task, "SUCCESS") for task in _TASKS[series.workflow]]
    checks: dict[str, tuple[object, object]] = {
        "workflow_states": (store.query("SELECT status, owner FROM workflow_states"), [("SUCCESS", None)]),
        "task_states": (store.query("SELECT task_id, status FROM task_states ORDER BY position"), expected),
        "journal": (store.query("SELECT workflow_uuid, status FROM {journal}workflow_status"), [(RUN_ID, "SUCCESS")]),
        "steps recorded twice": (store.query(repeated), []),
        "executors left": (store.query("SELECT executor_id FROM executors"), []),
        "queues left": (store.query("SELECT name FROM {journal}queues"), []),
        "event log": (find_log_errors(store), []),
        "integrity": (store.damage(), []),
    }
    kill.faults += [f"{what}: {found}" for what, (found, right) in checks.items() if found != right]


def _check_budget(store: Store, kill: Kill) -> None:
    """Check that one answer raised the budget once, and that every answered request is counted once."""
    raised = store.query("SELECT path, requests FROM budget_raises")
    if raised != [("budget:1", 1)]:
        kill.faults.append(f"the budget was raised by {raised}")
    [(spent,)] = store.query("SELECT sum(requests) FROM model_costs")
    if spent is None or int(spent) != _REQUESTS["budget"]:
        kill.faults.append(f"{spent} requests are counted")


def _check_effects(store: Store, answer: str, kill: Kill) -> None:
    """Check the effects of the tools: no payment twice, none reported without one, at most one unknown per kill."""
    effects = Counter((store.home / "effects.txt").read_text().splitlines())
    paid = {key: count for key, count in effects.items() if key.startswith("pay ")}
    looked = [count for key, count in effects.items() if key.startswith("look ")]
    results: list[str] = json.loads(answer)
    unknown = [result for result in results if result.startswith("The outcome of this call is unknown")]
    reported = [result for result in results if result not in unknown]
    names = sorted(str(name) for (name,) in store.query(_STEPS))
    # The task that calls the tools: `work`, or the agent that it calls.
    path = next(name for name in names if name.endswith("pay.begin")).partition(".")[0]
    expected = [f"{path}.tools", f"{path}.end", *[f"{path}.model.request"] * (TOOL_ROUNDS + 1)]
    if path != "work":
        expected += ["work.tools", "work.end", *["work.model.request"] * 2, "work.tool.0.0.cp__call_agent"]
    for turn in range(TOOL_ROUNDS):
        expected += [f"{path}.tool.{turn}.{call}" for call in ("0.look", "1.look", "2.look", "3.pay", "3.pay.begin")]
    checks: dict[str, tuple[object, object]] = {
        "paid twice": ([key for key, count in paid.items() if count > 1], []),
        "reported payments": (reported, [f"paid {turn}" for turn in range(TOOL_ROUNDS) if f"paid {turn}" in reported]),
        "payments that were made": (len(reported) <= len(paid) <= TOOL_ROUNDS, True),
        "unknown outcomes": (len(unknown) <= int(kill.killed), True),
        "looks": (len(looked), 3 * TOOL_ROUNDS),
        "steps": (names, sorted(expected)),
    }
    kill.faults += [f"{what}: {found}" for what, (found, right) in checks.items() if found != right]


def _check_recorded_once(kill: Kill, before: Counter[str], after: Counter[str]) -> None:
    """Check that no model request is repeated whose answer was recorded when the process died."""
    recorded = sum(name.endswith("model.request") for name in kill.steps_before)
    for prompt in list(before)[:recorded]:
        if after[prompt] != before[prompt]:
            kill.faults.append(f"recorded, and asked again: {prompt}")


def _write_project(home: Path, port: str, section: dict[str, Any], workflow: str) -> None:
    (home / "workflows").mkdir(parents=True)
    (home / "compozy.yaml").write_text(PROJECT.format(port=port, database=json.dumps(section)))
    (home / "workflows/three.yaml").write_text(WORKFLOWS[workflow])
    (home / "effects.py").write_text(EFFECTS)


if __name__ == "__main__":
    main()
