"""Images in the results of MCP tools: stored once, sent to models that accept them, and named for the others."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, Reply, chat_reply, json_reply, serve_chat
from tests.harness.projects import query, write_project
from tests.integration.tool.test_mcp_projects import server

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 16).decode()
WAV = base64.b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()
NO_PICTURE = base64.b64encode(b"no picture").decode()


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """A model server."""
    with serve_chat() as server:
        yield server


def call_reply(*pictures: str) -> Reply:
    """Return the reply of a model that calls `echo`, which answers with a text and pictures."""
    document = json.loads(chat_reply("").body)
    arguments = json.dumps({"text": "Here it is.", "pictures": pictures})
    call = {"id": "c1", "type": "function", "function": {"name": "raw__echo", "arguments": arguments}}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}
    return json_reply({**document, "choices": [choice]})


def write(folder: Path, chat: ChatServer, kind: str = "openai") -> None:
    provider = {"id": "main", "type": kind, "base_url": chat.url, "model": "m", "max_attempts": 1, "timeout": "60s"}
    task = {"id": "ask", "prompt": "Show me.", "mcps": [server(folder)]}
    write_project(folder, {"w": {"tasks": [task]}}, llm={"providers": [provider]})


def sent(chat: ChatServer) -> tuple[str, Sequence[Any]]:
    """Return the result of the tool and what is behind it, as the last request sent them."""
    messages = chat.seen[-1].body["messages"]
    [index] = [number for number, message in enumerate(messages) if message["role"] == "tool"]
    behind = [part for message in messages[index + 1 :] for part in message["content"]]
    return messages[index]["content"], behind


def test_a_model_gets_the_images_of_a_result(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [call_reply(PNG, PNG), chat_reply("A picture.")]
    write(tmp_path, chat)
    done = cli("workflow", "run", "w", "--id", "r")
    assert done.status == 0, done.err
    text, behind = sent(chat)
    assert text == "Here it is.\n[image/png, 24 bytes]\n[image/png, 24 bytes]"
    images = [part["image_url"]["url"] for part in behind if part["type"] == "image_url"]
    assert images == [f"data:image/png;base64,{PNG}"] * 2
    # Stored once, by its hash; the recorded step only names it.
    assert query(tmp_path, "SELECT count(*) FROM attachments") == [(1,)]
    steps = dict(query(tmp_path, "SELECT function_name, output FROM operation_outputs"))
    [recorded] = [output for name, output in steps.items() if name.endswith("raw__echo")]
    assert '"sha256"' in recorded
    assert PNG not in recorded


def test_content_of_another_format_is_left_out(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [call_reply(NO_PICTURE), chat_reply("No picture.")]
    write(tmp_path, chat)
    done = cli("workflow", "run", "w")
    assert done.status == 0, done.err
    text, behind = sent(chat)
    assert text.endswith("[image/png, 10 bytes, left out: its content is of another format]")
    assert list(behind) == []
    assert query(tmp_path, "SELECT count(*) FROM attachments") == [(0,)]


def test_a_model_that_does_not_accept_a_file_gets_a_note(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [call_reply(WAV), chat_reply("A sound.")]
    write(tmp_path, chat, "ollama")
    done = cli("workflow", "run", "w")
    assert done.status == 0, done.err
    text, behind = sent(chat)
    # The content decides what a file is, not the server.
    assert text.endswith("[audio/wav, 16 bytes, left out: this model does not accept it]")
    assert list(behind) == []


def test_later_requests_have_the_image_too(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    chat.replies = [call_reply(PNG), call_reply(), chat_reply("A picture.")]
    write(tmp_path, chat)
    done = cli("workflow", "run", "w")
    assert done.status == 0, done.err
    urls = [json.dumps(seen.body).count(f"data:image/png;base64,{PNG}") for seen in chat.seen]
    assert urls == [0, 1, 1]
