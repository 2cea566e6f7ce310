"""Failover between models: real servers that fail, killed runs, and what is shown of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, Reply, chat_reply, error_reply, serve_chat
from tests.harness.processes import Commands
from tests.harness.projects import query, write_project
from tests.harness.stores import open_store

TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ASK = {"id": "ask", "prompt": "Ask"}
LIMITED = error_reply(429, "slow down")


@pytest.fixture
def chats() -> Iterator[tuple[ChatServer, ChatServer]]:
    """Two model servers."""
    with serve_chat() as first, serve_chat() as second:
        yield first, second


def write(folder: Path, chats: tuple[ChatServer, ChatServer], task: dict[str, Any] | None = None, **more: Any) -> Path:
    """Write a project whose workflow `w` asks the first server; `more` are keys of its provider."""
    first, second = chats
    common = {"type": "openai", "max_attempts": 1, "timeout": "20s"}
    providers = [
        {"id": "main", "base_url": first.url, "model": "large", **common, **more},
        {"id": "spare", "base_url": second.url, "model": "small", **common},
    ]
    return write_project(folder, {"w": {"tasks": [task or ASK]}}, llm={"providers": providers})


FALLBACK: dict[str, Any] = {"models": ["spare"]}


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ({**ASK, "fallback": FALLBACK}, {}),
        ({**ASK, "agent": {"llm": "main", "fallback": FALLBACK}}, {}),
        ({**ASK, "agent": {"llm": "main", "fallback": {"models": [{"provider": "spare", "model": "small"}]}}}, {}),
        ({**ASK, "agent": {"model": "main:large", "fallback": {"models": ["spare:small"]}}}, {}),
        (ASK, {"fallback": FALLBACK}),
    ],
    ids=["task", "agent", "map", "names", "provider"],
)
def test_the_next_model_answers(
    cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer], task: dict[str, Any], more: dict[str, Any]
) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [chat_reply("Here.")]
    write(tmp_path, chats, task, **more)

    done = cli("workflow", "run", "w", "--id", "r", "--format", "json")

    document = json.loads(done.out)
    assert document["output"] == {"ask": {"text": "Here.", "response": "Here."}}
    reason = "model 'large' of provider 'main' answered 429 Too Many Requests: slow down"
    assert document["fallbacks"] == [
        {
            "task_id": "ask",
            "path": "ask",
            "provider": "main:large",
            "answered_by": "spare",
            "model": "small",
            "reason": reason,
        }
    ]
    assert f"note: 'spare' (small) answered instead of 'main:large': {reason}" in done.err
    shown = cli("workflow", "get", "r", "--verbose").out
    assert [" ".join(line.split()[:5]) for line in shown.splitlines() if line.startswith("Request")] == [
        "Request 1 of ask main/large",
        "Request 2 of ask spare/small",
    ]
    assert f"  error:\n    {reason}\n" in shown


@pytest.mark.parametrize(
    ("reply", "on", "is_asked"),
    [
        (LIMITED, ["rate_limit"], True),
        (LIMITED, ["timeout", "server_error"], False),
        (error_reply(402, "pay"), ["rate_limit"], True),
        (error_reply(503, "down"), ["server_error"], True),
        (error_reply(503, "down"), ["rate_limit"], False),
        (error_reply(504, "late"), ["timeout"], True),
        (Reply(hang=True), ["timeout"], True),
        (Reply(hang=True), ["server_error"], False),
        (error_reply(401, "who?"), ["rate_limit", "timeout", "server_error"], False),
        (error_reply(400, "what?"), ["rate_limit", "timeout", "server_error"], False),
    ],
    ids=str,
)
def test_on_lists_the_failures_that_cause_a_failover(
    cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer], reply: Reply, on: list[str], is_asked: bool
) -> None:
    chats[0].replies, chats[1].replies = [reply], [chat_reply("Here.")]
    write(tmp_path, chats, {**ASK, "fallback": {**FALLBACK, "on": on}}, timeout="500ms" if reply.hang else "60s")

    done = cli("workflow", "run", "w")

    assert done.status == (0 if is_asked else 1), done.err
    assert len(chats[1].seen) == is_asked


def test_an_unreachable_server_is_one_that_failed(
    cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer]
) -> None:
    chats[1].replies = [chat_reply("Here.")]
    write(tmp_path, chats, {**ASK, "fallback": FALLBACK}, base_url="http://127.0.0.1:9/v1")

    assert cli("workflow", "run", "w").status == 0


def test_the_spare_model_repairs_its_own_answer(
    cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer]
) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [chat_reply("many"), chat_reply('{"n": 3}')]
    write(tmp_path, chats, {**ASK, "output": TYPED, "fallback": FALLBACK})

    document = json.loads(cli("workflow", "run", "w", "--format", "json").out)

    assert document["output"] == {"ask": {"n": 3}}
    # The failed one is not asked again in this conversation.
    assert (len(chats[0].seen), len(chats[1].seen)) == (1, 2)
    assert [usage["requests"] for usage in document["usage"]] == [2]


def test_when_all_fail_the_error_names_each(cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer]) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [error_reply(500, "broken")]
    write(tmp_path, chats, {**ASK, "fallback": FALLBACK})

    done = cli("workflow", "run", "w")

    assert done.status == 1
    assert "answered 429 Too Many Requests: slow down; then model 'small' of provider 'spare' answered 500" in done.err


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_a_resumed_run_does_not_ask_the_failed_model_again(
    commands: Commands, tmp_path: Path, chats: tuple[ChatServer, ChatServer], driver: str
) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [Reply(hang=True), chat_reply("Here.")]
    with open_store(driver, tmp_path / "project") as store:
        write(store.home, chats, {**ASK, "fallback": FALLBACK})
        config = json.loads((store.home / "compozy.yaml").read_text())
        (store.home / "compozy.yaml").write_text(json.dumps({**config, "database": store.section}))
        killed = commands.start(store.home, "workflow", "run", "w", "--id", "r")
        killed.until(lambda: len(chats[1].seen) == 1)
        killed.send(signal.SIGKILL)
        killed.wait()

        done = commands.run(store.home, "workflow", "run", "w", "--id", "r", "--format", "json")

    document = json.loads(done.out)
    assert document["output"] == {"ask": {"text": "Here.", "response": "Here."}}
    assert document["fallbacks"][0]["provider"] == "main:large"
    assert (len(chats[0].seen), len(chats[1].seen)) == (1, 2)


def test_a_run_keeps_the_fallback_of_its_provider(
    cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer]
) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [chat_reply("Here.")]
    write(tmp_path, chats, fallback={"models": ["spare:small"], "on": ["rate_limit"]})
    cli("workflow", "run", "w", "--id", "r")

    definition = json.loads(query(tmp_path, "SELECT definition FROM workflow_states")[0][0])

    assert definition["workflow"]["tasks"][0]["agent"] == {
        "llm": "main",
        "fallback": {"models": [{"llm": "spare", "model": "small"}], "on": ["rate_limit"]},
    }
    assert [provider["id"] for provider in definition["providers"]] == ["main", "spare"]
    shown = json.loads(cli("config", "show", "--format", "json").out)["providers"]
    assert shown[0]["fallback"] == "on failure: spare:small"


def test_scripted_failures_try_a_fallback_without_a_network(cli: RunCli, tmp_path: Path) -> None:
    providers = [
        {"id": "main", "type": "scripted", "responses": [{"error": "busy", "failure": "rate_limit"}]},
        {"id": "spare", "type": "scripted", "responses": [{"text": "Here."}]},
    ]
    write_project(tmp_path, {"w": {"tasks": [{**ASK, "fallback": FALLBACK}]}}, llm={"providers": providers})

    done = cli("workflow", "run", "w")

    assert done.status == 0, done.err
    assert "'spare' (scripted) answered instead of 'main:scripted'" in done.err


def test_the_nearest_parameter_applies(cli: RunCli, tmp_path: Path, chats: tuple[ChatServer, ChatServer]) -> None:
    chats[0].replies, chats[1].replies = [LIMITED], [chat_reply("Here.")]
    task = {
        **ASK,
        "agent": {"llm": "main", "params": {"top_p": 0.2, "seed": 2, "stop_words": ["x"]}},
        "params": {"seed": 3, "stop_words": ["END"]},
        "fallback": {"models": [{"provider": "spare", "params": {"top_p": 0.5}}]},
    }
    write(tmp_path, chats, task, params={"top_p": 0.1, "seed": 1, "presence_penalty": 0.7})

    assert cli("workflow", "run", "w", "--id", "r").status == 0

    names = ("top_p", "seed", "stop", "presence_penalty")
    first, second = ({name: chat.seen[0].body.get(name) for name in names} for chat in chats)
    assert first == {"top_p": 0.2, "seed": 3, "stop": ["END"], "presence_penalty": 0.7}
    assert second == {"top_p": 0.5, "seed": 3, "stop": ["END"], "presence_penalty": None}
    definition = json.loads(query(tmp_path, "SELECT definition FROM workflow_states")[0][0])
    assert definition["workflow"]["tasks"][0]["agent"]["seed"] == 3
