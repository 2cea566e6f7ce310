"""Model answers that must not break a run: each fails its task, so that `retries` and `on_error` apply."""

from __future__ import annotations

import pytest

from tests.harness.runs import Flows, check_run

_WORKFLOW = """
tasks:
  - id: ask
    prompt: "{{ .input.prompt }}"
    output: {type: object, properties: {x: {}}, required: [x]}
    on_error: {next: rescue, with: {told: "{{ .error.message }}"}}
  - {id: rescue, with: {told: "{{ .input.told }}"}}
output: {told: "{{ .tasks.rescue.output.told }}"}
"""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('{"x": 1e999}', "the number 1e999 is too large"),
        ('{"x": 9085e20999}', "the number 9085e20999 is too large"),
        ('{"x": ' + "9" * 5000 + "}", "the number " + "9" * 40 + "... is too large"),
        ('{"x": ' + "9" * 400 + "}", "the number " + "9" * 40 + "... is too large"),
        ('{"x": ' + "[" * 600 + "]" * 600 + "}", "nested deeper than 100 levels"),
        ('{"x": NaN}', "NaN is not a JSON value"),
    ],
    ids=["1e999", "exponent", "5000 digits", "400 digits", "600 brackets", "NaN"],
)
async def test_an_answer_beyond_the_limits_of_json_fails_its_task(flows: Flows, answer: str, problem: str) -> None:
    ran = await flows.run(_WORKFLOW, {"prompt": f"json: {answer}"})
    assert (ran.status, ran.states) == ("SUCCESS", {"ask": "FAILED", "rescue": "SUCCESS"})
    assert "gave no answer that matches the task's `output` schema in 3 tries" in ran.output["told"]
    assert f"Problems:\n- the answer is not JSON: {problem}" in flows.answers.asked[1]
    check_run(ran)


async def test_half_a_character_is_replaced(flows: Flows) -> None:
    ran = await flows.run(
        """
        tasks: [{id: ask, prompt: "{{ .input.prompt }}", output: {properties: {x: {type: string}}, required: [x]}}]
        output: {x: "{{ .tasks.ask.output.x }}", length: "{{ len .tasks.ask.output.x }}"}
        """,
        {"prompt": r'json: {"x": "cut \ud83d"}'},
    )
    assert ran.output["x"] == "cut \ufffd"
    check_run(ran)


@pytest.mark.parametrize("items", ["[1e999]", "9" * 5000, "[" * 600 + "]" * 600, '{"a": NaN}'])
async def test_items_beyond_the_limits_of_json_fail_their_task(flows: Flows, items: str) -> None:
    ran = await flows.run(
        """
        tasks:
          - id: each
            type: collection
            items: "{{ .input.items }}"
            task: {id: t, with: {}}
            on_error: {next: rescue, with: {told: "{{ .error.message }}"}}
          - {id: rescue, with: {told: "{{ .input.told }}"}}
        output: {told: "{{ .tasks.rescue.output.told }}"}
        """,
        {"items": items},
    )
    assert (ran.status, ran.states) == ("SUCCESS", {"each": "FAILED", "rescue": "SUCCESS"})
    assert "`items` is text, and line 1 of it is not JSON" in ran.output["told"]
    check_run(ran)


async def test_the_reason_of_a_cut_answer_is_stored_with_the_task(flows: Flows) -> None:
    ran = await flows.run("tasks: [{id: ask, prompt: 'cut: x'}, {id: whole, prompt: y}]")
    assert ran.status == "SUCCESS"
    cut, whole = (ran.tasks[path].usage or [] for path in ("ask", "whole"))
    assert [usage.get("finish_reason") for usage in (*cut, *whole)] == ["length", None]
    check_run(ran)


async def test_an_answer_with_a_schema_that_was_cut_off_fails_its_task(flows: Flows) -> None:
    ran = await flows.run(
        "tasks: [{id: ask, prompt: 'cut: I take {\"n\": 1}', output: {properties: {n: {}}, required: [n]}}]"
    )
    assert ran.status == "FAILED"
    assert "cut off when it reached `max_tokens`" in flows.answers.asked[1]
    check_run(ran)
