"""Tools of agents and tasks: calls, results, limits, approvals, unknown outcomes, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import ApprovalRule, RuntimeSettings
from compozy.database.database import Database
from compozy.errors import SchemaMismatchError
from compozy.tool.kind import ToolHome
from compozy.workflow.operate import approve
from compozy.workflow.requests import list_requests
from tests.harness.runs import Answers, Flows, Ran, Watch, check_run, flowing

FUNCTIONS = '''
import time
from pathlib import Path


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def slow(n: int) -> int:
    time.sleep(0.05 * (3 - n))
    return n


def broken(text: str) -> str:
    raise ValueError(f"no {text}")


def big(size: int) -> str:
    return "x" * size


def pay(amount: float, ctx) -> str:
    with open(Path(__file__).parent / "paid.txt", "a") as file:
        file.write(f"{ctx.idempotency_key} {amount}\\n")
    while ctx.config.get("rests") and not (Path(__file__).parent / "released").exists():
        time.sleep(0.01)
    return f"paid {amount}"


def status(amount: float, ctx) -> str:
    paid = Path(__file__).parent / "paid.txt"
    return "paid" if paid.exists() and ctx.idempotency_key in paid.read_text() else "not paid"
'''
IN_PROCESS = "runtime: python-inprocess"


def tool(name: str, *more: str) -> str:
    """Return a tool of this file's functions, as a flow mapping."""
    return "{" + ", ".join([f"id: {name}", f"run: 'functions.py:{name}'", IN_PROCESS, *more]) + "}"


def workflow(*tools: str, more: str = "") -> str:
    """Return a workflow with one task, whose prompt is its input."""
    return f"""
        tasks:
          - id: ask
            prompt: "{{{{ .input.prompt }}}}"
            tools: [{", ".join(tools)}]
            {more}
        output: {{said: "{{{{ .tasks.ask.output.text }}}}"}}
    """


def rounds(*calls: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the input that lets the model make these calls, one list for each answer."""
    return {"prompt": "tools: " + json.dumps([[{"tool": t, "arguments": a} for t, a in each] for each in calls])}


def said(ran: Ran) -> Any:
    """Return the results that the model got, from its last answer."""
    return json.loads(ran.output["said"])


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


async def test_results_of_calls_are_sent_to_the_model_in_order(flows: Flows) -> None:
    calls = rounds([("add", {"a": 1}), ("add", {"a": 2, "b": 5})], [("add", {"a": 3})])
    # Sequential calls, so that the order of the steps is deterministic.
    ran = await flows.run(workflow(tool("add"), more="max_concurrent_tools: 1"), calls)
    assert said(ran) == [["add", "success", 2], ["add", "success", 7], ["add", "success", 4]]
    assert ran.steps == [
        "ask.tools",
        "ask.model.request",
        "ask.tool.0.0.add",
        "ask.tool.0.1.add",
        "ask.model.request",
        "ask.tool.1.0.add",
        "ask.model.request",
        "ask.end",
    ]
    assert flows.answers.offered == [["add"]] * 3
    check_run(ran)


@pytest.mark.parametrize("at_once", [1, 10])
async def test_names_of_steps_do_not_depend_on_the_order_of_their_ends(flows: Flows, at_once: int) -> None:
    calls = rounds([("slow", {"n": 0}), ("slow", {"n": 1}), ("slow", {"n": 2})])
    ran = await flows.run(workflow(tool("slow"), more=f"max_concurrent_tools: {at_once}"), calls)
    assert said(ran) == [["slow", "success", number] for number in range(3)]
    assert sorted(ran.steps)[3:6] == ["ask.tool.0.0.slow", "ask.tool.0.1.slow", "ask.tool.0.2.slow"]
    ended = [step for step in ran.steps if ".tool." in step]
    assert (ended == sorted(ended)) == (at_once == 1)
    check_run(ran)


async def test_an_error_of_a_call_is_an_answer_to_the_model(flows: Flows) -> None:
    calls = rounds([("add", {"a": "x"}), ("ad", {"a": 1}), ("add", {"a": 1, "c": 2}), ("broken", {"text": "way"})])
    ran = await flows.run(workflow(tool("add"), tool("broken")), calls)
    assert said(ran) == [
        ["add", "failed", "the arguments do not fit: a: expected a whole number, got 'x'"],
        ["ad", "failed", "unknown tool 'ad'; did you mean 'add'?"],
        ["add", "failed", "the arguments do not fit: unknown key 'c'"],
        ["broken", "failed", "ValueError: no way"],
    ]
    # Only started calls are recorded.
    assert [step for step in ran.steps if ".tool." in step] == ["ask.tool.0.3.broken"]
    check_run(ran)


async def test_a_result_is_validated_against_its_schema(flows: Flows) -> None:
    calls = rounds([("add", {"a": 1}), ("add", {"a": 9})])
    ran = await flows.run(workflow(tool("add", "output: {type: integer, maximum: 9}")), calls)
    assert said(ran) == [
        ["add", "success", 2],
        [
            "add",
            "failed",
            "the call was made, but its result does not fit the tool's `output` schema: expected at most 9, got 10",
        ],
    ]
    check_run(ran)


async def test_limits_of_calls_are_reported_to_the_model(flows: Flows) -> None:
    more = "max_tool_calls: {total: 3, add: 1}"
    calls = rounds([("add", {"a": 1}), ("add", {"a": 2}), ("big", {"size": 1}), ("big", {"size": 1})])
    ran = await flows.run(workflow(tool("add"), tool("big"), more=more), calls)
    assert [outcome for _, outcome, _ in said(ran)] == ["success", "failed", "success", "failed"]
    assert said(ran)[1][2] == "the limit of 1 calls of the tool 'add' is reached; answer with what you have"
    assert said(ran)[3][2] == "the limit of 3 calls of tools is reached; answer with what you have"


async def test_a_large_result_is_cut(flows: Flows) -> None:
    ran = await flows.run(workflow(tool("big")), rounds([("big", {"size": 300_000})]))
    content = said(ran)[0][2]
    assert len(content) < 263_000
    assert content.endswith(f"x\n[{300_000 - 256 * 1024} more characters are left out]")


async def test_a_model_that_repeats_the_same_call_is_stopped(flows: Flows) -> None:
    ran = await flows.run(workflow(tool("add")), rounds(*[[("add", {"a": 1})]] * 9))
    assert ran.status == "FAILED"
    assert ran.message.endswith("the tool 'add' was called 3 times with the same arguments and the same result")
    assert len(flows.answers.asked) == 3
    check_run(ran)


async def test_a_tool_that_fails_ten_times_in_a_row_ends_the_task(flows: Flows) -> None:
    calls = rounds(*[[("broken", {"text": str(number)})] for number in range(20)])
    ran = await flows.run(workflow(tool("broken"), more="max_iterations: 30"), calls)
    assert "the tool 'broken' failed 10 times in a row; the last time: ValueError: no 9" in ran.message
    check_run(ran)


@pytest.mark.parametrize(("on_limit", "status"), [("fail", "FAILED"), ("answer", "SUCCESS")])
async def test_requests_are_limited(flows: Flows, on_limit: str, status: str) -> None:
    calls = rounds(*[[("add", {"a": number})] for number in range(5)])
    ran = await flows.run(workflow(tool("add"), more=f"max_iterations: 2\n            on_limit: {on_limit}"), calls)
    assert ran.status == status
    if on_limit == "fail":
        assert "still called tools in request 2 of `max_iterations`, 2" in ran.message
    else:
        assert flows.answers.choices == ["auto", "auto", "none"]
    check_run(ran)


async def test_the_first_request_can_choose_the_tool(flows: Flows) -> None:
    ran = await flows.run(workflow(tool("add"), more="tool_choice: add"), rounds([("add", {"a": 1})]))
    assert ran.status == "SUCCESS"
    assert flows.answers.choices == [["add"], "auto"]


async def test_an_answer_with_a_schema_after_calls(flows: Flows) -> None:
    text = workflow(tool("add"), more="output: {type: array, items: {type: array}}").split("output: {said")[0]
    ran = await flows.run(text + 'output: {said: "{{ toJson .tasks.ask.output }}"}', rounds([("add", {"a": 1})]))
    assert said(ran) == [["add", "success", 2]]


async def test_a_task_calls_a_tool_without_a_model(flows: Flows) -> None:
    ran = await flows.run(
        f"""
        tasks:
          - {{id: sum, tool: {tool("add")}, with: {{a: "{{{{ .input.a }}}}"}}}}
          - {{id: more, tool: {tool("add", "with: {b: 10}")}, with: {{a: "{{{{ .tasks.sum.output }}}}"}}}}
        output: {{sum: "{{{{ .tasks.more.output }}}}"}}
        """,
        {"a": 4},
    )
    assert ran.output == {"sum": 15}
    assert ran.steps == ["sum.tools", "sum.tool.0.0.add", "sum.end", "more.tools", "more.tool.0.0.add", "more.end"]
    assert flows.answers.asked == []
    check_run(ran)


async def test_a_task_whose_tool_fails_is_retried_and_fails(flows: Flows) -> None:
    config = "config: {retry_policy: {initial_interval: 1ms, maximum_attempts: 2}}"
    ran = await flows.run(f"tasks: [{{id: x, tool: {tool('broken')}, with: {{text: luck}}, {config}}}]")
    assert ran.message == "tool 'broken' failed: ValueError: no luck"
    assert [step for step in ran.steps if ".tool." in step] == ["x.tool.0.0.broken", "x.tool.1.0.broken"]
    check_run(ran)


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


async def test_an_error_of_a_condition_names_the_tool(flows: Flows) -> None:
    ran = await flows.run(
        workflow(tool("pay", 'approve: {when: "input.total > 1.0"}')), rounds([("pay", {"amount": 5})])
    )
    assert ran.message is not None
    assert ran.message.startswith("approve.when of tool 'pay'")
    assert "total" in ran.message


async def test_a_tool_that_is_denied_is_never_called(flows: Flows, home: ToolHome) -> None:
    ran = await flows.run(workflow(tool("pay", "approve: deny")), rounds([("pay", {"amount": 5})]))
    assert said(ran) == [["pay", "denied", "calls of 'pay' are not allowed here"]]
    assert paid_lines(home) == []


def paid_lines(home: ToolHome) -> list[str]:
    """Return the lines that `pay` wrote outside of any database."""
    file = home.root / "paid.txt"
    return file.read_text().splitlines() if file.exists() else []


async def test_requests_of_a_run_show_the_calls(flows: Flows) -> None:
    ran = await flows.run(workflow(tool("add")), rounds([("add", {"a": 1}), ("ad", {})]))
    first, last = await asyncio.to_thread(partial(list_requests, flows.database, ran.run.workflow_exec_id))
    for call in first["tool_calls"]:
        call.pop("duration_ms")
    assert first["tool_calls"] == [
        {"tool": "add", "arguments": {"a": 1}, "outcome": "ok", "result": 2},
        {"tool": "ad", "arguments": {}, "outcome": None, "result": None},
    ]
    assert last["tool_calls"] == []


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
