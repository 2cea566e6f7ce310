"""Runs that are cut anywhere and resumed in another process: the same result, and no repeated request."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from compozy.database.database import Database
from compozy.database.transitions import request_pause
from tests.harness.databases import migrated
from tests.harness.runs import Answers, Flows, Ran, Watch, check_run, flowing

# Each of them with a request before, inside and after.
KINDS = {
    "composite": """
        tasks:
          - {id: one, prompt: a}
          - id: steps
            type: composite
            tasks: [{id: x, prompt: b}, {id: y, prompt: "{{ .tasks.x.output.text }}"}]
          - {id: last, prompt: "{{ .tasks.steps.output.y.output.text }}"}
    """,
    "parallel": """
        tasks:
          - {id: one, prompt: a}
          - id: all
            type: parallel
            max_workers: 2
            tasks: [{id: x, prompt: b}, {id: y, prompt: c}, {id: z, prompt: d}]
            outputs: {all: "{{ .output }}", x: "{{ .children.x.output.text }}"}
          - {id: last, prompt: "{{ .tasks.all.output.x }}"}
    """,
    "race": """
        tasks:
          - id: all
            type: parallel
            strategy: race
            tasks: [{id: x, prompt: b}, {id: y, prompt: "hang: c"}]
          - {id: last, prompt: "{{ .tasks.all.children.y.status }}"}
    """,
    "collection": """
        tasks:
          - {id: one, prompt: a}
          - id: each
            type: collection
            items: "{{ list .tasks.one.output.text `b` now }}"
            filter: index < 2
            batch: 1
            with: {tag: t}
            task: {id: "{{ .input.tag }}-{{ .index }}", prompt: "{{ .item }} {{ .input.tag }}"}
          - {id: last, prompt: "{{ len .tasks.each.children }} {{ (index .tasks.each.output.results 1).text }}"}
    """,
    "retries": """
        config: {retry_policy: {initial_interval: 1ms}}
        tasks:
          - {id: one, prompt: "fail 1: a"}
          - id: steps
            type: composite
            config: {retry_policy: {initial_interval: 1ms, maximum_attempts: 2}}
            tasks: [{id: x, prompt: b}, {id: y, retries: 0, prompt: "fail 1: c"}]
          - {id: last, prompt: "{{ .tasks.steps.children.y.status }} {{ .tasks.one.output.text }}"}
    """,
    "handled": """
        tasks:
          - {id: one, prompt: "fail: a", on_error: {next: mend, with: {why: "{{ .error.code }} {{ now }}"}}, sleep: 1ms}
          - {id: mend, prompt: "{{ .error.code }} {{ .input.why | len | lt 5 }}", on_success: {next: sort}}
          - {id: sort, type: router, condition: "tasks.mend.status == 'SUCCESS'", routes: {true: sum}}
          - {id: sum, type: aggregate, outputs: {x: "{{ .tasks.mend.output.text }}", why: "{{ .error.code }}"}}
    """,
    "wait": """
        tasks:
          - {id: tell, type: signal, signal: {id: go, payload: {n: 1}}}
          - {id: again, type: signal, signal: {id: go, payload: {n: 2}}}
          - id: gate
            type: wait
            wait_for: go
            processor: {id: look, prompt: "n {{ .signal.payload.n }}"}
            condition: "processor.output.text == 're: n 2'"
          - {id: last, prompt: "{{ .tasks.gate.output.payload.n }} {{ len .tasks.gate.children }}"}
        output: {last: "{{ .tasks.last.output.text }}", looked: "{{ .tasks.gate.output.processor_output.text }}"}
    """,
    "nested": """
        tasks:
          - id: each
            type: collection
            items: 2
            task:
              id: e
              type: parallel
              tasks:
                - id: steps
                  type: composite
                  tasks: [{id: a, prompt: "a {{ .item }}"}, {id: b, prompt: "{{ .tasks.a.output.text }}"}]
                - {id: inner, type: collection, items: 2, task: {id: i, prompt: "{{ .item }} {{ .parent.parent.id }}"}}
          - {id: last, prompt: "{{ (index .tasks.each.children `e-1`).children.steps.output.b.output.text }}"}
    """,
}
MOST_CUTS = 60


async def run_whole(database: Database, kind: str) -> tuple[Ran, Watch, Answers]:
    async with flowing(database) as flows:
        ran = await flows.run(KINDS[kind])
    return ran, flows.watch, flows.answers


async def run_cut(database: Database, kind: str, cut_at: int) -> tuple[Ran, Answers]:
    """Pause the run after `cut_at` progress events; another runtime resumes it."""
    answers = Answers()
    async with flowing(database, answers=answers, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(KINDS[kind])
        ran = await flows.until(run_id, lambda ran: ran.status == "PAUSED" or ran.status.is_final)
    if not ran.status.is_final:
        async with flowing(database, answers=answers) as flows:
            await flows.resume(run_id)
            ran = await flows.ended(run_id)
    return ran, answers


def end_states(ran: Ran) -> dict[str, str]:
    return dict(sorted(ran.states.items()))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_is_cut_anywhere_has_the_same_result(kind: str) -> None:
    """In memory, where a restart is cheap; with a file and a server below."""
    with migrated(":memory:") as database:
        whole, watch, answers = await run_whole(database, kind)
        assert whole.status == "SUCCESS", whole.message
        asked = Counter(answers.asked)
        assert len(watch.told) < MOST_CUTS
        for cut_at in range(1, len(watch.told) + 1):
            ran, again = await run_cut(database, kind, cut_at)
            assert (ran.status, ran.output) == (whole.status, whole.output), (cut_at, ran.message)
            assert end_states(ran) == end_states(whole), cut_at
            assert Counter(again.answered) == Counter(answers.answered), cut_at
            if kind != "race":
                assert Counter(again.asked) == asked, cut_at
            assert ran.run.usage == whole.run.usage
            check_run(ran)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_process_that_stops_leaves_the_rest_to_the_next(database: Database, kind: str) -> None:
    whole, watch, _ = await run_whole(database, kind)
    answers, stop = Answers(), asyncio.Event()
    heard = Watch(on_count=(len(watch.told) // 2, stop.set))
    async with flowing(database, answers=answers, watch=heard) as flows:
        run_id = await flows.start(KINDS[kind])
        await stop.wait()
    async with flowing(database, answers=answers) as flows:
        ran = await flows.ended(run_id)
    assert (ran.status, ran.output) == (whole.status, whole.output)
    assert end_states(ran) == end_states(whole)
    check_run(ran)


async def test_a_decided_race_is_not_run_again(database: Database) -> None:
    """Cut between the end of the winner and that of the container."""
    answers = Answers()
    watch = Watch(cut_at="all/x ended SUCCESS")
    async with flowing(database, answers=answers, watch=watch) as flows:
        run_id = await flows.start(KINDS["race"])
        await flows.until(run_id, lambda ran: ran.status == "PAUSED")
    # The loser may have started by then, or not.
    assert watch.told[-1] == "all/x ended SUCCESS"
    asked = list(answers.asked)
    async with flowing(database, answers=answers) as flows:
        await flows.resume(run_id)
        ran = await flows.ended(run_id)
    assert answers.asked == [*asked, "CANCELED"]
    check_run(ran)


async def test_a_run_keeps_the_definition_that_it_started_with(database: Database) -> None:
    """The file changes between two processes, but the run keeps its tasks, conditions and error locations."""
    answers = Answers()
    async with flowing(database, answers=answers) as flows:
        run_id = await flows.start("""
            tasks:
              - {id: one, prompt: old}
              - {id: gate, type: wait, wait_for: go, condition: signal.payload.n == 1}
              - {id: two, prompt: "old {{ .tasks.one.output.text }}"}
        """)
        await flows.until_waiting(run_id, "gate")
    async with flowing(database, answers=answers) as flows:
        # The same ID with other tasks, as after an edit.
        other = await flows.run("tasks: [{id: two, prompt: new}]")
        await flows.signal(run_id, "go", {"n": 1})
        ran = await flows.ended(run_id)
    assert list(ran.states) == ["one", "gate", "two"]
    assert list(other.states) == ["two"]
    assert answers.asked == ["old", "new", "old re: old"]


async def test_pausing_records_tasks_in_progress(flows: Flows) -> None:
    run_id = await flows.start(
        "tasks: [{id: all, type: parallel, tasks: [{id: a, prompt: 'slow 0.3: a'}, {id: b, type: wait, wait_for: go}]}]"
    )
    await flows.until_waiting(run_id, "all/b")
    await flows.database.write_async(partial(request_pause, workflow_exec_id=run_id))
    flows.runtime.wake()
    ran = await flows.until(run_id, lambda ran: ran.status == "PAUSED")
    assert "all/a.model.request" in ran.steps
    await flows.signal(run_id, "go")
    await asyncio.sleep(0.3)
    assert (await flows.read(run_id)).status == "PAUSED"
    await flows.resume(run_id)
    assert (await flows.ended(run_id)).status == "SUCCESS"
    assert flows.answers.asked == ["slow 0.3: a"]


@pytest.mark.parametrize("kind", ["parallel", "collection"])
async def test_canceling_reaches_children_and_running_requests(flows: Flows, kind: str) -> None:
    inside = "tasks: [{id: a, prompt: 'hang: a'}, {id: b, type: wait, wait_for: go}]"
    if kind == "collection":
        inside = "items: 1, task: {id: e, type: parallel, %s}" % inside  # noqa: UP031 - braces
    run_id = await flows.start(f"tasks: [{{id: all, type: {kind}, {inside}}}, {{id: next, prompt: x}}]")
    await flows.until(run_id, lambda ran: "WAITING" in ran.states.values() and flows.answers.asked == ["hang: a"])
    assert await flows.runtime.cancel(run_id)
    ran = await flows.read(run_id)
    assert set(ran.states.values()) == {"CANCELED"}
    assert "next" not in ran.states
    assert flows.answers.hung_up == ["hang: a"]
    check_run(ran)
