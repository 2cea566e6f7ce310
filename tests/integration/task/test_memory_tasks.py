"""`type: memory`: operations on conversations are recorded, and a change is made once."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.database.database import Database
from tests.harness.remembering import Listening, asking, rows_with, texts_of
from tests.harness.runs import Document, Flows, Watch, check_run, flowing

MEMORY = {"id": "chat", "type": "message_count_based", "max_messages": 4}


def operating(*operations: Document) -> Document:
    """Return a workflow of memory tasks on one conversation."""
    common: Document = {"type": "memory", "memory_ref": "chat", "key_template": "user:ana", "memory": MEMORY}
    tasks = [{"id": f"t{number}", **common, **each} for number, each in enumerate(operations)]
    return {"tasks": tasks}


def outputs(ran: Any) -> list[Any]:
    return [task.output for task in ran.tasks.values()]


async def test_operations(flows: Flows) -> None:
    payload = [{"role": "user", "content": "{{ .workflow.input.text }}"}, {"role": "assistant", "content": "yes"}]
    ran = await flows.run(
        operating(
            {"operation": "append", "payload": payload},
            {"operation": "append", "payload": "and?"},
            {"operation": "read"},
            {"operation": "stats"},
            {"operation": "health"},
            {"operation": "append", "payload": payload},
            {"operation": "flush", "flush_config": {"dry_run": True}},
            {"operation": "flush"},
            {"operation": "write", "payload": {"role": "system", "content": "be brief"}},
            {"operation": "clear", "clear_config": {"confirm": True}},
            {"operation": "delete"},
            {"operation": "delete"},
        ),
        {"text": "hello"},
    )
    check_run(ran)
    found = outputs(ran)
    assert found[0] == {"success": True, "appended": 2, "total_count": 2, "key": "user:ana"}
    assert found[1]["total_count"] == 3
    assert found[2] == {
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "and?"},
        ],
        "count": 3,
        "key": "user:ana",
    }
    assert (found[3]["message_count"], found[3]["actual_strategy"], found[3]["last_flush"]) == (3, "simple_fifo", None)
    assert found[4] == {
        "healthy": True,
        "key": "user:ana",
        "token_count": found[3]["token_count"],
        "message_count": 3,
        "actual_strategy": "simple_fifo",
    }
    # The oldest turn made room.
    assert (found[5]["appended"], found[5]["total_count"]) == (2, 3)
    assert (found[6]["dry_run"], found[6]["would_flush"]) == (True, False)
    assert (found[7]["success"], found[7]["message_count"]) == (True, 3)
    assert found[8] == {"success": True, "count": 1, "key": "user:ana"}
    assert found[9] == {"success": True, "key": "user:ana", "messages_cleared": 1, "backup_created": False}
    assert [each["success"] for each in found[10:]] == [True, False]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"operation": "append"}, "needs a `payload`"),
        ({"operation": "append", "payload": {"role": "robot", "content": "x"}}, "an unknown role"),
        ({"operation": "append", "payload": 5}, "an unknown role"),
        ({"operation": "clear"}, "must be confirmed"),
        ({"operation": "read", "key_template": "{{ .workflow.input.nobody }}"}, "is empty"),
    ],
)
async def test_refusals(flows: Flows, task: Document, words: str) -> None:
    ran = await flows.run(operating(task), {"nobody": ""})
    assert words in ran.message


async def test_an_agent_reads_a_message_of_a_task(database: Database) -> None:
    model = Listening()
    first = operating({"operation": "append", "payload": {"role": "system", "content": "The user is Ana"}})
    first["tasks"] += asking("Who am I?", key="user:ana")["tasks"]
    async with flowing(database, answers=model) as flows:
        check_run(await flows.run(first))
    assert model.heard == [["system: The user is Ana", "user: Who am I?"]]


@pytest.mark.parametrize("cut_at", range(1, 5))
async def test_a_resumed_run_appends_once(database: Database, cut_at: int) -> None:
    workflow = operating({"operation": "append", "payload": "a"}, {"operation": "append", "payload": "b"})
    async with flowing(database, watch=Watch(cut_at=cut_at)) as flows:
        run_id = await flows.start(workflow)
        await flows.until(run_id, lambda ran: ran.status.value in {"PAUSED", "SUCCESS"})
    async with flowing(database) as flows:
        if (await flows.read(run_id)).status.value == "PAUSED":
            await flows.resume(run_id)
        check_run(await flows.ended(run_id))
    assert texts_of(database, "chat", "user:ana") == ["user: a", "user: b"]


async def test_a_payload_is_redacted_everywhere(flows: Flows) -> None:
    """The text is written by a task, so that no table may hold it besides the definition with its template."""
    workflow = operating(
        {"operation": "append", "payload": 'card {{ printf "%d-%d" 1234 5678 }}'}, {"operation": "read"}
    )
    for task in workflow["tasks"]:
        task["memory"] = {**MEMORY, "privacy_policy": {"redact_patterns": [r"\d{4}-\d{4}"]}}
    check_run(await flows.run(workflow))
    assert texts_of(flows.database, "chat", "user:ana") == ["user: card [REDACTED]"]
    assert rows_with(flows.database, "1234-5678") == []
