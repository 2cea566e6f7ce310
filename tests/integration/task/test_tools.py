"""Tools of agents and tasks: calls, results, limits, approvals, unknown outcomes, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest

from compozy.config.settings import RuntimeSettings
from compozy.database.database import Database
from compozy.tool.kind import ToolHome
from compozy.workflow.requests import list_requests
from tests.harness.runs import Flows, check_run, flowing
from tests.integration.task.functions import FUNCTIONS, rounds, said, tool, workflow


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
        ["add", "failed", "the arguments do not match: a: expected a whole number, got 'x'"],
        ["ad", "failed", "unknown tool 'ad'; did you mean 'add'?"],
        ["add", "failed", "the arguments do not match: unknown key 'c'"],
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
            "the call was made, but its result does not match the tool's `output` schema: expected at most 9, got 10",
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


async def test_an_error_of_a_condition_names_the_tool(flows: Flows) -> None:
    ran = await flows.run(
        workflow(tool("pay", 'approve: {when: "input.total > 1.0"}')), rounds([("pay", {"amount": 5})])
    )
    assert ran.message is not None
    assert ran.message.startswith("approve.when of tool 'pay'")
    assert "total" in ran.message


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
