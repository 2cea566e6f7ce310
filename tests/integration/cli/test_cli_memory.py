"""`compozy memory`: conversations of the project's database, with and without a server."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import free_port, start_server
from tests.integration.cli.printed import normal

MEMORIES = [{"id": "chat", "privacy_policy": {"redact_patterns": [r"\d{4}-\d{4}"]}}]
TALK = {"tasks": [{"id": "one", "prompt": "hi", "memory": [{"id": "chat", "key": "ana"}]}]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a memory, and no database yet."""
    return write_project(tmp_path, {"talk": TALK}, memories=MEMORIES)


def test_a_conversation_of_a_run(cli: RunCli, project: Path) -> None:
    assert cli("memory", "list").err == "No conversations are stored.\n"
    cli("workflow", "run", "talk")
    assert normal(cli("memory", "list").out).splitlines() == [
        "MEMORY  KEY  MESSAGES  TOKENS  UPDATED                   EXPIRES",
        "chat    ana  2         11      TIME  -",
    ]
    assert cli("memory", "show", "chat", "ana").out.splitlines() == [
        "Conversation 'ana' of memory 'chat': 2 messages, 11 tokens",
        "1 user: hi",
        "2 assistant: first",
    ]
    latest = cli("memory", "show", "chat", "ana", "--limit", "1")
    assert latest.out.splitlines()[1:] == ["2 assistant: first"]
    assert latest.err == "note: earlier messages exist; add `--before 2`, or a larger `--limit`\n"
    assert "1 user: hi" in cli("memory", "show", "chat", "ana", "--before", "2").out


def test_a_message_is_added_without_a_database(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = cli("memory", "append", "chat", "bo", "card 1234-5678\nnext line", "--role", "system")
    assert added.out == "Conversation 'bo' of memory 'chat' has 1 message\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\n")))
    assert json.loads(cli("memory", "append", "chat", "bo", "-", "-f", "json").out)["total_count"] == 2
    assert cli("memory", "show", "chat", "bo").out.splitlines()[1:] == [
        "1 system: card [REDACTED]",
        "    next line",
        "2 user: from stdin",
    ]


def test_export_prints_each_conversation_on_a_line(cli: RunCli, project: Path) -> None:
    for key in ("ana", "bo"):
        cli("memory", "append", "chat", key, f"I am {key}")
    lines = [json.loads(line) for line in cli("memory", "export").out.splitlines()]
    assert [(line["key"], [each["content"] for each in line["messages"]]) for line in lines] == [
        ("ana", ["I am ana"]),
        ("bo", ["I am bo"]),
    ]
    one = cli("memory", "export", "chat", "--key", "bo")
    assert json.loads(one.out) == lines[1]
    assert "--key needs a memory" in cli("memory", "export", "--key", "bo").err


def test_a_conversation_is_cleared_after_an_answer(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("memory", "append", "chat", "ana", "x")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert "nothing was changed" in cli("memory", "clear", "chat", "ana").err
    assert cli("memory", "clear", "chat", "ana", "--yes").out == (
        "Deleted 1 message of conversation 'ana' of memory 'chat'\n"
    )
    assert cli("memory", "show", "chat", "ana").out.splitlines() == [
        "Conversation 'ana' of memory 'chat': 0 messages, 0 tokens"
    ]


def test_redacted_text_is_found_nowhere(cli: RunCli, project: Path) -> None:
    """Neither in the files of the database, nor in exports, results and logs, nor in what a later run records."""
    canary = "4929-1173"
    told = [
        cli("memory", "append", "chat", "ana", f"my card is {canary}", "--log-level", "debug"),
        cli("workflow", "run", "talk", "--id", "later", "--log-level", "debug"),
        cli("workflow", "get", "later", "--verbose", "--format", "json"),
        cli("memory", "show", "chat", "ana", "--format", "json"),
        cli("memory", "export"),
        cli("db", "export", "-o", "moved.json"),
    ]
    assert [done.status for done in told] == [0] * len(told)
    assert "my card is [REDACTED]" in told[3].out
    assert [done for done in told if canary in done.out + done.err] == []
    files = [path for path in project.rglob("*") if path.is_file()]
    assert project / "moved.json" in files
    assert [path for path in files if canary.encode() in path.read_bytes()] == []


def test_unknown_names_are_refused(cli: RunCli, project: Path) -> None:
    assert cli("memory", "show", "chat", "ana").err == (
        "Error: memory 'chat' has no conversation 'ana'\n  list them with `compozy memory list`\n"
    )
    assert cli("memory", "append", "chatt", "ana", "x").err == (
        "Error: memory 'chatt' not found\n  did you mean 'chat'?\n"
    )
    assert "the message is empty" in cli("memory", "append", "chat", "ana", " ").err


@pytest.mark.usefixtures("port_of_file")
def test_a_server_gives_the_same_output(commands: Commands, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", {"talk": TALK}, memories=MEMORIES, server={"port": free_port()})
    here = commands.run(folder, "memory", "append", "chat", "ana", "hello")
    shown = commands.run(folder, "memory", "export")
    start_server(commands, folder)
    assert commands.run(folder, "memory", "export").out == shown.out
    there = commands.run(folder, "memory", "append", "chat", "ana", "hello")
    assert there.out == here.out.replace("1 message", "2 messages")
    cleared = commands.run(folder, "memory", "clear", "chat", "ana", "--yes")
    assert cleared.out == "Deleted 2 messages of conversation 'ana' of memory 'chat'\n"
    missing = commands.run(folder, "memory", "show", "chat", "bo")
    assert missing.err == "Error: memory 'chat' has no conversation 'bo'\n  list them with `compozy memory list`\n"
