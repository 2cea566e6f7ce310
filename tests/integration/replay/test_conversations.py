"""`conversations` of a test: what a memory holds before the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

MEMORIES = [
    {
        "id": "chat",
        "default_key_template": "{{ .workflow.input.user }}",
        "privacy_policy": {"redact_patterns": ["secret"]},
    }
]
TALK = {"tasks": [{"id": "one", "prompt": "who am I?", "memory": ["chat"]}]}
CONVERSATION = {
    "memory": "chat",
    "key": "ana",
    "messages": [{"content": "I am Ana, a secret"}, {"role": "assistant", "content": "Hi"}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a test that starts with a conversation."""
    monkeypatch.delenv("CI", raising=False)
    write_project(tmp_path, {"talk": TALK}, memories=MEMORIES)
    write_test(tmp_path, CONVERSATION)
    return tmp_path


def write_test(folder: Path, conversation: dict[str, Any]) -> None:
    """Write a test of the workflow."""
    case = {
        "name": "knows Ana",
        "input": {"user": "ana"},
        "conversations": [conversation],
        "expect": {"status": "SUCCESS"},
    }
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests/talk.test.yaml").write_text(json.dumps({"workflow": "talk", "tests": [case]}))


def test_the_model_is_sent_the_conversation(cli: RunCli, project: Path) -> None:
    assert cli("test", "--mode", "record").status == 0
    cassette = (project / "tests/talk.cassette.yaml").read_text()
    assert "I am Ana, a [REDACTED]" in cassette
    assert cli("test").status == 0
    # Another conversation is another request.
    write_test(project, {**CONVERSATION, "messages": [{"content": "I am Bo"}]})
    assert cli("test").status == 1


def test_an_unknown_memory_is_named(cli: RunCli, project: Path) -> None:
    write_test(project, {**CONVERSATION, "memory": "chatt"})
    done = cli("test", "--mode", "record")
    assert (done.status, "memory 'chatt' not found" in done.out + done.err) == (1, True)
