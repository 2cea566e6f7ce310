"""Compaction: old turns become a recorded summary, calls stay with their results, and replays decide the same."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, Reply, chat_reply, json_reply, serve_chat
from tests.harness.processes import Commands
from tests.harness.projects import write_project

FUNCTIONS = """
def note(n: int) -> str:
    return f"note {n}: " + "word " * 50
"""


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """A model server."""
    with serve_chat() as server:
        yield server


def call_reply(n: int) -> Reply:
    """Return the reply of a model that calls `note`."""
    call = {"id": f"c{n}", "type": "function", "function": {"name": "note", "arguments": json.dumps({"n": n})}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
    )


def write(folder: Path, chat: ChatServer, compaction: dict[str, Any] | None, **more: Any) -> None:
    task = {
        "id": "ask",
        "prompt": "Take notes",
        "agent": {"instructions": "Be brief", "compaction": compaction},
        **more,
        "tools": [{"id": "note", "run": "../functions.py:note", "runtime": "python-inprocess"}],
    }
    provider = {"id": "p", "type": "openai", "base_url": chat.url, "model": "m", "max_attempts": 1, "timeout": "60s"}
    write_project(folder, {"w": {"tasks": [task]}}, llm={"providers": [provider]}, runtime={"allow_inprocess": True})
    (folder / "functions.py").write_text(FUNCTIONS)


def shape(chat: ChatServer, number: int) -> list[str]:
    """Return the messages of a request: roles, with the numbers of calls and results."""
    shapes: list[str] = []
    messages: list[dict[str, Any]] = chat.seen[number].body["messages"]
    for message in messages:
        calls: list[dict[str, Any]] = message.get("tool_calls") or []
        numbers = [str(call["id"]) for call in calls] or [message.get("tool_call_id", "")]
        shapes.append(" ".join([message["role"], *filter(None, numbers)]))
    return shapes


def test_old_turns_become_a_summary(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [*map(call_reply, range(3)), chat_reply("Notes 0 were taken."), chat_reply("Done.")]
    write(tmp_path, chat, {"max_tokens": 150, "keep_turns": 2})

    done = cli("workflow", "run", "w", "--id", "r", "--format", "json")

    document = json.loads(done.out)
    assert document["output"]["ask"]["text"] == "Done."
    assert shape(chat, 2) == ["system", "user", "assistant c0", "tool c0", "assistant c1", "tool c1"]
    # The request for the summary offers no tools and contains the texts and calls.
    assert shape(chat, 3) == ["user"]
    assert "tools" not in chat.seen[3].body
    asked = chat.seen[3].body["messages"][0]["content"]
    assert "User: Take notes" in asked
    assert 'Call of note with {"n":0}' in asked
    assert "Result of note: note 0: word" in asked
    assert "note 1" not in asked
    assert shape(chat, 4) == ["system", "user", "user", "assistant c1", "tool c1", "assistant c2", "tool c2"]
    told = chat.seen[4].body["messages"]
    assert told[0]["content"] == "Be brief"
    assert told[2]["content"] == "Summary of the conversation so far:\n\nNotes 0 were taken."
    # The summary counts towards the task's usage.
    assert [usage["requests"] for usage in document["usage"]] == [5]


def test_a_summary_is_requested_without_attachments(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [*map(call_reply, range(2)), chat_reply("Short."), chat_reply("Done.")]
    write(tmp_path, chat, {"max_tokens": 50, "keep_turns": 1}, attachments=[{"path": "page.txt"}])
    (tmp_path / "page.txt").write_text("the attached text")

    assert cli("workflow", "run", "w").status == 0

    held = ["the attached text" in json.dumps(seen.body["messages"]) for seen in chat.seen]
    assert held == [True, True, False, True]


def test_a_summary_replaces_the_one_before(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    summaries = {2: "First.", 4: "Second."}
    replies = [call_reply(0), call_reply(1), chat_reply(summaries[2]), call_reply(2), chat_reply(summaries[4])]
    chat.replies = [*replies, chat_reply("Done.")]
    write(tmp_path, chat, {"max_tokens": 50, "keep_turns": 1})

    assert cli("workflow", "run", "w").status == 0

    assert "Summary of the conversation so far:\n\nFirst." in chat.seen[4].body["messages"][0]["content"]
    last = [message["content"] for message in chat.seen[5].body["messages"] if message["role"] == "user"]
    assert last == ["Take notes", "Summary of the conversation so far:\n\nSecond."]


@pytest.mark.parametrize("compaction", [None, {"max_tokens": 150, "keep_turns": 4}, {"at": 1.0, "keep_turns": 1}])
def test_a_short_conversation_is_not_summarized(
    cli: RunCli, tmp_path: Path, chat: ChatServer, compaction: dict[str, Any] | None
) -> None:
    chat.replies = [*map(call_reply, range(3)), chat_reply("Done.")]
    write(tmp_path, chat, compaction)

    assert cli("workflow", "run", "w").status == 0

    assert len(chat.seen) == 4
    assert len(shape(chat, 3)) == 8


def test_a_replay_repeats_no_summary(commands: Commands, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [*map(call_reply, range(3)), chat_reply("Short."), Reply(hang=True), chat_reply("Done.")]
    write(tmp_path, chat, {"max_tokens": 150, "keep_turns": 2})
    killed = commands.start(tmp_path, "workflow", "run", "w", "--id", "r")
    killed.until(lambda: len(chat.seen) == 5)
    killed.send(signal.SIGKILL)
    killed.wait()

    done = commands.run(tmp_path, "workflow", "run", "w", "--id", "r", "--format", "json")

    assert json.loads(done.out)["output"]["ask"]["text"] == "Done."
    assert len(chat.seen) == 6
    assert chat.seen[4].body["messages"] == chat.seen[5].body["messages"]
