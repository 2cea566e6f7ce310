"""The order of tasks: transitions, conditions, pauses, limits and retries."""

from __future__ import annotations

import time

import pytest

from tests.harness.runs import Flows, check_run


async def test_transitions_skip_the_order_of_the_list(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: one, with: {n: 1}, on_success: {next: three, with: {m: "{{ add .tasks.one.output.n 1 }}", k: over}}}
          - {id: two, with: {n: 2}}
          - {id: three, with: {k: own, seen: "{{ .input.m }}"}, on_success: {next: two}}
        output: {three: "{{ .tasks.three.output }}", two: "{{ .tasks.two.output }}"}
    """)
    assert ran.output == {"three": {"k": "over", "seen": 2, "m": 2}, "two": {"n": 2}}
    assert list(ran.states) == ["one", "three", "two"]
    check_run(ran)


async def test_a_failure_is_handled_and_the_run_succeeds(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: one
            prompt: "fail: it"
            on_success: {next: two}
            on_error: {next: mend, with: {why: "{{ .error.message }}", code: "{{ .tasks.one.error.code }}"}}
          - {id: two, with: {n: 2}}
          - {id: mend, with: {all: "{{ .error.code }} {{ .input.code }}"}}
        output: {mend: "{{ .tasks.mend.output }}"}
    """)
    assert ran.status == "SUCCESS"
    assert ran.output == {
        "mend": {"all": "model model", "why": "no answer to 'fail: it'", "code": "model"},
    }
    assert ran.states == {"one": "FAILED", "mend": "SUCCESS"}
    check_run(ran)


@pytest.mark.parametrize("place", ["task", "config", "workflow"])
async def test_the_nearest_on_error_counts(flows: Flows, place: str) -> None:
    own = {
        "task": "on_error: {next: near}, config: {on_error: {next: far}}",
        "config": "config: {on_error: {next: near}}",
        "workflow": "description: none",
    }[place]
    inherited = "near" if place == "workflow" else "far"
    ran = await flows.run(f"""
        config: {{on_error: {{next: {inherited}, with: {{ from: "{{{{ .error.code }}}}" }} }} }}
        tasks:
          - {{id: one, prompt: "fail: it", {own}}}
          - {{id: near, with: {{x: near}}}}
          - {{id: far, with: {{x: far}}}}
    """)
    assert ran.states == {"one": "FAILED", "near": "SUCCESS"}
    assert ran.status == "SUCCESS"
    assert ran.tasks["near"].output == {"x": "near", **({"from": "model"} if place == "workflow" else {})}
    check_run(ran)


async def test_a_failure_in_the_handler_ends_the_run(flows: Flows) -> None:
    ran = await flows.run("""
        config: {on_error: {next: mend}}
        tasks:
          - {id: one, prompt: "fail: it"}
          - {id: two, prompt: x}
          - {id: mend, prompt: "fail: this too"}
    """)
    assert (ran.status, ran.states) == ("FAILED", {"one": "FAILED", "mend": "FAILED"})
    assert ran.message == "no answer to 'fail: this too'"


async def test_a_transition_whose_input_cannot_be_rendered_ends_the_run(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: one, with: {n: 1}, on_success: {next: two, with: {x: "{{ .input.none }}"}}}
          - {id: two}
    """)
    assert (ran.status, ran.states) == ("FAILED", {"one": "SUCCESS"})
    assert ran.run.error is not None
    assert (ran.run.error["code"], ran.run.error["details"]["task"]) == ("template_render", "one")
    check_run(ran)


async def test_nothing_follows_a_final_task(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: one, with: {n: 1}, final: true, on_success: {next: two}, on_error: {next: two}}
          - {id: two, with: {n: 2}}
    """)
    assert (ran.status, ran.states, ran.output) == ("SUCCESS", {"one": "SUCCESS"}, {"one": {"n": 1}})


@pytest.mark.parametrize("condition", ["input.n > 5", "'{{ gt .input.n 5 }}'"])
async def test_a_task_whose_condition_is_false_is_skipped(flows: Flows, condition: str) -> None:
    workflow = f"""
        tasks:
          - {{id: one, condition: {condition}, prompt: "n {{{{ .input.n }}}}"}}
          - {{id: two, with: {{seen: "{{{{ .tasks.one.output }}}}"}}}}
        output: {{seen: "{{{{ .tasks.two.output.seen }}}}"}}
    """
    skipped = await flows.run(workflow, {"n": 5})
    assert (skipped.output, skipped.states["one"]) == ({"seen": {"skipped": True}}, "SUCCESS")
    assert flows.answers.asked == []
    ran = await flows.run(workflow, {"n": 6})
    assert ran.output["seen"]["text"] == "re: n 6"
    check_run(skipped)


@pytest.mark.parametrize(
    "kind", ["parallel, tasks: [{id: c, prompt: x}]", "collection, items: 2, task: {id: c, prompt: x}"]
)
async def test_containers_are_skipped_as_a_whole(flows: Flows, kind: str) -> None:
    ran = await flows.run(f"tasks: [{{id: all, condition: 'false', type: {kind}}}]")
    assert (ran.states, ran.output) == ({"all": "SUCCESS"}, {"all": {"skipped": True}})
    check_run(ran)


async def test_a_condition_that_is_not_boolean_fails_the_task(flows: Flows) -> None:
    ran = await flows.run("tasks: [{id: one, condition: input.n, retries: 3, prompt: x}]", {"n": 2})
    assert ran.run.error is not None
    assert (ran.run.error["code"], ran.tasks["one"].attempts) == ("expression", 1)


async def test_sleep_is_a_pause_before_the_next_task(flows: Flows) -> None:
    ran = await flows.run("tasks: [{id: one, sleep: 300ms}, {id: two, sleep: 10s}]")
    one, two = ran.tasks["one"], ran.tasks["two"]
    assert one.finished_ms is not None
    assert two.started_ms is not None
    assert two.started_ms - one.finished_ms >= 300
    # No task waits after the last one.
    assert ran.run.finished_ms is not None
    assert ran.run.finished_ms - two.started_ms < 5000
    check_run(ran)


@pytest.mark.parametrize(
    "options", ["timeout: 500ms", "config: {timeout: 500ms}", "timeout: 500ms, config: {timeout: 1h}"]
)
async def test_a_task_that_takes_too_long_has_timed_out(flows: Flows, options: str) -> None:
    ran = await flows.run(f"""
        tasks:
          - {{id: one, prompt: "hang: x", {options}, retries: 3, on_error: {{next: late}}}}
          - {{id: late, with: {{code: "{{{{ .error.code }}}}"}}}}
    """)
    assert ran.states == {"one": "TIMED_OUT", "late": "SUCCESS"}
    assert ran.output["late"] == {"code": "task_timeout"}
    assert flows.answers.hung_up == flows.answers.asked
    check_run(ran)


async def test_the_workflows_time_limit_applies_to_each_task(flows: Flows) -> None:
    ran = await flows.run("""
        config: {timeout: 500ms}
        tasks: [{id: own, timeout: 1m, prompt: "slow 0.7: x"}, {id: slow, prompt: "hang: x"}]
    """)
    assert ran.states == {"own": "SUCCESS", "slow": "TIMED_OUT"}
    assert (ran.status, ran.message) == ("FAILED", "task 'slow' was not finished within 0.5 s")


async def test_a_container_that_takes_too_long_ends_its_tasks(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: all
            type: parallel
            timeout: 8s
            tasks: [{id: a, prompt: x}, {id: b, prompt: "hang: x"}, {id: c, type: wait, wait_for: go}]
    """)
    assert ran.states == {"all": "TIMED_OUT", "all/a": "SUCCESS", "all/b": "CANCELED", "all/c": "CANCELED"}
    assert flows.answers.hung_up == ["hang: x"]
    # Usage before the timeout counts.
    assert ran.run.usage is not None
    assert ran.run.usage[0]["requests"] == 1
    check_run(ran)


async def test_a_run_that_takes_too_long_ends_all_open_tasks(flows: Flows) -> None:
    ran = await flows.run(
        "tasks: [{id: one, prompt: x}, {id: all, type: parallel, tasks: [{id: b, prompt: 'hang: x'}]}]", timeout_s=6
    )
    assert (ran.status, ran.states) == ("TIMED_OUT", {"one": "SUCCESS", "all": "TIMED_OUT", "all/b": "TIMED_OUT"})
    assert flows.answers.hung_up == ["hang: x"]
    assert ran.run.usage is not None
    check_run(ran)


# Gives three invalid answers, and is to be retried in a minute.
UNFIT = "prompt: x, output: {type: integer}, retries: 1, config: {retry_policy: {initial_interval: 1m}}"


@pytest.mark.parametrize("how", ["lost race", "late task", "canceled run", "late run"])
async def test_requests_of_a_task_count_also_when_it_is_canceled(flows: Flows, how: str) -> None:
    if how == "lost race":
        race = f"tasks: [{{id: a, {UNFIT}}}, {{id: b, type: wait, wait_for: go}}]"
        run_id = await flows.start(f"tasks: [{{id: all, type: parallel, strategy: race, {race}}}]")
        await flows.until(run_id, lambda ran: "all/a.retry" in ran.steps)
        await flows.signal(run_id, "go")
        ran = await flows.ended(run_id)
        path, status = "all/a", "CANCELED"
    elif how == "late task":
        ran = await flows.run(f"tasks: [{{id: a, timeout: 6s, {UNFIT}}}]")
        path, status = "a", "TIMED_OUT"
    else:
        limit_s = 6.0 if how == "late run" else None
        run_id = await flows.start(f"tasks: [{{id: a, {UNFIT}}}]", timeout_s=limit_s)
        await flows.until(run_id, lambda ran: "a.retry" in ran.steps)
        if limit_s is None:
            assert await flows.runtime.cancel(run_id)
        ran = await flows.ended(run_id)
        path, status = "a", "CANCELED" if limit_s is None else "TIMED_OUT"
    assert ran.states[path] == status
    assert len(flows.answers.answered) == 3
    usage = [
        {
            "provider": "p",
            "model": "m",
            "input_tokens": 6,
            "output_tokens": 3,
            "requests": 3,
            "cost_micros": 0,
            "unpriced_requests": 3,
        }
    ]
    assert ran.tasks[path].usage == usage
    assert ran.run.usage is not None
    assert ran.run.usage[0]["requests"] == 3
    check_run(ran)


QUICK = "initial_interval: 10ms"


@pytest.mark.parametrize(
    ("workflow", "task", "attempts"),
    [
        ("", "retries: 2, config: {retry_policy: {initial_interval: 10ms}}", 3),
        ("", "config: {retry_policy: {initial_interval: 10ms, maximum_attempts: 2}}", 2),
        ("", "retries: 0", 1),
        ("", "description: none", 1),
        ("initial_interval: 10ms, maximum_attempts: 3", "description: none", 3),
        ("initial_interval: 10ms, maximum_attempts: 3", "retries: 0", 1),
        # Setting by setting: the pause is the workflow's. With the default, 7 retries take two minutes.
        ("initial_interval: 10ms, maximum_attempts: 3", "config: {retry_policy: {maximum_attempts: 2}}", 2),
        ("initial_interval: 10ms, maximum_attempts: 3", "retries: 7", 8),
        ("initial_interval: 10ms", "description: default", 3),
        ("initial_interval: 10ms, non_retryable_error_types: [model]", "retries: 9", 1),
    ],
)
async def test_the_number_of_tries_of_a_failed_task(flows: Flows, workflow: str, task: str, attempts: int) -> None:
    config = f"config: {{retry_policy: {{{workflow}}}}}" if workflow else ""
    began_s = time.monotonic()
    ran = await flows.run(f"{config}\ntasks: [{{id: one, prompt: 'fail: it', {task}}}]")
    assert (ran.status, ran.tasks["one"].attempts) == ("FAILED", attempts)
    assert flows.answers.asked == ["fail: it"] * attempts
    assert time.monotonic() - began_s < 60
    check_run(ran)


async def test_a_retry_may_succeed(flows: Flows) -> None:
    ran = await flows.run("""
        config: {retry_policy: {initial_interval: 10ms}}
        tasks: [{id: one, prompt: "fail 2: it"}]
    """)
    assert (ran.status, ran.tasks["one"].attempts) == ("SUCCESS", 3)
    assert ran.tasks["one"].error is None
    check_run(ran)


async def test_a_container_is_retried_only_when_configured(flows: Flows) -> None:
    container = "type: composite, tasks: [{id: a, prompt: x}, {id: b, prompt: 'fail 1: it', retries: 0}]"
    once = await flows.run(f"config: {{retry_policy: {{{QUICK}}}}}\ntasks: [{{id: all, {container}}}]")
    assert (once.status, once.tasks["all"].attempts) == ("FAILED", 1)
    flows.answers.asked.clear()
    again = f"config: {{retry_policy: {{{QUICK}, maximum_attempts: 2}}}}"
    twice = await flows.run(f"tasks: [{{id: all, {again}, {container}}}]")
    assert twice.states == {
        "all": "SUCCESS",
        "all/a": "SUCCESS",
        "all/b": "FAILED",
        "all@2/a": "SUCCESS",
        "all@2/b": "SUCCESS",
    }
    assert twice.tasks["all"].attempts == 2
    # The cost of the first attempt counts.
    assert twice.run.usage is not None
    assert twice.run.usage[0]["requests"] == 3
    check_run(twice)


async def test_schemas_of_input_and_result(flows: Flows) -> None:
    good = """
        tasks:
          - id: one
            with: {n: 1}
            input: {type: object, properties: {n: {type: integer}, m: {type: integer, default: 2}}}
            outputs: {sum: "{{ add .input.n .input.m }}"}
            output: {type: object, properties: {sum: {type: %s}, more: {type: string, default: x}}}
    """
    assert (await flows.run(good % "integer")).output == {"one": {"sum": 3, "more": "x"}}
    wrong = await flows.run(good % "string")
    assert wrong.message == "the result of task 'one' does not match its schema: sum: expected a string, got 3"
    refused = await flows.run("tasks: [{id: one, with: {n: x}, input: {properties: {n: {type: integer}}}}]")
    assert refused.message == "the input of task 'one' does not match its schema: n: expected a whole number, got 'x'"
    assert refused.tasks["one"].attempts == 1


@pytest.mark.parametrize(
    ("condition", "route"),
    [
        ("input.n > 1", "true"),
        ("\"input.n > 1 ? 'big' : 'small'\"", "big"),
        ("'{{ if gt .input.n 1 }}big{{ end }}'", "big"),
        ("input.n", "2"),
        ("tasks.first.output.text", "re: small"),
    ],
)
async def test_a_router_selects_the_next_task(flows: Flows, condition: str, route: str) -> None:
    ran = await flows.run(
        f"""
        tasks:
          - {{id: first, prompt: small, on_success: {{next: sort}}}}
          - id: sort
            type: router
            condition: {condition}
            routes:
              true: {{id: yes, with: {{x: inline}}, on_success: {{next: end}}}}
              big: end
              small: end
              "2": end
              "re: small": end
          - {{id: end, with: {{x: "{{{{ .tasks.sort.output.route_taken }}}}"}}}}
    """,
        {"n": 2},
    )
    assert ran.message == ""
    assert ran.tasks["end"].output == {"x": route}
    assert ran.tasks["sort"].output["router_type"] == "conditional"
    assert ("yes" in ran.states) == (route == "true")
    check_run(ran)


async def test_a_missing_route_fails_the_router(flows: Flows) -> None:
    ran = await flows.run(
        """
        tasks:
          - {id: sort, type: router, condition: input.kind, routes: {refund: a, question: b}, on_error: {next: b}}
          - {id: a}
          - {id: b, with: {why: "{{ .error.message }}"}}
    """,
        {"kind": "refunds"},
    )
    assert ran.states == {"sort": "FAILED", "b": "SUCCESS"}
    assert "the condition gives 'refunds', which is not a route" in ran.tasks["b"].output["why"]
    check_run(ran)


async def test_an_aggregate_combines_results(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: a, with: {n: 1}}
          - {id: sum, type: aggregate, with: {k: 2}, outputs: {n: "{{ .tasks.a.output.n }}", k: "{{ .output.k }}"}}
    """)
    assert ran.output["sum"] == {"n": 1, "k": 2}
    check_run(ran)
