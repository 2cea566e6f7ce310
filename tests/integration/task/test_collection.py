"""`collection`: one task per item, concurrently, one after another, or in batches."""

from __future__ import annotations

import pytest

from tests.harness.runs import Flows, check_run


async def test_one_task_for_each_item(flows: Flows) -> None:
    ran = await flows.run(
        """
        tasks:
          - id: each
            type: collection
            items: "{{ .input.names }}"
            task: {id: hello, prompt: "{{ .index }} {{ .item }}"}
        output:
          results: "{{ .tasks.each.output.results }}"
          counts: "{{ .tasks.each.output.item_count }} {{ .tasks.each.output.skipped_count }}"
          second: "{{ (index .tasks.each.children `hello-1`).output.text }}"
          same: "{{ (index .tasks.each.output `hello-1`).output.text }}"
        """,
        {"names": ["Ada", "Bo"]},
    )
    assert ran.output["results"] == [{"text": f"re: {text}", "response": f"re: {text}"} for text in ("0 Ada", "1 Bo")]
    assert (ran.output["counts"], ran.output["second"], ran.output["same"]) == ("2 0", "re: 1 Bo", "re: 1 Bo")
    assert list(ran.states) == ["each", "each/hello-0", "each/hello-1"]
    check_run(ran)


async def test_no_items_are_a_success(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: each
            type: collection
            items: []
            task: {id: t, prompt: x}
            outputs: {all: "{{ .results }}", count: "{{ len .output }}", progress: "{{ .progress }}"}
        output: {all: "{{ .tasks.each.output }}", own: "{{ .tasks.each.output.output.count }}"}
    """)
    found = ran.output["all"]
    assert (ran.status, found["all"], found["count"], ran.output["own"]) == ("SUCCESS", [], 0, 0)
    assert found["progress"]["overall_status"] == "completed"
    assert ran.states == {"each": "SUCCESS"}
    assert flows.answers.asked == []
    check_run(ran)


async def test_names_ids_filter_and_the_input_of_the_container(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - id: each
            type: collection
            items: [{id: a, n: 1}, {id: b, n: 2}, {id: c, n: 3}]
            filter: row.n != 2 && at < 3
            item_var: row
            index_var: at
            with: {base: 10, over: 1}
            task:
              id: "of-{{ .row.id }}"
              with: {sum: "{{ add .input.base .item.n .at }}", over: 2}
              outputs:
                {sum: "{{ .output.sum }}", over: "{{ .input.over }}", index: "{{ .index }}", all: "{{ .output }}"}
        output: {results: "{{ .tasks.each.output.results }}", skipped: "{{ .tasks.each.output.skipped_count }}"}
    """)
    assert ran.output == {
        "results": [
            {"sum": 11, "over": 2, "index": 0, "all": {"base": 10, "over": 2, "sum": 11}},
            {"sum": 14, "over": 2, "index": 1, "all": {"base": 10, "over": 2, "sum": 14}},
        ],
        "skipped": 1,
    }
    assert list(ran.states) == ["each", "each/of-a", "each/of-c"]


async def test_a_filter_may_be_a_template(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: each, type: collection, items: 5, filter: "{{ gt .item 2 }}", task: {id: t, with: {n: "{{ .item }}"}}}
        output: {all: "{{ .tasks.each.output.results }}"}
    """)
    assert ran.output == {"all": [{"n": 3}, {"n": 4}]}


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("true", "`items` is a list, a map, a whole number or JSON, got true"),
        ("100001", "a collection runs over at most 100000 items, got 100001"),
        ('"not json"', "line 1 of it is not JSON (Expecting value): 'not json'"),
    ],
)
async def test_invalid_items_fail_it(flows: Flows, items: str, told: str) -> None:
    ran = await flows.run(
        f"tasks: [{{id: each, type: collection, items: {items}, retries: 3, task: {{id: t, prompt: x}}}}]"
    )
    assert (ran.status, ran.tasks["each"].attempts) == ("FAILED", 1)
    assert told in ran.message
    check_run(ran)


async def test_duplicate_and_missing_ids_fail_it(flows: Flows) -> None:
    same = await flows.run("tasks: [{id: each, type: collection, items: [1, 1], task: {id: 'a-{{ .item }}'}}]")
    assert "1 task ID of the collection used more than once, such as 'a-1'" in same.message
    none = await flows.run("tasks: [{id: each, type: collection, items: ['a b'], task: {id: '{{ .item }}'}}]")
    assert "the id of the task for item 0 is 'a b'" in none.message


async def test_sequentially_each_item_waits_for_the_one_before(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: each, type: collection, items: 3, mode: sequential, task: {id: t, prompt: "slow 0.01: {{ .item }}"}}
    """)
    assert ran.status == "SUCCESS"
    told = [words for words in flows.watch.told if words.startswith("each/")]
    assert told == [f"each/t-{n} {what}" for n in range(3) for what in ("began", "ended SUCCESS")]
    check_run(ran)


async def test_batches_are_sequential(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: each, type: collection, items: 5, batch: 2, task: {id: t, prompt: "slow 0.02: {{ .item }}"}}
    """)
    order = [int(words[7]) // 2 for words in flows.watch.told if words.startswith("each/")]
    assert (ran.status, order) == ("SUCCESS", sorted(order))
    began = [words for words in flows.watch.told if words.endswith("began")]
    assert sorted(began[1:3]) == ["each/t-0 began", "each/t-1 began"]
    check_run(ran)


FAILS_AT_1 = "task: {id: t, prompt: '{{ if eq .item 1 }}fail: it{{ else }}{{ .item }}{{ end }}'}"


@pytest.mark.parametrize(
    ("options", "status", "states"),
    [
        ("mode: sequential", "FAILED", ("SUCCESS", "FAILED", "SUCCESS", "SUCCESS")),
        ("mode: sequential, strategy: fail_fast", "FAILED", ("SUCCESS", "FAILED", "CANCELED", "CANCELED")),
        ("batch: 2, strategy: fail_fast, max_workers: 1", "FAILED", ("SUCCESS", "FAILED", "CANCELED", "CANCELED")),
        ("batch: 2", "FAILED", ("SUCCESS", "FAILED", "SUCCESS", "SUCCESS")),
        ("batch: 1, strategy: best_effort", "SUCCESS", ("SUCCESS", "FAILED", "SUCCESS", "SUCCESS")),
        ("batch: 1, strategy: race", "SUCCESS", ("SUCCESS", "CANCELED", "CANCELED", "CANCELED")),
        ("mode: sequential, strategy: race", "SUCCESS", ("SUCCESS", "CANCELED", "CANCELED", "CANCELED")),
    ],
)
async def test_how_it_ends(flows: Flows, options: str, status: str, states: tuple[str, ...]) -> None:
    ran = await flows.run(f"tasks: [{{id: each, type: collection, items: 4, {options}, {FAILS_AT_1}}}]")
    assert ran.states == {"each": status, **{f"each/t-{number}": state for number, state in enumerate(states)}}
    assert ran.status == status
    check_run(ran)


async def test_a_thousand_items(flows: Flows) -> None:
    """A pool that checked all its tasks at every end would need minutes, more than a test may take."""
    ran = await flows.run("""
        tasks:
          - {id: each, type: collection, items: 1000, max_workers: 20, task: {id: t, with: {n: "{{ .item }}"}}}
        output: {last: "{{ (last .tasks.each.output.results).n }}"}
    """)
    assert (ran.output, len(ran.tasks)) == ({"last": 999}, 1001)
    check_run(ran)
