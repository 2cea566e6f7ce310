"""`parallel`: concurrent tasks, under each strategy."""

from __future__ import annotations

import pytest

from tests.harness.runs import Flows, check_run

OK, BAD, HANG = "{prompt: fine}", '{prompt: "fail: it"}', '{prompt: "hang: it"}'


def parallel(*children: str, **options: object) -> str:
    """A workflow with one container, its children a, b, c."""
    more = "".join(f", {key}: {value}" for key, value in options.items())
    tasks = ", ".join(f"{{id: {name}, {child[1:]}" for name, child in zip("abcd", children, strict=False))
    return f"tasks: [{{id: all, type: parallel{more}, tasks: [{tasks}]}}]"


async def test_all_run_and_their_results_are_read_by_id(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: all
            type: parallel
            tasks:
              - {id: a, prompt: one}
              - {id: b, with: {n: 2}}
        output:
          own: "{{ .tasks.all.output.outputs.a.text }}"
          child: "{{ .tasks.all.output.a.output.text }}"
          again: "{{ .tasks.all.output.output.outputs.b.n }}"
          children: "{{ .tasks.all.children.b.status }}"
    """)
    assert ran.output == {"own": "re: one", "child": "re: one", "again": 2, "children": "SUCCESS"}
    assert ran.states == {"all": "SUCCESS", "all/a": "SUCCESS", "all/b": "SUCCESS"}
    assert ran.run.usage == [
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
    check_run(ran)


@pytest.mark.parametrize(
    ("strategy", "children", "status", "states"),
    [
        ("wait_all", (OK, OK), "SUCCESS", ("SUCCESS", "SUCCESS")),
        ("wait_all", (BAD, OK), "FAILED", ("FAILED", "SUCCESS")),
        ("wait_all", ("{prompt: 'hang: x', timeout: 50ms}", OK), "FAILED", ("TIMED_OUT", "SUCCESS")),
        ("fail_fast", (OK, OK), "SUCCESS", ("SUCCESS", "SUCCESS")),
        ("fail_fast", (HANG, BAD, HANG), "FAILED", ("CANCELED", "FAILED", "CANCELED")),
        ("fail_fast", ("{prompt: 'hang: x', timeout: 50ms}", HANG), "FAILED", ("TIMED_OUT", "CANCELED")),
        ("best_effort", (BAD, OK), "SUCCESS", ("FAILED", "SUCCESS")),
        ("best_effort", (BAD, BAD), "FAILED", ("FAILED", "FAILED")),
        ("race", (HANG, OK, HANG), "SUCCESS", ("CANCELED", "SUCCESS", "CANCELED")),
        ("race", (BAD, "{prompt: 'slow 0.1: x'}"), "SUCCESS", ("FAILED", "SUCCESS")),
        ("race", (BAD, BAD), "FAILED", ("FAILED", "FAILED")),
    ],
)
async def test_how_it_ends(
    flows: Flows, strategy: str, children: tuple[str, ...], status: str, states: tuple[str, ...]
) -> None:
    ran = await flows.run(parallel(*children, strategy=strategy))
    assert ran.status == status
    assert ran.states == {"all": status, **{f"all/{name}": state for name, state in zip("abc", states, strict=False)}}
    # Canceled tasks leave nothing behind: their requests are aborted.
    assert sorted(flows.answers.hung_up) == sorted(asked for asked in flows.answers.asked if asked.startswith("hang"))
    check_run(ran)


async def test_its_error_names_the_failed_task_and_the_cause(flows: Flows) -> None:
    ran = await flows.run(parallel(BAD, OK, "{with: {x: '{{ .input.none }}'}}"))
    assert ran.run.error is not None
    assert ran.run.error["code"] == "children_failed"
    assert ran.message.startswith("2 of 3 tasks inside it failed: 'a': no answer to 'fail: it'; 'c': ")
    assert ran.run.error["details"]["failed"] == ["a", "c"]
    assert ran.run.error["details"]["first"]["code"] == "model"
    assert ran.run.error["details"]["task"] == "all"
    # The results of the others are stored nevertheless.
    assert ran.tasks["all"].output["outputs"]["b"]["text"] == "re: fine"


async def test_max_workers_limits_concurrent_tasks(flows: Flows) -> None:
    ran = await flows.run(parallel(*["{prompt: 'slow 0.05: x'}"] * 4, max_workers=2))
    open_ones = most = 0
    for words in flows.watch.told:
        if words.startswith("all/"):
            open_ones += 1 if words.endswith("began") else -1
            most = max(most, open_ones)
    assert (ran.status, most) == ("SUCCESS", 2)
    check_run(ran)


async def test_fail_fast_does_not_start_the_rest(flows: Flows) -> None:
    ran = await flows.run(parallel(BAD, OK, OK, strategy="fail_fast", max_workers=1))
    assert ran.states == {"all": "FAILED", "all/a": "FAILED", "all/b": "CANCELED", "all/c": "CANCELED"}
    assert flows.answers.asked == ["fail: it"]
    assert ran.tasks["all/b"].started_ms is None
    check_run(ran)


async def test_outputs_read_children_output_and_progress(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: all
            type: parallel
            strategy: best_effort
            tasks: [{id: a, with: {n: 1}}, {id: b, prompt: "fail: it"}]
            outputs:
              own: "{{ .output }}"
              count: "{{ len .output }}"
              error: "{{ .children.b.error.code }}"
              progress: "{{ .progress }}"
        output: {all: "{{ .tasks.all.output.output }}", a: "{{ .tasks.all.output.a.output.n }}"}
    """)
    assert ran.output["a"] == 1
    found = ran.output["all"]
    assert (found["own"], found["count"], found["error"]) == ({"a": {"n": 1}, "b": None}, 2, "model")
    assert found["progress"] == {
        "total_children": 2,
        "success_count": 1,
        "failed_count": 1,
        "canceled_count": 0,
        "timed_out_count": 0,
        "terminal_count": 2,
        "completion_rate": 0.5,
        "failure_rate": 0.5,
        "overall_status": "partial_failure",
    }


async def test_children_see_the_container_and_earlier_tasks(flows: Flows) -> None:
    ran = await flows.run(
        """
        env: {TONE: calm, PLACE: here}
        tasks:
          - {id: first, with: {n: 1}}
          - id: outer
            type: parallel
            env: {TONE: loud}
            with: {x: "{{ .input.name }}!", name: other}
            tasks:
              - id: inner
                type: parallel
                tasks:
                  - id: leaf
                    env: {OWN: "{{ .env.TONE }}"}
                    with: {y: "{{ .input.x }}"}
                    outputs:
                      env: "{{ .env.TONE }} {{ .env.PLACE }} {{ .env.OWN }}"
                      parent: "{{ .parent.id }} {{ .parent.parent.id }} {{ .parent.parent.input.x }}"
                      own: "{{ .task.id }} {{ .task.type }} {{ .current.id }} {{ .output.y }} {{ .input.name }}"
                      before: "{{ .tasks.first.output.n }}"
                      top: "{{ .parent.parent.parent }}"
        output: "{{ .tasks.outer.children.inner.children.leaf.output }}"
    """.replace('output: "{{ .tasks', 'output:\n          leaf: "{{ .tasks'),
        {"name": "Ada"},
    )
    assert ran.output == {
        "leaf": {
            "env": "loud here loud",
            "parent": "inner outer Ada!",
            "own": "leaf basic leaf Ada! other",
            "before": 1,
            "top": None,
        }
    }


async def test_a_task_that_is_no_longer_needed_keeps_its_input(flows: Flows) -> None:
    slow = "{prompt: '{{ .input.n }}: it', with: {n: 'hang'}}"
    ran = await flows.run(parallel(slow, "{prompt: 'slow 0.1: fine'}", strategy="race"))
    assert ran.states["all/a"] == "CANCELED"
    assert ran.tasks["all/a"].input == {"with": {"n": "hang"}, "prompt": "hang: it"}
    check_run(ran)
