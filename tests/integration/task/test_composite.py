"""`composite`: tasks one after another, as one; and every type inside every other."""

from __future__ import annotations

from tests.harness.runs import Flows, check_run


async def test_its_tasks_run_in_order_and_see_one_another(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: same, with: {n: outer}}
          - id: steps
            type: composite
            with: {a: 1}
            tasks:
              - {id: same, with: {n: "{{ .input.a }}"}}
              - {id: two, with: {n: "{{ .tasks.same.output.n }} {{ .parent.id }}"}}
            outputs: {all: "{{ .output }}", two: "{{ .children.two.output.n }}"}
          - {id: after, with: {n: "{{ .tasks.same.output.n }}"}}
        output: {steps: "{{ .tasks.steps.output.output }}", after: "{{ .tasks.after.output.n }}"}
    """)
    assert ran.output == {
        "steps": {"all": {"same": {"n": 1}, "two": {"n": "1 steps"}}, "two": "1 steps"},
        "after": "outer",
    }
    check_run(ran)


async def test_a_failure_ends_it_and_later_tasks_do_not_start(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: steps
            type: composite
            strategy: best_effort
            tasks: [{id: one, with: {n: 1}}, {id: two, prompt: "fail: it"}, {id: three, prompt: x}]
    """)
    assert ran.states == {"steps": "FAILED", "steps/one": "SUCCESS", "steps/two": "FAILED"}
    assert ran.message == "its task 'two' failed: no answer to 'fail: it'"
    assert ran.tasks["steps"].output == {"outputs": {"one": {"n": 1}, "two": None}}
    check_run(ran)


async def test_a_failure_inside_of_it_can_be_handled(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: steps
            type: composite
            tasks:
              - {id: one, prompt: "fail: it", on_error: {next: mend, with: {why: "{{ .error.code }}"}}}
              - {id: mend, with: {said: "{{ .input.why }}: {{ .tasks.one.status }}"}}
        output: {said: "{{ .tasks.steps.output.mend.output.said }}"}
    """)
    assert ran.output == {"said": "model: FAILED"}
    check_run(ran)


async def test_every_kind_inside_of_another(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: top
            type: collection
            items: [x, y]
            task:
              id: each
              type: parallel
              tasks:
                - id: steps
                  type: composite
                  tasks:
                    - id: sort
                      type: router
                      condition: "item == 'x' ? 'left' : 'right'"
                      routes: {left: {id: left, prompt: "left {{ .item }}"}, right: right}
                    - id: right
                      type: collection
                      items: 2
                      item_var: n
                      task: {id: deep, prompt: "{{ .parent.parent.parent.parent.id }} {{ .item }} {{ .n }}"}
                - id: sum
                  type: aggregate
                  outputs: {item: "{{ .item }}"}
        output: {all: "{{ .tasks.top.output.results }}"}
    """)
    assert ran.message == ""
    assert ran.states == {
        "top": "SUCCESS",
        "top/each-0": "SUCCESS",
        "top/each-1": "SUCCESS",
        **{f"top/each-{n}/{path}": "SUCCESS" for n in (0, 1) for path in ("steps", "sum", "steps/sort")},
        "top/each-0/steps/left": "SUCCESS",
        "top/each-1/steps/right": "SUCCESS",
        "top/each-1/steps/right/deep-0": "SUCCESS",
        "top/each-1/steps/right/deep-1": "SUCCESS",
    }
    assert sorted(flows.answers.asked) == ["left x", "top 0 0", "top 1 1"]
    assert [found["outputs"]["sum"] for found in ran.output["all"]] == [{"item": "x"}, {"item": "y"}]
    check_run(ran)
