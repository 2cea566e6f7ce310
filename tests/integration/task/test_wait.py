"""`wait` and `signal`: runs that wait for each other, for programs and for people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import Event

import pytest

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.errors import SchemaMismatchError
from compozy.workflow import operate
from compozy.workflow.operate import approve, signal
from tests.harness.runs import Flows, check_run, flowing

WAIT = """
    tasks:
      - {id: before, prompt: first}
      - {id: gate, type: wait, wait_for: "go-{{ .input.n }}"%s}
      - {id: after, prompt: "after {{ .tasks.gate.output.payload.who }}"}
    output: {gate: "{{ .tasks.gate.output }}", said: "{{ .tasks.after.output.text }}"}
"""


def wait(more: str = "") -> str:
    return WAIT % more


async def test_a_signal_continues_a_run(flows: Flows) -> None:
    run_id = await flows.start(wait(), {"n": 1})
    waiting = await flows.until_waiting(run_id, "gate")
    assert waiting.tasks["gate"].waits_for == "go-1"
    assert waiting.tasks["gate"].output == {
        "wait_status": "waiting",
        "signal_name": "go-1",
        "has_processor": False,
    }
    await flows.signal(run_id, "go-1", {"who": "Ada"})
    ran = await flows.ended(run_id)
    assert ran.output["said"] == "re: after Ada"
    gate = ran.output["gate"]
    assert (gate["wait_status"], gate["payload"]) == ("completed", {"who": "Ada"})
    assert gate["signal"]["metadata"]["signal_id"] == "go-1"
    assert flows.answers.asked == ["first", "after Ada"]
    assert "gate waits for go-1" in flows.watch.told
    check_run(ran)


async def test_a_signal_may_come_before_the_wait(flows: Flows) -> None:
    run_id = await flows.start("""
        tasks:
          - {id: slow, prompt: "slow 0.2: x"}
          - {id: gate, type: wait, wait_for: go}
        output: {n: "{{ .tasks.gate.output.payload.n }}"}
    """)
    await flows.signal(run_id, "go", {"n": 7})
    ran = await flows.ended(run_id)
    assert ran.output == {"n": 7}
    check_run(ran)


async def test_signals_that_the_condition_refuses_are_dropped(flows: Flows) -> None:
    run_id = await flows.start(
        """
        tasks:
          - id: gate
            type: wait
            wait_for: go
            condition: signal.payload.n > 1 && input.on
            outputs: {n: "{{ .signal.payload.n }}", all: "{{ .output.wait_status }}"}
            on_success: {next: last, with: {got: "{{ .signal.payload.n }} {{ .tasks.gate.output.n }}"}}
          - id: last
            on_success: {next: open}
          - {id: open, type: wait, wait_for: end}
        output: {last: "{{ .tasks.last.output.got }}", gate: "{{ .tasks.gate.output }}"}
    """,
        {"on": True},
    )
    for number in (0, 1, 2, 3):
        await flows.signal(run_id, "go", {"n": number})
    await flows.signal(run_id, "end")
    ran = await flows.ended(run_id)
    assert ran.output == {"last": "2 2", "gate": {"n": 2, "all": "completed"}}
    check_run(ran)


async def test_one_signal_is_taken_by_one_wait(flows: Flows) -> None:
    run_id = await flows.start("""
        tasks:
          - id: both
            type: parallel
            tasks: [{id: a, type: wait, wait_for: go}, {id: b, type: wait, wait_for: go}]
        output: {all: "{{ .tasks.both.output.outputs }}"}
    """)
    await flows.until_waiting(run_id, "both/a", "both/b")
    await flows.signal(run_id, "go", {"n": 1})
    ran = await flows.until(run_id, lambda ran: "SUCCESS" in ran.states.values())
    assert sorted(ran.states.values()) == ["RUNNING", "SUCCESS", "WAITING"]
    await flows.signal(run_id, "go", {"n": 2})
    ran = await flows.ended(run_id)
    assert sorted(found["payload"]["n"] for found in ran.output["all"].values()) == [1, 2]
    check_run(ran)


async def test_each_signal_is_processed_by_the_processor(flows: Flows) -> None:
    run_id = await flows.start("""
        tasks:
          - id: gate
            type: wait
            wait_for: go
            processor: {id: look, prompt: 'json: {"fine": {{ .signal.payload.fine }} }', output: {type: object}}
            condition: processor.output.fine
        output: {found: "{{ .tasks.gate.output.processor_output }}", wait: "{{ .tasks.gate.output.wait_status }}"}
    """)
    await flows.signal(run_id, "go", {"fine": False})
    await flows.signal(run_id, "go", {"fine": True})
    ran = await flows.ended(run_id)
    assert ran.output == {"found": {"fine": True}, "wait": "completed"}
    assert ran.states == {"gate": "SUCCESS", "gate/look-0": "SUCCESS", "gate/look-1": "SUCCESS"}
    assert ran.run.usage is not None
    assert ran.run.usage[0]["requests"] == 2
    check_run(ran)


async def test_a_processor_that_fails_fails_the_wait(flows: Flows) -> None:
    run_id = await flows.start(
        "tasks: [{id: gate, type: wait, wait_for: go, processor: {id: look, prompt: 'fail: it'}}]"
    )
    await flows.signal(run_id, "go")
    ran = await flows.ended(run_id)
    assert ran.message == "its processor 'look-0' failed: no answer to 'fail: it'"
    check_run(ran)


@pytest.mark.parametrize("handled", [False, True])
async def test_no_signal_before_the_timeout(flows: Flows, handled: bool) -> None:
    gate = "{id: gate, type: wait, wait_for: go, timeout: 100ms"
    late = '{id: late, with: {x: "{{ .tasks.gate.status }} {{ .tasks.gate.output.wait_status }}"}}'
    ran = await flows.run(
        f"tasks: [{gate}, on_timeout: late}}, {{id: next}}, {late}]" if handled else f"tasks: [{gate}}}, {{id: next}}]"
    )
    assert ran.states["gate"] == "TIMED_OUT"
    assert "next" not in ran.states
    assert ran.status == ("SUCCESS" if handled else "FAILED")
    if handled:
        assert ran.tasks["late"].output == {"x": "TIMED_OUT timed_out"}
    else:
        assert ran.message == "task 'gate' was not finished within 0.1 s"
    check_run(ran)


async def test_a_form_accepts_only_valid_payloads(flows: Flows) -> None:
    run_id = await flows.start("""
        tasks:
          - id: ask
            type: wait
            wait_for: release
            form: {type: object, properties: {ok: {type: boolean}}, required: [ok]}
        output: {ok: "{{ .tasks.ask.output.payload.ok }}"}
    """)
    waiting = await flows.until_waiting(run_id, "ask")
    assert waiting.tasks["ask"].output["form"]["required"] == ["ok"]
    for way in (approve(flows.database, run_id, {"ok": "maybe"}), signal(flows.database, run_id, "release", {})):
        with pytest.raises(SchemaMismatchError, match="does not match the form of task 'ask'"):
            await way
    await approve(flows.database, run_id, {"ok": False})
    ran = await flows.ended(run_id)
    assert ran.output == {"ok": False}
    check_run(ran)


def send_approval(database: Database, run_id: str) -> Coroutine[None, None, object]:
    return approve(database, run_id, {"n": 1})


def send_signal(database: Database, run_id: str) -> Coroutine[None, None, object]:
    return signal(database, run_id, "release", {"n": 1})


@pytest.mark.parametrize("answer", [send_approval, send_signal])
async def test_the_database_is_writable_while_a_form_is_validated(
    flows: Flows, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Database, str], Coroutine[None, None, object]]
) -> None:
    run_id = await flows.start(
        "tasks: [{id: ask, type: wait, wait_for: release, form: {type: object, properties: {n: {type: integer}}}}]"
    )
    await flows.until_waiting(run_id, "ask")
    begun, may_end = Event(), Event()

    def validate_slowly(*_: object) -> list[tuple[str, str]]:
        begun.set()
        assert may_end.wait(60)
        return []

    monkeypatch.setattr(operate, "validate_value", validate_slowly)
    answering = asyncio.create_task(answer(flows.database, run_id))
    assert await asyncio.to_thread(begun.wait, 60)
    other = await flows.start("tasks: [{id: gate, type: wait, wait_for: go}]")
    await flows.until_waiting(other, "gate")
    may_end.set()
    await answering
    check_run(await flows.ended(run_id))


async def test_an_invalid_payload_before_the_wait_is_reported(flows: Flows) -> None:
    form = "{type: object, properties: {ok: {type: boolean}, by: {default: me}}, required: [ok]}"
    run_id = await flows.start(f"""
        tasks:
          - {{id: tell, type: signal, signal: {{id: release, payload: {{ok: maybe}}}}}}
          - id: ask
            type: wait
            wait_for: release
            form: {form}
            processor: {{id: look, prompt: "look at {{{{ .signal.payload.ok }}}}"}}
        output: {{got: "{{{{ .tasks.ask.output.payload }}}}"}}
    """)
    asking = await flows.until(run_id, lambda ran: "ask" in ran.tasks and "refused" in (ran.tasks["ask"].output or {}))
    (refused,) = asking.tasks["ask"].output["refused"]
    assert (refused["sent_by"], refused["payload"]) == (run_id, {"ok": "maybe", "by": "me"})
    assert [problem["path"] for problem in refused["problems"]] == ["ok"]
    # It is reported once, even if another process resumes the run, and no model is asked about it.
    assert asking.states["ask"] == "WAITING"
    await signal(flows.database, run_id, "release", {"ok": True})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert ran.output == {"got": {"ok": True, "by": "me"}}
    assert flows.answers.asked == ["look at true"]
    check_run(ran)


WAITS = 'tasks: [{id: gate, type: wait, wait_for: go}]\noutput: {n: "{{ .tasks.gate.output.payload.n }}"}'


async def test_a_signal_reaches_all_runs_that_wait_for_it(flows: Flows) -> None:
    waiting = [await flows.start(WAITS), await flows.start(WAITS)]
    other = await flows.start(WAITS.replace("wait_for: go", "wait_for: stay"))
    await asyncio.gather(*(flows.until_waiting(run_id, "gate") for run_id in (*waiting, other)))
    sent = await flows.run(
        """
        tasks: [{id: tell, type: signal, signal: {id: go, payload: {n: "{{ .input.n }}"}}}]
        output: {to: "{{ .tasks.tell.output.delivered_to }}", name: "{{ .tasks.tell.output.signal_id }}"}
    """,
        {"n": 5},
    )
    assert set(sent.output["to"]) == {sent.run.workflow_exec_id, *waiting}
    assert sent.output["name"] == "go"
    for run_id in waiting:
        ran = await flows.ended(run_id)
        assert ran.output == {"n": 5}
        assert ran.tasks["gate"].output["signal"]["metadata"]["sent_by"] == sent.run.workflow_exec_id
    assert (await flows.read(other)).states == {"gate": "WAITING"}
    check_run(sent)


async def test_a_signal_can_be_for_one_run_only(flows: Flows) -> None:
    chosen, other = await flows.start(WAITS), await flows.start(WAITS)
    await asyncio.gather(*(flows.until_waiting(run_id, "gate") for run_id in (chosen, other)))
    tell = """
        tasks:
          - {id: tell, type: signal, signal: {id: go, execution: "{{ .input.to }}", payload: {n: 1}}}
    """
    sent = await flows.run(tell, {"to": chosen})
    assert sent.tasks["tell"].output["delivered_to"] == [chosen]
    assert (await flows.ended(chosen)).output == {"n": 1}
    assert (await flows.read(other)).states == {"gate": "WAITING"}
    late = await flows.run(tell, {"to": chosen})
    assert (late.status, late.run.error["code"] if late.run.error else "") == ("FAILED", "conflict")
    nobody = await flows.run(tell, {"to": "nobody"})
    assert "nobody" in nobody.message


async def test_a_run_signals_itself(flows: Flows) -> None:
    ran = await flows.run("""
        tasks:
          - {id: tell, type: signal, signal: {id: go, payload: {n: 3}}}
          - {id: gate, type: wait, wait_for: go}
        output: {n: "{{ .tasks.gate.output.payload.n }}"}
    """)
    assert ran.output == {"n": 3}
    check_run(ran)


async def test_a_run_that_waits_for_long_releases_its_slot(database: Database) -> None:
    async with flowing(database, max_concurrent=1) as flows:
        run_id = await flows.start(wait(), {"n": 1})
        await flows.until(run_id, lambda ran: ran.status == "WAITING" and ran.run.owner is None)
        # The only slot is free.
        assert (await flows.run("tasks: [{id: t, with: {x: 1}}]")).status == "SUCCESS"
        await flows.signal(run_id, "go-1", {"who": "Bo"})
        ran = await flows.ended(run_id)
    assert ran.output["said"] == "re: after Bo"
    assert flows.answers.asked == ["first", "after Bo"]
    check_run(ran)


async def test_the_time_limit_of_a_wait_includes_time_without_an_executor(database: Database) -> None:
    document = "tasks: [{id: gate, type: wait, wait_for: go, timeout: 4s, on_timeout: late}, {id: late}]"
    async with flowing(database) as flows:
        run_id = await flows.start(document)
        await flows.until_waiting(run_id, "gate")
    await asyncio.sleep(4)
    began_ms = now_ms()
    async with flowing(database) as flows:
        ran = await flows.ended(run_id)
    assert ran.states == {"gate": "TIMED_OUT", "late": "SUCCESS"}
    assert (ran.tasks["gate"].started_ms or 0) <= began_ms - 4000
    check_run(ran)
