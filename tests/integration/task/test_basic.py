"""`basic`: one step, and its errors."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.errors import DatabaseError
from compozy.task.tree import Runner
from tests.harness.runs import Flows, check_run


async def test_without_a_prompt_the_input_is_passed_through(flows: Flows) -> None:
    ran = await flows.run(
        """
        tasks:
          - {id: one, with: {x: null}}
          - {id: t, with: {a: "{{ .input.n }}", b: ["{{ .tasks.one.output }}", 1], c: "n is {{ .input.n }}"}}
          - {id: nothing}
        """,
        {"n": 7},
    )
    task = ran.tasks["t"]
    assert task.output == {"a": 7, "b": [{"x": None}, 1], "c": "n is 7"}
    assert (task.input, task.usage) == ({"with": task.output}, None)
    assert ran.tasks["nothing"].output == {}
    check_run(ran)


async def test_with_takes_precedence_over_the_input_in_the_prompt(flows: Flows) -> None:
    ran = await flows.run(
        'tasks: [{id: t, prompt: "{{ .input.a }} {{ .input.b }}", with: {a: "{{ .input.a }}!"}}]', {"a": 1, "b": 2}
    )
    task = ran.tasks["t"]
    assert task.input == {"with": {"a": "1!"}, "prompt": "1! 2"}
    assert task.output["text"] == "re: 1! 2"
    assert task.usage == [
        {
            "provider": "p",
            "model": "m",
            "input_tokens": 2,
            "output_tokens": 1,
            "requests": 1,
            "cost_micros": 0,
            "unpriced_requests": 1,
        }
    ]


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ({"prompt": "{{ .input.none }}"}, "template_render"),
        ({"with": {"x": "{{ .tasks.none.output }}"}}, "template_render"),
        ({"env": {"X": "{{ .input.none }}"}}, "template_render"),
        ({"prompt": "x", "agent": {"instructions": "{{ .input.none }}"}}, "template_render"),
        ({"prompt": "x", "output": {"type": "object", "required": ["a"]}}, "model"),
        ({"with": {"x": "{{ mulf 1e308 10.0 }}"}}, "template_render"),
        ({"outputs": {"x": "{{ .output.none }}"}}, "template_render"),
    ],
)
async def test_an_error_of_a_task_is_in_its_end(flows: Flows, task: dict[str, Any], code: str) -> None:
    ran = await flows.run({"tasks": [{"id": "t", **task}]})
    end = ran.tasks["t"]
    assert (end.status, end.output, ran.status) == ("FAILED", None, "FAILED")
    assert end.error is not None
    assert (end.error["code"], ran.message) == (code, end.error["message"])
    check_run(ran)


async def test_an_error_of_the_model_keeps_the_request(flows: Flows) -> None:
    ran = await flows.run("tasks: [{id: t, prompt: 'fail: hello {{ .input.n }}'}]", {"n": 1})
    assert ran.tasks["t"].input == {"prompt": "fail: hello 1"}
    assert ran.message == "no answer to 'fail: hello 1'"


async def test_a_bug_fails_the_task_and_not_the_process(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("oops")

    with monkeypatch.context() as patch:
        patch.setattr("compozy.task.basic.RUNNER", Runner(run=broken))
        ran = await flows.run("tasks: [{id: t}]")
    assert ran.run.error is not None
    assert (ran.status, ran.run.error["code"], ran.message) == ("FAILED", "internal", "ZeroDivisionError: oops")
    assert (await flows.run("tasks: [{id: t}]")).status == "SUCCESS"


async def test_an_unavailable_database_does_not_end_a_run(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise DatabaseError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("compozy.task.basic.RUNNER", Runner(run=away))
        run_id = await flows.start("tasks: [{id: all, type: parallel, tasks: [{id: t}, {id: u, with: {x: 1}}]}]")
        with pytest.raises(DatabaseError):
            await flows.runtime.wait(run_id)
        assert not (await flows.read(run_id)).status.is_final
    # It is resumed, and nothing of it was recorded as a failure.
    assert (await flows.ended(run_id)).states == {"all": "SUCCESS", "all/t": "SUCCESS", "all/u": "SUCCESS"}
