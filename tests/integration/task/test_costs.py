"""Costs of runs: exact sums in every place that shows them."""

from __future__ import annotations

from compozy.database.costs import CostFilter, costs_of_runs, keep_costs
from compozy.model.price import PriceConfig
from compozy.workflow.costs import cost_sums
from compozy.workflow.documents import read_run
from compozy.workflow.requests import list_requests
from tests.harness.runs import Flows

# An answer of the harness has 2 + 1 tokens: 7 + 11 millionths of a dollar.
PRICE = PriceConfig(input=3.5, output=11)
ONE = 18


async def test_ten_branches_cost_exactly_ten_requests(flows: Flows) -> None:
    flows.answers.price = PRICE
    children = ", ".join(f"{{id: t{number}, agent: {{id: writer}}, prompt: p{number}}}" for number in range(10))
    ran = await flows.run(f"tasks: [{{id: all, type: parallel, tasks: [{children}]}}]")
    run_id = ran.run.workflow_exec_id
    with flows.database.read() as connection:
        _, document = read_run(connection, run_id)
        sums = {group: cost_sums(connection, group, CostFilter()) for group in ("day", "agent", "model", "workflow")}
        runs = costs_of_runs(connection, [run_id])
    assert document["cost"] == 10 * ONE / 1_000_000
    assert document["unpriced_requests"] == 0
    assert [task["cost"] for task in document["tasks"]] == [None, *[ONE / 1_000_000] * 10]
    assert runs[run_id]["cost_micros"] == 10 * ONE
    for found in sums.values():
        assert found["total"]["cost"] == 10 * ONE / 1_000_000
        assert [(row["requests"], row["cost"]) for row in found["costs"]] == [(10, 10 * ONE / 1_000_000)]
    assert sums["agent"]["costs"][0]["agent"] == "writer"
    (end,) = [event for event in ran.events if event.path == "all/t3" and event.data.get("status") == "SUCCESS"]
    assert end.data["cost"] == ONE / 1_000_000
    assert [request["cost"] for request in list_requests(flows.database, run_id)] == [ONE / 1_000_000] * 10


async def test_an_unknown_price_is_not_zero(flows: Flows) -> None:
    ran = await flows.run("tasks: [{id: a, prompt: x}]")
    with flows.database.read() as connection:
        _, document = read_run(connection, ran.run.workflow_exec_id)
        total = cost_sums(connection, "day", CostFilter())["total"]
    for found in (document, document["tasks"][0], document["usage"][0], total):
        assert (found["cost"], found["unpriced_requests"]) == (None, 1)


async def test_costs_of_a_deleted_run_remain_in_the_sums(flows: Flows) -> None:
    flows.answers.price = PRICE
    first, second = [await flows.run("tasks: [{id: a, prompt: x}, {id: b, prompt: y}]") for _ in range(2)]
    for ran in (first, second):
        with flows.database.write() as connection:
            keep_costs(connection, [ran.run.workflow_exec_id])
            before = cost_sums(connection, "workflow", CostFilter())["total"]
            connection.rollback()
        assert before["cost"] == 6 * ONE / 1_000_000
