"""Agents that remember: turns are read as a recorded step and stored with the end of the task, once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from compozy.clock import now_ms
from compozy.database.database import Database
from compozy.database.memories import (
    Message,
    append_messages,
    count_expired,
    find_memory,
    list_memories,
    lock_memory,
    touch_memory,
)
from compozy.memory.upkeep import forget_expired, forgetting
from compozy.transfer.prune_others import prune_others
from tests.harness.remembering import Listening, asking, messages_of, rows_with, texts_of
from tests.harness.runs import Flows, Watch, check_run, flowing


@pytest.fixture
def model() -> Listening:
    """A model that keeps what it hears."""
    return Listening()


@pytest.fixture
async def talking(database: Database, model: Listening) -> AsyncGenerator[Flows, None]:
    """Runs workflows with it."""
    async with flowing(database, answers=model) as running:
        yield running


async def test_a_run_continues_the_conversation_of_an_earlier_one(talking: Flows, model: Listening) -> None:
    for prompt in ("I am Ana", "Who am I?"):
        check_run(await talking.run(asking(prompt)))

    assert model.heard == [["user: I am Ana"], ["user: I am Ana", "assistant: re: I am Ana", "user: Who am I?"]]
    stored = messages_of(talking.database, "chat", "ana")
    assert [(each.role, each.content, each.path, each.n) for each in stored] == [
        ("user", "I am Ana", "ask", 0),
        ("assistant", "re: I am Ana", "ask", 1),
        ("user", "Who am I?", "ask", 0),
        ("assistant", "re: Who am I?", "ask", 1),
    ]
    assert len({each.execution_id for each in stored}) == 2


async def test_keys_are_templates_and_separate_conversations(talking: Flows, model: Listening) -> None:
    for person in ("ana", "bo", "ana"):
        workflow = asking("hi {{ .workflow.input.person }}", key="user:{{ .workflow.input.person }}")
        ran = await talking.run(workflow, {"person": person})
    assert ran.tasks["ask"].input["memory"] == [{"id": "chat", "key": "user:ana"}]
    assert model.heard[1] == ["user: hi bo"]
    assert model.heard[2] == ["user: hi ana", "assistant: re: hi ana", "user: hi ana"]


async def test_an_empty_key_fails_before_the_model_is_asked(talking: Flows, model: Listening) -> None:
    workflow = asking("hi", key="{{ .workflow.input.person }}")
    ran = await talking.run(workflow, {"person": " "})
    assert ran.run.error is not None
    assert (ran.run.error["code"], ran.message) == ("memory", "memory 'chat': the key of the conversation is empty")
    assert "at most 256 are allowed" in (await talking.run(workflow, {"person": "x" * 257})).message
    missing = await talking.run(workflow, {})
    assert missing.run.error is not None
    assert missing.run.error["code"] == "template_render"
    assert model.heard == []


async def test_a_failed_task_leaves_no_half_turn(talking: Flows) -> None:
    await talking.run(asking("fail: no"))
    task = asking("hello")["tasks"][0]
    await talking.run({"tasks": [{**task, "outputs": {"x": "{{ .output.nothing.at.all }}"}}]})
    assert texts_of(talking.database, "chat", "ana") == []


async def test_only_reading_stores_nothing(talking: Flows, model: Listening) -> None:
    await talking.run(asking("one"))
    await talking.run(asking("two", mode="read-only"))
    assert model.heard[1] == ["user: one", "assistant: re: one", "user: two"]
    assert texts_of(talking.database, "chat", "ana") == ["user: one", "assistant: re: one"]


async def test_the_oldest_turns_are_removed_whole(talking: Flows, model: Listening) -> None:
    limits = {"type": "message_count_based", "max_messages": 5}
    for prompt in ("a", "b", "c", "d"):
        await talking.run(asking(prompt, **limits))
    assert model.heard[-1] == ["user: b", "assistant: re: b", "user: c", "assistant: re: c", "user: d"]
    assert texts_of(talking.database, "chat", "ana") == [
        "user: c",
        "assistant: re: c",
        "user: d",
        "assistant: re: d",
    ]


async def test_old_turns_become_a_recorded_summary(talking: Flows, model: Listening) -> None:
    limits = {"type": "message_count_based", "max_messages": 6, "flushing": {"type": "hybrid_summary"}}
    for prompt in ("a", "b", "c"):
        ran = await talking.run(asking(prompt, **limits))
    # The third turn passed the threshold: the model was asked for a summary, in a step like any request.
    assert ran.steps.count("ask.model.request") == 2
    assert ran.run.usage is not None
    assert ran.run.usage[0]["requests"] == 2
    assert "Summarize it in at most 500 tokens" in model.heard[-1][0]
    assert "User: a" in model.heard[-1][0]
    await talking.run(asking("d", **limits))
    assert model.heard[4][0].startswith("user: Summary of the earlier conversation:\n\nre: Below is")
    with talking.database.read() as connection:
        memory = find_memory(connection, "chat", "ana")
    assert memory.summary is not None
    assert memory.flushed_ms is not None
    check_run(ran)


async def test_without_a_summary_the_oldest_turns_go(talking: Flows, model: Listening) -> None:
    """A model that fails to summarize does not fail the task."""
    limits = {"type": "message_count_based", "max_messages": 4, "flushing": {"type": "hybrid_summary"}}
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - only the request for a summary fails

    async def answer(prompt: str) -> str:
        return await asked("fail: x" if prompt.startswith("Below is") else prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    for prompt in ("a", "b", "c"):
        ran = await talking.run(asking(prompt, **limits))
        assert ran.status.value == "SUCCESS"
    assert texts_of(talking.database, "chat", "ana") == ["user: b", "assistant: re: b", "user: c", "assistant: re: c"]


async def test_texts_are_redacted_before_they_are_stored(talking: Flows, model: Listening) -> None:
    policy = {"redact_patterns": [r"\d{4}-\d{4}"], "default_redaction_string": r"<\1>"}
    await talking.run(asking("my card is 1234-5678", privacy_policy=policy))
    await talking.run(asking("and?", privacy_policy={**policy, "non_persistable_message_types": ["user"]}))
    assert texts_of(talking.database, "chat", "ana") == [
        r"user: my card is <\1>",
        r"assistant: re: my card is <\1>",
        "assistant: re: and?",
    ]
    assert "memory_messages" not in rows_with(talking.database, "1234-5678")
    assert model.heard[1][0] == r"user: my card is <\1>"


async def test_expired_content_is_forgotten(talking: Flows, model: Listening) -> None:
    await talking.run(asking("one", persistence={"ttl": "1h"}))
    with talking.database.write() as connection:
        memory = lock_memory(connection, "chat", "ana")
        assert memory.expires_ms is not None
        assert memory.expires_ms > now_ms()
        touch_memory(connection, memory, ttl_ms=-1)
    await talking.run(asking("other", key="bo"))
    assert prune_others(talking.database, before_ms=0).conversations == 1
    assert not {"memories", "memory_messages"} & set(rows_with(talking.database, "'ana'"))
    assert texts_of(talking.database, "chat", "bo") == ["user: other", "assistant: re: other"]
    await talking.run(asking("two", persistence={"ttl": "1h"}))
    assert model.heard[-1] == ["user: two"]
    assert texts_of(talking.database, "chat", "ana") == ["user: two", "assistant: re: two"]


@pytest.mark.parametrize("strict", [False, True])
async def test_two_runs_on_one_key(database: Database, *, strict: bool) -> None:
    """The second run appends after the first one, though both read the same; with `strict` it fails."""
    model = Listening()
    released = asyncio.Event()
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - it answers one prompt when it is released

    async def answer(prompt: str) -> str:
        if prompt == "first":
            await released.wait()
        return await asked(prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    async with flowing(database, answers=model) as flows:
        first = await flows.start(asking("first", strict=strict))
        await flows.until(first, lambda _: bool(model.heard))
        second = await flows.run(asking("second", strict=strict))
        released.set()
        ran = await flows.ended(first)
    check_run(ran)
    check_run(second)
    stored = ["user: second", "assistant: re: second"]
    if strict:
        assert ran.run.error is not None
        assert (ran.run.error["code"], ran.states) == ("conflict", {"ask": "FAILED"})
    else:
        stored += ["user: first", "assistant: re: first"]
    assert texts_of(database, "chat", "ana") == stored


async def test_a_conflict_leads_to_the_task_on_error(database: Database) -> None:
    """The task after a success is not started."""
    model = Listening()
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - the conversation changes while it answers

    async def answer(prompt: str) -> str:
        with database.write() as connection:
            touch_memory(connection, lock_memory(connection, "chat", "ana"), ttl_ms=None)
        return await asked(prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    workflow = asking("x", strict=True)
    workflow["tasks"][0] |= {"on_success": {"next": "good"}, "on_error": {"next": "bad"}}
    workflow["tasks"] += [{"id": "good", "final": True}, {"id": "bad", "final": True}]
    async with flowing(database, answers=model) as flows:
        ran = await flows.run(workflow)
    check_run(ran)
    assert ran.states == {"ask": "FAILED", "bad": "SUCCESS"}


@pytest.mark.parametrize("strategy", ["best_effort", "race"])
async def test_a_conflict_decides_a_container_as_any_other_failure(database: Database, strategy: str) -> None:
    """The next item was left out, and a race was won by the task that failed."""
    model = Listening()
    asked = model._answer  # pyright: ignore[reportPrivateUsage] - the conversation changes while it answers

    async def answer(prompt: str) -> str:
        if prompt == "q0":
            with database.write() as connection:
                touch_memory(connection, lock_memory(connection, "chat", "ana"), ttl_ms=None)
        return await asked(prompt)

    model._answer = answer  # pyright: ignore[reportPrivateUsage] - see above
    task = {**asking("q{{ .index }}", strict=True)["tasks"][0], "id": "ask"}
    items = {"id": "all", "type": "collection", "items": 3, "max_workers": 1, "strategy": strategy, "task": task}
    async with flowing(database, answers=model) as flows:
        ran = await flows.run({"tasks": [items]})
    check_run(ran)
    last = "SUCCESS" if strategy == "best_effort" else "CANCELED"
    assert ran.run.status.value == "SUCCESS"
    assert ran.states == {"all": "SUCCESS", "all/ask-0": "FAILED", "all/ask-1": "SUCCESS", "all/ask-2": last}


async def test_concurrent_runs_keep_their_turns_together(database: Database) -> None:
    model = Listening()
    async with flowing(database, answers=model, max_concurrent=20) as flows:
        ids = [await flows.start(asking(f"turn {number}")) for number in range(20)]
        for run_id in ids:
            check_run(await flows.ended(run_id))
    stored = texts_of(database, "chat", "ana")
    pairs = [(stored[index], stored[index + 1]) for index in range(0, 40, 2)]
    assert sorted(pairs) == sorted((f"user: turn {n}", f"assistant: re: turn {n}") for n in range(20))
    numbers = [each.seq for each in messages_of(database, "chat", "ana")]
    assert numbers == list(range(1, 41))


@pytest.mark.parametrize("cut_at", ["ask began", 1, 2, 3])
async def test_a_resumed_run_reads_what_it_read_before(database: Database, cut_at: Any) -> None:
    """A run that is halted and resumed asks with the messages that it recorded, and stores its turn once."""
    model = Listening()
    async with flowing(database, answers=model) as flows:
        await flows.run(asking("before"))
    watch = Watch(cut_at=cut_at)
    workflow = asking("tools: []")
    workflow["tasks"] = [{"id": "first"}, {**workflow["tasks"][0], "prompt": "question"}]
    async with flowing(database, answers=model, watch=watch) as flows:
        run_id = await flows.start(workflow)
        await flows.until(run_id, lambda ran: ran.status.value in {"PAUSED", "SUCCESS"})
    async with flowing(database, answers=model) as flows:
        if (await flows.read(run_id)).status.value == "PAUSED":
            await flows.resume(run_id)
        check_run(await flows.ended(run_id))
    assert texts_of(database, "chat", "ana") == [
        "user: before",
        "assistant: re: before",
        "user: question",
        "assistant: re: question",
    ]


async def test_processes_that_stay_delete_expired_conversations(database: Database) -> None:
    """Until then, reading hides them; conversations that have not expired stay."""
    made = Message(role="user", content="x", tokens=1)
    with database.write() as connection:
        for number in range(450):
            append_messages(connection, lock_memory(connection, "chat", f"old-{number}"), [made], ttl_ms=-1)
        append_messages(connection, lock_memory(connection, "chat", "new"), [made], ttl_ms=3_600_000)
        append_messages(connection, lock_memory(connection, "chat", "forever"), [made], ttl_ms=None)
    async with forgetting(database):
        while count := await database.read_async(lambda connection: count_expired(connection, now_ms())):
            assert count <= 450
            await asyncio.sleep(0.02)
    assert await forget_expired(database) == 0
    with database.read() as connection:
        assert [memory.key for memory, _ in list_memories(connection)] == ["forever", "new"]
    assert texts_of(database, "chat", "new") == ["user: x"]
    assert texts_of(database, "chat", "old-3") == []
