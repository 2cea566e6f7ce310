"""Which values of a workflow's input are the message and the key of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.database.trigger import check_labels
from compozy.workflow.chat import chat_document, chat_labels
from compozy.workflow.config import WorkflowConfig

USER = {"id": "chat", "key": "user:{{ .workflow.input.user }}"}


def chat_in(*properties: str, required: tuple[str, ...] = (), prompt: str = "x", memory: Any = USER) -> Any:
    """Return how to talk to a workflow with one task."""
    texts = {name: {"type": "string"} for name in properties}
    schema = {"type": "object", "properties": texts, "required": [*required]}
    task = {"id": "reply", "prompt": prompt, "memory": [memory]}
    return chat_document(
        WorkflowConfig.model_validate({"id": "w", "tasks": [task], **({"input": schema} if properties else {})})
    )


@pytest.mark.parametrize(
    ("properties", "required", "message"),
    [
        (("user", "message", "mood"), (), "message"),
        (("user", "text", "question"), (), "question"),
        (("user", "said"), (), "said"),
        (("user", "said", "mood"), ("user", "said"), "said"),
        (("user", "said", "mood"), (), None),
    ],
)
def test_the_message(properties: tuple[str, ...], required: tuple[str, ...], message: str | None) -> None:
    assert chat_in(*properties, required=required) == {"message": message, "key": "user", "task": "reply"}


def test_without_a_schema_the_prompt_names_the_message() -> None:
    assert chat_in(prompt="{{ .input.user }}: {{ .workflow.input.words }}")["message"] == "words"


def test_a_key_of_several_values_has_no_name() -> None:
    assert chat_in(memory={"id": "chat", "key": "{{ .input.a }}{{ .input.b }}"})["key"] is None
    assert chat_in(memory={"id": "chat", "key": "all"})["key"] is None


def test_the_last_task_that_remembers_answers() -> None:
    agent = {"memory": [USER]}
    tasks = [{"id": "a", "prompt": "x", "memory": [USER]}, {"id": "b", "prompt": "x", "agent": agent}, {"id": "c"}]
    assert chat_document(WorkflowConfig.model_validate({"id": "w", "tasks": tasks}))["task"] == "b"  # pyright: ignore[reportOptionalSubscript]
    assert chat_document(WorkflowConfig.model_validate({"id": "w", "tasks": tasks[2:]})) is None


@pytest.mark.parametrize(
    ("values", "key", "label"),
    [
        ({"user": "ana", "language": "en"}, "user", "ana"),
        ({"user": 7}, "user", "7"),
        ({"user": "two\nlines\u00a0"}, "user", "two lines "),
        ({"user": "é" * 300}, "user", "é" * 256),
        ({"user": "ana", "language": "en"}, None, "language=en, user=ana"),
        ({}, None, "default"),
    ],
)
def test_a_conversation_has_a_label(values: dict[str, Any], key: str | None, label: str) -> None:
    labels = chat_labels(values, key)
    assert labels == {"chat": label}
    assert check_labels(labels) == labels
