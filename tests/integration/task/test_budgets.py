"""Budgets: what they admit, the one question of a run, and its answers."""

from __future__ import annotations

import pytest

from compozy.database.costs import CostFilter
from compozy.database.database import Database
from compozy.errors import ConflictError, SchemaMismatchError
from compozy.model.price import PriceConfig
from compozy.workflow.costs import cost_sums
from compozy.workflow.operate import approve
from tests.harness.runs import Answers, Flows, Ran, check_run, flowing

# An answer of the harness has 2 + 1 tokens: 7 + 11 millionths of a dollar.
PRICE = PriceConfig(input=3.5, output=11)
ONE = 18
BRANCHES = ", ".join(f"{{id: t{number}, agent: {{max_tokens: 1}}, prompt: p{number}}}" for number in range(10))


def _ten(budget: str) -> str:
    return f"budget: {budget}\ntasks: [{{id: all, type: parallel, tasks: [{BRANCHES}]}}]"


def _cost(database: Database) -> float:
    with database.read() as connection:
        return cost_sums(connection, "day", CostFilter())["total"]["cost"]


def _states(ran: Ran, path: str | None = None) -> list[str]:
    return [event.data["state"] for event in ran.events if event.kind == "budget" and event.path == path]


async def test_ten_branches_ask_one_question_and_cost_exactly_ten_requests(flows: Flows) -> None:
    flows.answers.price = PRICE
    run_id = await flows.start(_ten("{max_requests: 4}"))
    ran = await flows.until(run_id, lambda ran: ran.states.get("budget:1") == "WAITING" and ran.status == "WAITING")
    assert len(flows.answers.answered) == 4
    assert [path for path in ran.tasks if "budget" in path] == ["budget:1"]
    assert ran.tasks["budget:1"].output["budget"] == {
        "budget": "the run",
        "limit": "max_requests",
        "allowed": 4,
        "spent": 4,
        "estimate": 1,
    }
    with pytest.raises(SchemaMismatchError, match="add_requests"):
        await approve(flows.database, run_id, {"approve": True})
    await approve(flows.database, run_id, {"approve": True, "add_requests": 3})
    with pytest.raises(ConflictError, match="answer already"):
        await approve(flows.database, run_id, {"approve": True, "add_requests": 100}, task="budget:1")
    flows.runtime.wake()
    await flows.until(run_id, lambda ran: ran.states.get("budget:2") == "WAITING")
    assert len(flows.answers.answered) == 7
    await approve(flows.database, run_id, {"approve": True, "add_requests": 3})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert ran.status == "SUCCESS"
    assert sorted(flows.answers.answered) == sorted(f"p{number}" for number in range(10))
    assert _cost(flows.database) == 10 * ONE / 1_000_000
    assert _states(ran) == ["warning", "raised", "warning", "raised", "warning"]
    check_run(ran)


async def test_a_denied_budget_fails_its_tasks_and_on_error_works(flows: Flows) -> None:
    run_id = await flows.start("""
        budget: {max_requests: 1}
        tasks:
          - {id: a, prompt: one, on_success: {next: b}}
          - {id: b, prompt: two, on_error: {next: c}}
          - {id: c, with: {x: 1}}
    """)
    await flows.until_waiting(run_id, "budget:1")
    await approve(flows.database, run_id, {"approve": False})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert ran.states == {"a": "SUCCESS", "b": "FAILED", "budget:1": "SUCCESS", "c": "SUCCESS"}
    assert ran.tasks["b"].error is not None
    assert ran.tasks["b"].error["code"] == "budget"
    assert flows.answers.asked == ["one"]
    check_run(ran)


async def test_a_budget_that_fails_names_limit_and_amounts(flows: Flows) -> None:
    flows.answers.price = PRICE
    ran = await flows.run("""
        tasks:
          - id: a
            prompt: one
            agent: {max_tokens: 1}
            budget: {max_cost: 0.00003, on_exceeded: fail}
            retries: 3
            output: {type: object}
    """)
    assert ran.run.error is not None
    assert ran.run.error["code"] == "budget"
    assert "the budget of task 'a' is spent: `max_cost` is $0.000030" in ran.message
    assert ran.run.error["details"]["spent"] == ONE / 1_000_000
    # The repair of an answer that does not match is a request like others.
    assert len(flows.answers.asked) == 1
    check_run(ran)


async def test_an_inner_budget_can_only_be_lower(flows: Flows) -> None:
    ran = await flows.run("""
        budget: {max_requests: 1, on_exceeded: fail}
        tasks: [{id: a, prompt: one, budget: {max_requests: 5}}, {id: b, prompt: two, budget: {max_requests: 5}}]
    """)
    assert ran.run.error is not None
    assert ran.run.error["code"] == "budget"
    assert flows.answers.asked == ["one"]


async def test_a_model_without_a_price_is_refused_under_max_cost(flows: Flows) -> None:
    ran = await flows.run("budget: {max_cost: 1}\ntasks: [{id: a, prompt: one}]")
    assert "is not known" in ran.message
    assert flows.answers.asked == []


async def test_tool_free_and_model_free_tasks_pay_nothing(flows: Flows) -> None:
    ran = await flows.run("budget: {max_requests: 0, max_cost: 0}\ntasks: [{id: a, with: {x: 1}}]")
    assert ran.status == "SUCCESS"
    assert ran.steps == ["a.end"]


async def test_a_question_survives_the_process_and_the_run_costs_what_an_unbroken_one_costs(
    database: Database,
) -> None:
    answers = Answers()
    answers.price = PRICE
    async with flowing(database, answers=answers) as flows:
        run_id = await flows.start(_ten("{max_requests: 4}"))
        await flows.until_waiting(run_id, "budget:1")
    async with flowing(database, answers=answers) as flows:
        await flows.until_waiting(run_id, "budget:1")
    await approve(database, run_id, {"approve": True, "add_requests": 6})
    async with flowing(database, answers=answers) as flows:
        ran = await flows.ended(run_id)
    assert ran.status == "SUCCESS"
    assert len(answers.asked) == 10
    assert _cost(database) == 10 * ONE / 1_000_000
    assert [path for path in ran.tasks if "budget" in path] == ["budget:1"]
    check_run(ran)


async def test_a_limit_is_raised_while_another_branch_runs(flows: Flows) -> None:
    run_id = await flows.start("""
        tasks:
          - id: all
            type: parallel
            strategy: race
            tasks:
              - {id: a, prompt: one, budget: {max_requests: 0}}
              - {id: b, prompt: "hang: x"}
    """)
    await flows.until_waiting(run_id, "all/a/budget:1")
    # The run itself does not wait: a branch of it works.
    await flows.until(run_id, lambda ran: flows.answers.asked == ["hang: x"] and ran.status == "RUNNING")
    await approve(flows.database, run_id, {"approve": True, "add_requests": 1})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert (ran.status, flows.answers.answered, flows.answers.hung_up) == ("SUCCESS", ["one"], ["hang: x"])
    assert _states(ran, "all/a") == ["raised", "warning"]
    check_run(ran)


async def test_spending_stays_below_a_limit_if_answers_are_as_long_as_estimated(flows: Flows) -> None:
    flows.answers.price = PRICE
    limit = 100
    ran = await flows.run(_ten(f"{{max_cost: {limit / 1_000_000:.6f}, on_exceeded: fail}}"))
    assert ran.run.error is not None
    spent = round(_cost(flows.database) * 1_000_000)
    assert 0 < spent <= limit
    assert spent % ONE == 0


async def test_the_end_of_a_run_and_the_terminal_name_cost_and_command(flows: Flows) -> None:
    flows.answers.price = PRICE
    run_id = await flows.start("""
        budget: {max_requests: 1}
        tasks: [{id: a, prompt: one}, {id: b, prompt: two}]
    """)
    await flows.until_waiting(run_id, "budget:1")
    assert flows.watch.told[-1] == "budget:1 asks for add_requests"
    await approve(flows.database, run_id, {"approve": True, "add_requests": 1})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    end = [event for event in ran.events if event.kind == "workflow_status"][-1]
    assert end.data == {"status": "SUCCESS", "cost": 2 * ONE / 1_000_000}
