"""Agents that call other agents, and run shared tasks, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from compozy.database.database import Database
from compozy.tool.kind import ToolHome
from compozy.workflow.operate import approve
from tests.harness.runs import Answers, Flows, Ran, Watch, check_run, flowing

AGENTS = json.dumps(
    [
        {
            "id": "helper",
            "instructions": "Help {{ .workflow.input.name }}.",
            "description": "Helps.",
            "actions": [
                {"id": "greet", "prompt": "Greet {{ .with.who }}", "input": {"type": "object", "required": ["who"]}}
            ],
        },
        {"id": "counter", "output": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
    ]
)
TASKS = """[{id: double, prompt: "double {{ .with.n }}", outputs: {is: "{{ .output.text }}!"}}]"""


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
    made = [[{"tool": f"cp__{tool}", "arguments": a} for tool, a in each] for each in calls]
    return {"prompt": "tools: " + json.dumps(made), "name": "Ada"}


def results(ran: Ran) -> list[Any]:
    """Return the results that the model got, from its last answer."""
    return [result for _, _, result in json.loads(ran.output["said"])]


CALL_AGENT = f"{{id: cp__call_agent, agents: {AGENTS}}}"
CALL_AGENTS = f"{{id: cp__call_agents, agents: {AGENTS}}}"
CALL_TASK = f"{{id: cp__call_task, tasks: {TASKS}}}"
WORKFLOWS = json.dumps(
    [
        {
            "id": "greet",
            "input": {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]},
            "env": {"GREETING": "Hi {{ .workflow.input.who }}"},
            "tasks": [
                {"id": "say", "prompt": "{{ .env.GREETING }}"},
                {"id": "again", "prompt": "{{ .tasks.say.output.text }}!"},
            ],
            "output": {"said": "{{ .tasks.again.output.text }}"},
        }
    ]
)
CALL_WORKFLOW = f"{{id: cp__call_workflow, workflows: {WORKFLOWS}}}"
CALL_TASKS = f"{{id: cp__call_tasks, tasks: {TASKS}}}"


@pytest.fixture
def home(tmp_path: Path) -> ToolHome:
    """An empty project."""
    return ToolHome(root=tmp_path, environ={})


@pytest.fixture
async def flows(database: Database, home: ToolHome) -> AsyncGenerator[Flows, None]:
    """Yield a runner of workflows whose agents call others."""
    async with flowing(database, tools=home) as running:
        yield running


async def test_an_agent_calls_another_one(flows: Flows) -> None:
    calls = rounds([("call_agent", {"agent_id": "helper", "prompt": "a {{ .workflow.input.name }}"})])
    ran = await flows.run(workflow(CALL_AGENT), calls)
    path = "ask/call-0-0-0-helper"
    # Output of a model is never rendered.
    answer = "re: a {{ .workflow.input.name }}"
    assert results(ran) == [{"success": True, "agent_id": "helper", "exec_id": path, "response": answer}]
    assert ran.steps == [
        "ask.tools",
        "ask.model.request",
        f"{path}.model.request",
        f"{path}.end",
        "ask.tool.0.0.cp__call_agent",
        "ask.model.request",
        "ask.end",
    ]
    assert ran.tasks[path].input["instructions"] == "Help Ada."
    assert ran.run.usage is not None
    assert sum(usage["requests"] for usage in ran.run.usage) == 3
    check_run(ran)


async def test_actions_and_schemas_of_the_other_agent_apply(flows: Flows) -> None:
    calls = rounds(
        [
            ("call_agent", {"agent_id": "helper", "action_id": "greet", "with": {"who": "Bo"}}),
            ("call_agent", {"agent_id": "helper", "action_id": "greet"}),
            ("call_agent", {"agent_id": "helper", "action_id": "gret", "with": {}}),
            ("call_agent", {"agent_id": "helper"}),
            ("call_agent", {"agent_id": "helpr", "prompt": "x"}),
            ("call_agent", {"agent_id": "counter", "prompt": 'json: {"n": 3}'}),
            ("call_agent", {"agent_id": "helper", "prompt": "fail: no luck"}),
        ]
    )
    ran = await flows.run(workflow(CALL_AGENT), calls)
    greeted, unfit, no_action, empty, unknown, counted, failed = results(ran)
    assert greeted["response"] == "re: Greet Bo"
    assert unfit["error"]["code"] == "schema_mismatch"
    assert no_action == "InvalidArgument: unknown action 'gret'; known: greet"
    assert empty == "InvalidArgument: write `prompt`, or `action_id` for an action of the agent"
    assert unknown.startswith("the arguments do not match: agent_id: ")
    assert counted["response"] == {"n": 3}
    assert (failed["success"], failed["error"]["message"]) == (False, "no answer to 'fail: no luck'")
    check_run(ran)


async def test_several_agents_and_tasks_at_the_same_time(flows: Flows) -> None:
    asked = [{"agent_id": "helper", "prompt": "slow 0.1: a"}, {"agent_id": "helper", "prompt": "fail: b"}]
    tasks = [{"task_id": "double", "with": {"n": 1}}, {"task_id": "double", "with": {"n": 2}}]
    ran = await flows.run(
        workflow(CALL_AGENTS, CALL_TASKS),
        rounds([("call_agents", {"agents": asked}), ("call_tasks", {"tasks": tasks})]),
    )
    agents, doubled = results(ran)
    assert [result["success"] for result in agents["results"]] == [True, False]
    assert (agents["total_count"], agents["success_count"], agents["failure_count"]) == (2, 1, 1)
    assert [result["output"] for result in doubled["results"]] == [{"is": "re: double 1!"}, {"is": "re: double 2!"}]
    check_run(ran)


async def test_agents_are_listed_and_described(flows: Flows) -> None:
    tools = [f"{{id: cp__{name}, agents: {AGENTS}}}" for name in ("list_agents", "describe_agent")]
    ran = await flows.run(workflow(*tools), rounds([("list_agents", {}), ("describe_agent", {"agent_id": "helper"})]))
    listed, described = results(ran)
    assert listed == {"agents": [{"agent_id": "helper", "description": "Helps."}, {"agent_id": "counter"}]}
    assert described["actions"] == [{"id": "greet", "input": {"type": "object", "required": ["who"]}}]


async def test_a_time_limit_and_the_end_of_the_parent_end_the_other_agent(flows: Flows) -> None:
    hang = {"agent_id": "helper", "prompt": "hang: x"}
    ran = await flows.run(workflow(CALL_AGENT), rounds([("call_agent", {**hang, "timeout_ms": 500})]))
    assert results(ran)[0]["error"]["code"] == "task_timeout"
    ran = await flows.run(workflow(CALL_AGENT, more="timeout: 6s"), rounds([("call_agent", hang)]))
    assert (ran.states["ask"], ran.states["ask/call-0-0-0-helper"]) == ("TIMED_OUT", "CANCELED")
    assert flows.answers.hung_up == [asked for asked in flows.answers.asked if asked == "hang: x"]
    check_run(ran)


async def test_a_run_that_is_cut_anywhere_repeats_no_recorded_request(database: Database, home: ToolHome) -> None:
    inner = rounds(
        [
            ("call_task", {"task_id": "double", "with": {"n": 2}}),
            ("call_workflow", {"workflow_id": "greet", "input": {"who": "Bo"}}),
        ]
    )["prompt"]
    agents = f"[{{id: lead, tools: [{CALL_TASK}, {CALL_WORKFLOW}]}}]"
    text = workflow(f"{{id: cp__call_agents, agents: {agents}}}", CALL_TASK)
    asked = [{"agent_id": "lead", "prompt": inner}, {"agent_id": "lead", "prompt": "b"}]
    calls = rounds([("call_agents", {"agents": asked}), ("call_task", {"task_id": "double", "with": {"n": 1}})])
    cut_at = 1
    while True:
        answers, watch = Answers(), Watch(cut_at=cut_at)
        async with flowing(database, tools=home, answers=answers, watch=watch) as flows:
            run_id = await flows.start(text, calls)
            halted = await flows.until(run_id, lambda ran: ran.status in {"PAUSED", "SUCCESS"})
        async with flowing(database, tools=home, answers=answers) as flows:
            if halted.status == "PAUSED":
                await flows.resume(run_id)
            ran = await flows.ended(run_id)
        several, one = results(ran)
        assert [result["success"] for result in [*several["results"], one]] == [True] * 3
        # Two of the first task, two of the leader, one of each other task and agent.
        once = ["b", "double 1", "double 2", "Hi Bo", "re: Hi Bo!"]
        assert sorted(answers.asked) == sorted([calls["prompt"], inner] * 2 + once)
        check_run(ran)
        if halted.status == "SUCCESS":
            return
        # Every cut is tested with other workflows; this one has many.
        cut_at += 4


async def test_a_workflow_is_a_task_of_another_one(flows: Flows) -> None:
    (greet,) = json.loads(WORKFLOWS)
    ran = await flows.run(
        {
            "id": "w",
            "tasks": [
                {"id": "say", "with": {"x": 1}, "on_success": {"next": "sub"}},
                {
                    "id": "sub",
                    "type": "workflow",
                    "workflow": greet,
                    "with": {"who": "{{ .input.name }}"},
                    "on_success": {"next": "bad"},
                },
                {"id": "bad", "type": "workflow", "workflow": greet, "on_error": {"next": "last"}},
                {"id": "last", "with": {"sub": "{{ .tasks.sub.output }}", "children": "{{ len .tasks.sub.children }}"}},
            ],
            "output": {"last": "{{ .tasks.last.output }}", "bad": "{{ .tasks.bad.error.message }}"},
        },
        {"name": "Cy"},
    )
    assert ran.output["last"] == {"sub": {"said": "re: re: Hi Cy!"}, "children": 2}
    assert (
        ran.output["bad"]
        == "the input of workflow 'greet' in task 'bad' does not match its schema: it: missing key 'who'"
    )
    assert [path for path in ran.tasks if "/" in path] == ["sub/say", "sub/again"]
    check_run(ran)


async def test_a_workflow_that_fails_fails_its_task_and_calls(flows: Flows) -> None:
    called = {"workflow_id": "greet", "input": {"who": "x"}}
    failing = WORKFLOWS.replace("{{ .env.GREETING }}", "fail: no luck")
    ran = await flows.run(
        workflow(f"{{id: cp__call_workflow, workflows: {failing}}}"), rounds([("call_workflow", called)])
    )
    (result,) = results(ran)
    assert (result["success"], result["status"]) == (False, "FAILED")
    assert result["error"]["message"].endswith("workflow 'greet': its task 'say' failed: no answer to 'fail: no luck'")
    check_run(ran)


async def test_an_approval_inside_the_other_agent(flows: Flows) -> None:
    agents = f"[{{id: lead, tools: [{{id: cp__call_task, approve: ask, tasks: {TASKS}}}]}}]"
    inner = rounds([("call_task", {"task_id": "double", "with": {"n": 2}})])["prompt"]
    text = workflow(f"{{id: cp__call_agent, agents: {agents}}}")
    run_id = await flows.start(text, rounds([("call_agent", {"agent_id": "lead", "prompt": inner})]))
    await flows.until_waiting(run_id, "ask/call-0-0-0-lead/approve-0-0-cp__call_task")
    await approve(flows.database, run_id, {"approve": True})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert results(ran)[0]["success"] is True
    assert ran.tasks["ask/call-0-0-0-lead/call-0-0-0-double"].output == {"is": "re: double 2!"}
    check_run(ran)
