"""Output of `workflow run` for unusual answers, with a server that answers over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, chat_reply, serve_chat
from tests.harness.projects import write_project

_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serve_chat() as server:
        yield server


def write(folder: Path, server: ChatServer, **task: Any) -> None:
    workflow = {"tasks": [{"id": "ask", "prompt": "Hello", **task}], "output": {"got": "{{ .tasks.ask.output }}"}}
    provider = {"id": "o", "type": "openai", "model": "m", "base_url": server.url}
    write_project(folder, {"w": workflow}, llm={"providers": [provider]})


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("length", "it reached its token limit (raise `max_tokens`)"),
        ("content_filter", "the provider's content filter cut it off"),
    ],
)
def test_an_answer_that_was_cut_off(cli: RunCli, tmp_path: Path, server: ChatServer, reason: str, words: str) -> None:
    write(tmp_path, server)
    server.replies = [chat_reply("The three steps are: first, open the", finish_reason=reason)]

    done = cli("workflow", "run", "w")
    assert done.status == 0
    assert f"warning: ask: the answer is incomplete: {words}\n" in done.err

    run_id = json.loads(cli("workflow", "list", "--format", "json").out)["executions"][0]["execution_id"]
    assert f"warning: ask: the answer is incomplete: {words}\n" in cli("workflow", "get", run_id).err

    done = cli("workflow", "run", "w", "--format", "json")
    [task] = json.loads(done.out)["tasks"]
    assert [usage["finish_reason"] for usage in task["usage"]] == [reason]


def test_a_schema_answer_that_was_cut_off(cli: RunCli, tmp_path: Path, server: ChatServer) -> None:
    write(tmp_path, server, output=_SCHEMA)
    server.replies = [chat_reply('At first I take {"n": 1}. That is', finish_reason="length")]

    done = cli("workflow", "run", "w")

    assert done.status != 0
    assert "the answer was cut off when it reached `max_tokens`" in done.err


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ('At first I take {"n": 1}. That is wrong.\n</think>\n\n{"n": 42}', 42),
        ('<think>{"n": 1}?</think>\n\n{"n": 42}', 42),
        ('The set {a, b} gives: {"n": 1}', 1),
    ],
)
def test_thoughts_and_prose_are_not_the_answer(
    cli: RunCli, tmp_path: Path, server: ChatServer, text: str, n: int
) -> None:
    write(tmp_path, server, output=_SCHEMA)
    server.replies = [chat_reply(text)]

    done = cli("workflow", "run", "w", "--format", "json")

    assert json.loads(done.out)["output"] == {"got": {"n": n}}
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [("The user wants a greeting.\n</think>\n\nHello!", "Hello!"), ("<think>It is.</think>\n\nyes", "yes")],
)
def test_a_text_contains_no_thoughts(cli: RunCli, tmp_path: Path, server: ChatServer, text: str, answer: str) -> None:
    write(tmp_path, server)
    server.replies = [chat_reply(text)]

    done = cli("workflow", "run", "w", "--format", "json")

    assert json.loads(done.out)["output"]["got"]["text"] == answer
