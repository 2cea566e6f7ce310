"""Random workflows, nested and failing: their stored rows are consistent, and the same after a restart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compozy.database.database import Database
from compozy.database.status import Status, may_follow
from compozy.task.status import container_status
from tests.harness.databases import migrated
from tests.harness.examples import examples
from tests.harness.runs import Answers, Ran, Watch, check_run, flowing

STRATEGIES = st.sampled_from(["wait_all", "fail_fast", "best_effort", "race"])
LEAVES: list[dict[str, Any]] = [
    {"prompt": "a"},
    {"prompt": "slow 0.01: a"},
    {"with": {"n": 1}},
    {"prompt": "fail: a"},
    {"prompt": "fail 1: a", "retries": 1, "config": {"retry_policy": {"initial_interval": 0.001}}},
    {"prompt": "hang: a", "timeout": 0.05},
    {"prompt": "a", "condition": "false"},
    {"with": {"x": "{{ .input.none }}"}},
]
# Every change of every row, noted by the database itself.
TRIGGERS = [
    "CREATE TABLE moves (number INTEGER PRIMARY KEY, id TEXT, old TEXT, new TEXT)",
    *(
        f"CREATE TRIGGER {table}_moves AFTER UPDATE OF status ON {table} WHEN OLD.status <> NEW.status "
        f"BEGIN INSERT INTO moves (id, old, new) VALUES (NEW.{key}, OLD.status, NEW.status); END"
        for table, key in (("task_states", "task_exec_id"), ("workflow_states", "workflow_exec_id"))
    ),
]


@st.composite
def task(draw: st.DrawFn, names: Iterator[str], depth: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(["leaf", "parallel", "collection", "composite"])) if depth < 3 else "leaf"
    found: dict[str, Any] = {"id": next(names)}
    if kind == "leaf":
        return found | draw(st.sampled_from(LEAVES))
    found["type"] = kind
    if kind == "collection":
        found |= {
            "items": draw(st.integers(0, 3)),
            "task": draw(task(names, depth + 1)),
            "batch": draw(st.integers(0, 2)),
        }
        found["mode"] = draw(st.sampled_from(["parallel", "sequential"]))
    else:
        found["tasks"] = [draw(task(names, depth + 1)) for _ in range(draw(st.integers(1, 3)))]
    if kind != "composite":
        found |= {"strategy": draw(STRATEGIES), "max_workers": draw(st.integers(0, 2))}
    if draw(st.integers(0, 4)) == 0:
        found["config"] = {"retry_policy": {"maximum_attempts": 2, "initial_interval": 0.001}}
    return found


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    names = (f"t{number}" for number in itertools.count())
    found: dict[str, Any] = {"tasks": [draw(task(names, 0)) for _ in range(draw(st.integers(1, 3)))]}
    if draw(st.booleans()):
        found["tasks"].append({"id": "handler", "with": {"code": "{{ .error.code }}"}})
        found["config"] = {"on_error": {"next": "handler"}}
    return found


def check_moves(database: Database, run_id: str) -> None:
    with database.read() as connection:
        moves = connection.execute(sa.text("SELECT id, old, new FROM moves ORDER BY number")).all()
    assert moves
    for row_id, old, new in moves:
        assert may_follow(Status(old), Status(new)), (row_id, old, new)
        assert row_id.startswith(run_id)


def check_containers(ran: Ran, document: dict[str, Any]) -> None:
    """The state of each container results from its strategy and the states of its tasks."""
    for found in _containers(document["tasks"]):
        for path, state in ran.tasks.items():
            # A child of a collection has its number after its name.
            if path.rpartition("/")[2] not in {found["id"], *(f"{found['id']}-{n}" for n in range(3))}:
                continue
            base = path if state.attempts < 2 else f"{path}@{state.attempts}"
            inside = [below.status for below in ran.tasks.values() if below.path.rpartition("/")[0] == base]
            if state.status in {Status.SUCCESS, Status.FAILED}:
                assert container_status(found["strategy"], inside) is state.status, (path, inside)


def _containers(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for found in tasks:
        if "strategy" in found:
            yield found
        yield from _containers(found.get("tasks", []) + ([found["task"]] if "task" in found else []))


async def run_and_cut(database: Database, document: dict[str, Any], cut_at: int) -> Ran:
    answers = Answers()
    async with flowing(database, answers=answers, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(document)
        ran = await flows.until(run_id, lambda ran: ran.status == "PAUSED" or ran.status.is_final)
        if ran.status.is_final:
            return await flows.ended(run_id)
    async with flowing(database, answers=answers) as flows:
        await flows.resume(run_id)
        return await flows.ended(run_id)


@settings(
    max_examples=examples(test=3, proof=25),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(document=workflows(), cut_at=st.integers(1, 12))
def test_stored_rows_of_any_workflow_are_consistent(document: dict[str, Any], cut_at: int) -> None:
    with migrated(":memory:") as database:
        with database.write() as connection:
            for statement in TRIGGERS:
                connection.execute(sa.text(statement))
        ran = asyncio.run(run_and_cut(database, document, cut_at))
        assert ran.status in {Status.SUCCESS, Status.FAILED}
        check_run(ran)
        check_moves(database, ran.run.workflow_exec_id)
        check_containers(ran, document)
