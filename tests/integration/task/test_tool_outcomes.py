"""Approvals of tool calls, and calls that are interrupted or have an unknown outcome, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import ApprovalRule, RuntimeSettings
from compozy.database.database import Database
from compozy.errors import SchemaMismatchError
from compozy.tool.kind import ToolHome
from compozy.workflow.operate import approve
from tests.harness.runs import Answers, Flows, Ran, Watch, check_run, flowing
from tests.integration.task.functions import FUNCTIONS, paid_lines, rounds, said, tool, workflow


@pytest.fixture
def home(tmp_path: Path) -> ToolHome:
    """A project with the functions."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/functions.py").write_text(FUNCTIONS)
    return ToolHome(root=tmp_path / "project", environ={"PATH": "/bin"}, settings=RuntimeSettings(allow_inprocess=True))


@pytest.fixture
async def flows(database: Database, home: ToolHome) -> AsyncGenerator[Flows, None]:
    """Yield a runner of workflows with tools."""
    async with flowing(database, tools=home) as running:
        yield running


@pytest.mark.parametrize(
    ("answer", "result", "paid"),
    [
        ({"approve": True}, ["pay", "success", "paid 5.0"], ["5.0"]),
        ({"approve": True, "arguments": {"amount": 2}}, ["pay", "success", "paid 2.0"], ["2.0"]),
        ({"approve": False, "reason": "too much"}, ["pay", "denied", "a person denied this call: too much"], []),
    ],
    ids=["approved", "changed", "denied"],
)
async def test_a_call_waits_for_an_approval(
    flows: Flows, home: ToolHome, answer: dict[str, Any], result: list[str], paid: list[str]
) -> None:
    calls = rounds([("pay", {"amount": 5}), ("add", {"a": 1})])
    run_id = await flows.start(workflow(tool("pay", "approve: ask"), tool("add")), calls)
    waiting = await flows.until_waiting(run_id, "ask/approve-0-0-pay")
    # The other call of the same answer did not wait.
    await flows.until(run_id, lambda ran: "ask.tool.0.1.add" in ran.steps)
    form: dict[str, Any] = waiting.tasks["ask/approve-0-0-pay"].output["form"]
    assert form["description"] == 'The agent wants to call pay with {"amount": 5}'
    with pytest.raises(SchemaMismatchError, match=r"arguments\.amount: expected a number, got 'all'"):
        await approve(flows.database, run_id, {"approve": True, "arguments": {"amount": "all"}})
    await approve(flows.database, run_id, answer)
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert said(ran) == [result, ["add", "success", 2]]
    assert [line.split()[1] for line in paid_lines(home)] == paid
    assert ran.states["ask/approve-0-0-pay"] == "SUCCESS"
    check_run(ran)


async def test_an_approval_survives_the_process(database: Database, home: ToolHome) -> None:
    text = workflow(tool("pay", "effect: once", "approve: ask"))
    answers = Answers()
    async with flowing(database, tools=home, answers=answers) as flows:
        run_id = await flows.start(text, rounds([("pay", {"amount": 5})]))
        await flows.until_waiting(run_id, "ask/approve-0-0-pay")
    await approve(database, run_id, {"approve": True})
    async with flowing(database, tools=home, answers=answers) as flows:
        ran = await flows.ended(run_id)
    assert len(answers.asked) == 2
    assert said(ran) == [["pay", "success", "paid 5.0"]]
    assert len(paid_lines(home)) == 1
    check_run(ran)


async def test_conditions_decide_which_calls_wait(flows: Flows) -> None:
    rule = 'approve: {when: "input.amount > 100.0", timeout: 100ms}'
    ran = await flows.run(workflow(tool("pay", rule)), rounds([("pay", {"amount": 5}), ("pay", {"amount": 500})]))
    assert said(ran) == [
        ["pay", "success", "paid 5.0"],
        ["pay", "denied", "a person denied this call: not answered in time"],
    ]
    check_run(ran)


async def test_a_tool_that_is_denied_is_never_called(flows: Flows, home: ToolHome) -> None:
    ran = await flows.run(workflow(tool("pay", "approve: deny")), rounds([("pay", {"amount": 5})]))
    assert said(ran) == [["pay", "denied", "calls of 'pay' are not allowed here"]]
    assert paid_lines(home) == []


async def test_a_run_that_is_cut_anywhere_repeats_no_recorded_call(database: Database, home: ToolHome) -> None:
    calls = rounds([("slow", {"n": 0}), ("pay", {"amount": 1})], [("slow", {"n": 1}), ("slow", {"n": 2})])
    text = workflow(tool("slow"), tool("pay", "effect: once"))
    cut_at = 1
    while True:
        answers, watch = Answers(), Watch(cut_at=cut_at)
        (home.root / "paid.txt").unlink(missing_ok=True)
        async with flowing(database, tools=home, answers=answers, watch=watch) as flows:
            run_id = await flows.start(text, calls)
            halted = await flows.until(run_id, lambda ran: ran.status in {"PAUSED", "SUCCESS"})
        async with flowing(database, tools=home, answers=answers) as flows:
            if halted.status == "PAUSED":
                await flows.resume(run_id)
            ran = await flows.ended(run_id)
        assert [outcome for _, outcome, _ in said(ran)] == ["success"] * 4
        assert len(answers.asked) == 3
        assert len(paid_lines(home)) == 1
        check_run(ran)
        if halted.status == "SUCCESS":
            return
        cut_at += 1


async def test_a_call_with_an_unknown_outcome_is_not_repeated(database: Database, home: ToolHome) -> None:
    """The process ends after a payment and before its record."""
    await _interrupted(database, home, "effect: once")
    ran = await _continued(database, home)
    assert said(ran)[0][:2] == ["pay", "interrupted"]
    assert said(ran)[0][2].startswith("The outcome of this call is unknown: it was interrupted.")
    assert len(paid_lines(home)) == 1
    check_run(ran)


async def test_a_call_that_can_be_retried_is_repeated_with_the_same_key(database: Database, home: ToolHome) -> None:
    await _interrupted(database, home, "effect: retry")
    ran = await _continued(database, home)
    assert said(ran) == [["pay", "success", "paid 5.0"]]
    keys = [line.split()[0] for line in paid_lines(home)]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_another_tool_can_determine_the_outcome_of_a_call(database: Database, home: ToolHome) -> None:
    await _interrupted(database, home, "effect: once, check: status")
    ran = await _continued(database, home)
    assert said(ran)[0][2]["check"] == "paid"
    assert len(paid_lines(home)) == 1


async def test_an_unknown_outcome_can_fail_the_task(database: Database, home: ToolHome) -> None:
    await _interrupted(database, home, "effect: once, on_unknown: fail")
    ran = await _continued(database, home)
    assert ran.status == "FAILED"
    assert ran.message == "the outcome of a call of tool 'pay' is unknown"
    assert len(paid_lines(home)) == 1


RUN_ID = "interrupted"


async def _interrupted(database: Database, home: ToolHome, effect: str) -> None:
    """Create a run whose process ended between a payment and its record."""
    text = workflow(tool("pay", effect, "config: {rests: true}"), tool("status"))
    async with flowing(database, tools=home) as flows:
        await flows.start(text, rounds([("pay", {"amount": 5})]), execution_id=RUN_ID)
        async with asyncio.timeout(120):
            while not paid_lines(home):  # noqa: ASYNC110 - written by the tool
                await asyncio.sleep(0.01)
    (home.root / "released").touch()


async def _continued(database: Database, home: ToolHome) -> Ran:
    async with flowing(database, tools=home) as flows:
        return await flows.ended(RUN_ID)


@pytest.mark.parametrize(
    ("tool_rule", "task_rule", "agent_rule", "project", "outcome"),
    [
        (None, "approve: deny", None, {}, "denied"),
        (None, None, "deny", {}, "denied"),
        ("approve: never", None, "deny", {}, "denied"),
        ("approve: never", "approve: ask", "ask", {"approve": "ask"}, "success"),
        (None, "approve: never", "ask", {}, "success"),
        (None, None, None, {"approve": "deny"}, "denied"),
        ("approve: never", None, None, {"deny_tools": ("p*y",)}, "denied"),
        (None, None, None, {"approve": ApprovalRule(when="input.amount > 9.0", timeout=0.05)}, "success"),
        (None, None, None, {"approve": ApprovalRule(when="input.amount > 1.0", timeout=0.05)}, "denied"),
    ],
)
async def test_approvals_of_tool_task_agent_and_project(
    database: Database,
    home: ToolHome,
    tool_rule: str | None,
    task_rule: str | None,
    agent_rule: str | None,
    project: dict[str, Any],
    outcome: str,
) -> None:
    of_project = replace(home, settings=RuntimeSettings(allow_inprocess=True, **project))
    pay = tool("pay", *([tool_rule] if tool_rule else []))
    more = "\n            ".join([task_rule or "", f"agent: {{approve: {agent_rule}}}" if agent_rule else ""])
    async with flowing(database, tools=of_project) as flows:
        ran = await flows.run(workflow(pay, more=more), rounds([("pay", {"amount": 5})]))
    assert said(ran)[0][1] == outcome
    check_run(ran)


async def test_a_rule_that_is_added_later_does_not_change_earlier_calls(database: Database, home: ToolHome) -> None:
    answers = Answers()
    text = workflow(tool("pay"), tool("add", "approve: ask"))
    async with flowing(database, tools=home, answers=answers) as flows:
        run_id = await flows.start(text, rounds([("pay", {"amount": 5})], [("add", {"a": 1})]))
        await flows.until_waiting(run_id, "ask/approve-1-0-add")
    await approve(database, run_id, {"approve": True})
    denying = replace(home, settings=RuntimeSettings(allow_inprocess=True, deny_tools=("pay",)))
    async with flowing(database, tools=denying, answers=answers) as flows:
        ran = await flows.ended(run_id)
    assert said(ran) == [["pay", "success", "paid 5.0"], ["add", "success", 2]]
    check_run(ran)
