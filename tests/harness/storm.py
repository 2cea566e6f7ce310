"""A workflow with every type of task, nested, and the processes that `chaos.py` starts, signals and kills.

Its result depends neither on timing nor on the moment of a kill. A prompt contains the run and the path of the task, so
that the ledger and the journal can be compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compozy.database.database import Database
from compozy.project.loaded import LoadedProject
from tests.harness.forks import die_at_commit, die_at_step, shorten_leases, write_to
from tests.harness.ledger import FAIL, HANG
from tests.harness.mutants import MUTANTS
from tests.harness.stores import Store

SIGNAL = "go"
# Payloads that each run gets, in this order, for two tasks that wait for the same signal.
SIGNALS = (1, 2)
SLEEP_MS = 200
TIMEOUT_MS = 300
# Exit status of a sender whose run does not exist yet.
NOT_YET = 3
_RUN = "{{ .workflow.exec_id }}"
_NEVER = "never"


def _ask(path: str, *words: str) -> str:
    return " ".join((_RUN, path, *words))


def _then(task_id: str) -> dict[str, str]:
    return {"next": task_id}


WORKFLOW: dict[str, Any] = {
    "id": "storm",
    "tasks": [
        {"id": "first", "prompt": _ask("first"), "on_success": _then("fan")},
        {
            "id": "fan",
            "type": "parallel",
            "on_success": _then("shaky"),
            "tasks": [
                {
                    "id": "chain",
                    "type": "composite",
                    "tasks": [
                        {"id": "one", "prompt": _ask("fan/chain/one"), "sleep": f"{SLEEP_MS}ms"},
                        {"id": "two", "prompt": _ask("fan/chain/two")},
                    ],
                },
                {
                    "id": "each",
                    "type": "collection",
                    "items": ["a", "b", "c", "d", "e"],
                    "max_workers": 2,
                    "task": {
                        "id": "item-{{ .index }}",
                        "type": "composite",
                        "tasks": [
                            {"id": "ask", "prompt": _ask("fan/each/item-{{ .index }}/ask")},
                            {"id": "keep", "with": {"item": "{{ .item }}", "said": "{{ .tasks.ask.output.text }}"}},
                        ],
                    },
                },
                {"id": "inner", "type": "wait", "wait_for": "inner"},
                {
                    "id": "poke",
                    "type": "signal",
                    "signal": {"id": "inner", "execution": _RUN, "payload": {"from": "poke"}},
                },
            ],
        },
        {
            "id": "shaky",
            "prompt": _ask("shaky", FAIL),
            "config": {"retry_policy": {"initial_interval": "100ms", "maximum_attempts": 2}},
            "on_error": _then("route"),
        },
        {
            "id": "route",
            "type": "router",
            "condition": '{{ if eq .tasks.fan.output.inner.output.payload.from "poke" }}right{{ else }}wrong{{ end }}',
            "routes": {"right": "gate", "wrong": "astray"},
        },
        {"id": "astray", "final": True},
        {"id": "gate", "type": "wait", "wait_for": SIGNAL, "on_success": _then("gate_again")},
        {"id": "gate_again", "type": "wait", "wait_for": SIGNAL, "on_success": _then("late")},
        {"id": "late", "type": "wait", "wait_for": _NEVER, "timeout": f"{TIMEOUT_MS}ms", "on_timeout": "slow"},
        {"id": "slow", "prompt": _ask("slow", HANG), "timeout": f"{TIMEOUT_MS}ms", "on_error": _then("contest")},
        {
            "id": "contest",
            "type": "parallel",
            "strategy": "race",
            "on_success": _then("strict"),
            "tasks": [
                {"id": "quick", "prompt": _ask("contest/quick")},
                {"id": "loser", "type": "wait", "wait_for": _NEVER},
            ],
        },
        {
            "id": "strict",
            "type": "parallel",
            "strategy": "fail_fast",
            "on_error": _then("sum"),
            "tasks": [
                {"id": "wrong", "prompt": _ask("strict/wrong", FAIL)},
                {"id": "idle", "type": "wait", "wait_for": _NEVER},
            ],
        },
        {
            "id": "sum",
            "type": "aggregate",
            "outputs": {
                "gates": ["{{ .tasks.gate.output.payload.n }}", "{{ .tasks.gate_again.output.payload.n }}"],
                "items": "{{ .tasks.fan.output.each.output.results }}",
                "two": "{{ .tasks.fan.output.chain.output.two.output.text }}",
            },
        },
    ],
    "output": {"sum": "{{ .tasks.sum.output }}"},
}
# Number of model requests of an undisturbed run by the path of the task.
REQUESTS: dict[str, int] = {
    **dict.fromkeys(("first", "fan/chain/one", "fan/chain/two", "slow", "contest/quick", "strict/wrong"), 1),
    **{f"fan/each/item-{index}/ask": 1 for index in range(5)},
    "shaky": 2,
}
# The request that is never answered, so that it is never recorded.
UNANSWERED = "slow"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders of a worker, and how it is killed.

    Args:
        runs: the runs that it accepts.
        lease_s: its lease in seconds.
        kill_at: the point before or after a commit at which it is killed; 0 is never.
        kill_step: an ending of step names; `kill_at` then counts only the commits that record such steps, from 1.
        kill_when: the side of that commit, `before` or `after`.
        kill_after_s: the time after which it is killed; None is never.
        from_start: whether that time starts with the process, or when it is ready.
        mutant: the mutation of the program, see `mutants.py`.
    """

    runs: tuple[str, ...]
    lease_s: float
    kill_at: int = 0
    kill_step: str = ""
    kill_when: str = "before"
    kill_after_s: float | None = None
    from_start: bool = False
    mutant: str | None = None


def write_project(store: Store, port: str) -> None:
    """Write the project of `store`; its model is at `port`."""
    provider = {"id": "l", "type": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "model": "m", "api_key": "none"}
    project = {"version": "1.0", "name": "chaos", "database": store.section, "llm": {"providers": [provider]}}
    (store.home / "workflows").mkdir(parents=True)
    (store.home / "compozy.yaml").write_text(json.dumps(project))
    (store.home / "workflows/storm.yaml").write_text(json.dumps(WORKFLOW))


def make_tables(home: Path) -> None:
    """Create the project's database, in a child."""
    _, database = _open(home)
    _close(database)
    os._exit(0)


def work(home: Path, orders: Orders) -> None:
    """Accept missing runs, execute runs until all have ended, and exit gracefully. Runs in a child."""
    shorten_leases(orders.lease_s)
    if orders.mutant is not None:
        MUTANTS[orders.mutant]()
    if orders.from_start:
        _die(orders)
    project, database = _open(home)
    asyncio.run(_work(project, database, orders))
    _close(database)
    os._exit(0)


def send(home: Path, run_id: str, number: int) -> None:
    """Send one of its signals to a run twice, like a client that got no response the first time. Runs in a child."""
    from compozy.database.signals import Signal, send_signal
    from compozy.errors import NotFoundError

    project = _load(home)
    from compozy.database.database import open_database

    database = open_database(project.database)
    message = Signal(signal_id=f"{run_id}>{number}", workflow_exec_id=run_id, name=SIGNAL, payload={"n": number})
    try:
        with database.write() as connection:
            send_signal(connection, message)
        with database.write() as connection:
            assert not send_signal(connection, message)
    except NotFoundError:
        os._exit(NOT_YET)
    database.close()
    os._exit(0)


def _die(orders: Orders) -> None:
    if orders.kill_step:
        die_at_step(orders.kill_step, orders.kill_at, orders.kill_when)
    elif orders.kill_at:
        die_at_commit(orders.kill_at)
    if orders.kill_after_s is not None:
        timer = threading.Timer(orders.kill_after_s, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


async def _work(project: LoadedProject, database: Database, orders: Orders) -> None:
    from compozy.app import open_app
    from compozy.project.definition import snapshot
    from compozy.task.report import Silence
    from compozy.workflow.start import prepare_run, start_run

    config, definition = project.workflow("storm").config, snapshot(project, "storm")
    async with open_app(project, database, role="worker", report=Silence()) as app:
        if not orders.from_start:
            _die(orders)
        for run_id in orders.runs:
            await start_run(app.runtime, config, prepare_run(config, definition, None, execution_id=run_id))
            # Confirms to the client that its run was accepted.
            _append("accepted", run_id)
        # Including runs that ended just before a process died, whose end is missing in the journal.
        while app.runtime.in_hand() or not await _all_ended(database):  # noqa: ASYNC110 - a database sends no events
            await asyncio.sleep(0.05)


async def _all_ended(database: Database) -> bool:
    from compozy.database.executions import count_by_status

    return all(status.is_final for status in await database.read_async(count_by_status))


def _open(home: Path) -> tuple[LoadedProject, Database]:
    from compozy.log import configure_logging
    from compozy.storage import open_storage

    write_to(home, "out", f"err-{os.getpid()}", append=True)
    configure_logging("warn", as_json=False)
    project = _load(home)
    return project, open_storage(project, wait_for_lock_s=30.0)


def _load(home: Path) -> LoadedProject:
    from compozy.project.load import load_project

    os.chdir(home)
    return load_project(None, cwd=home, overrides={}, environ={})


def _close(database: Database) -> None:
    from compozy.storage import close_storage

    close_storage(database)


def _append(name: str, line: str) -> None:
    with Path(name).open("a") as file:
        file.write(f"{line}\n")
