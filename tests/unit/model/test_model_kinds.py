"""Each type of provider over HTTP: its format, its errors, and that only our code retries."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from heldpace import HeldTime
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from tests.harness.chatserver import ChatServer, Reply, chat_reply, error_reply, json_reply

from compozy.errors import ModelError
from compozy.model import http
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig

KEY = "the-users-own-key-1234567890"
KINDS = ["openai", "ollama", "groq", "anthropic", "google"]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def answer(kind: str, text: str) -> Reply:
    """Return an answer in the format of `kind`, with 7 input tokens and 3 output tokens."""
    if kind == "anthropic":
        return json_reply(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 7, "output_tokens": 3},
            }
        )
    if kind == "google":
        content = {"role": "model", "parts": [{"text": text}]}
        return json_reply(
            {
                "candidates": [{"content": content, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
            }
        )
    return chat_reply(text)


async def ask(
    kind: str, url: str, time: HeldTime | None = None, parameters: ModelRequestParameters | None = None, **fields: Any
) -> ModelResponse:
    # Without a limit, a long answer of Claude is streamed, which this server does not support.
    fields.setdefault("max_tokens", 20)
    base_url = url if kind in ("openai", "ollama") else url.removesuffix("/v1")
    config = ProviderConfig.model_validate({"id": "p", "type": kind, "base_url": base_url, "api_key": KEY, **fields})
    pace = (time or HeldTime()).pace()
    models = ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path(), pace=pace)
    messages = [ModelRequest(parts=[UserPromptPart("Hello?")], instructions="Be brief.")]
    try:
        return await model_request(models.resolve(None, None).model, messages, model_request_parameters=parameters)
    finally:
        await models.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [answer(kind, "Hi!")]

    response = await ask(kind, chat_server.url)

    assert response.text == "Hi!"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)
    seen = chat_server.seen[0]
    assert KEY in str(seen.headers)
    assert "Hello?" in str(seen.body)
    assert "Be brief." in str(seen.body)
    assert "20" in str(seen.body)


async def test_a_long_answer_of_claude_is_streamed(chat_server: ChatServer) -> None:
    start: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi!"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    chat_server.replies = [Reply(body=body.encode(), headers={"Content-Type": "text/event-stream"})]

    response = await ask("anthropic", chat_server.url, max_tokens=None)

    assert chat_server.seen[0].body["stream"] is True
    assert response.text == "Hi!"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_structured_answer(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [answer(kind, '{"n": 4}')]
    output = OutputObjectDefinition(json_schema=SCHEMA, name="answer")

    response = await ask(
        kind,
        chat_server.url,
        parameters=ModelRequestParameters(output_mode="native", output_object=output),
        model="openai/gpt-oss-120b" if kind == "groq" else None,
    )

    assert response.text == '{"n": 4}'
    assert "'n'" in str(chat_server.seen[0].body)


@pytest.mark.parametrize("kind", KINDS)
async def test_only_our_code_retries(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [error_reply(500, "oops")]
    time = HeldTime()

    with pytest.raises(ModelError) as caught:
        await ask(kind, chat_server.url, time)

    assert len(chat_server.seen) == 5
    assert time.slept_s == [0.1, 0.2, 0.4, 0.8]
    assert caught.value.details["status"] == 500


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_is_kept(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [error_reply(429, "slow down", headers={"Retry-After": "5"}), answer(kind, "Hi!")]
    time = HeldTime()

    assert (await ask(kind, chat_server.url, time)).text == "Hi!"
    assert time.slept_s == [5.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_key_is_never_shown(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [error_reply(401, f"bad key {KEY}")]

    with pytest.raises(ModelError) as caught:
        await ask(kind, chat_server.url)

    assert len(chat_server.seen) == 1
    assert "answered 401 Unauthorized: bad key ***" in caught.value.message
    assert KEY not in repr(caught.value.to_json())
    assert "api_key" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_is_not_read(chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 2**20)
    chat_server.replies = [Reply(body=b" " * (4 * 2**20))]

    with pytest.raises(ModelError, match="sent too much: the answer is longer than 1 MiB"):
        await ask(kind, chat_server.url)

    assert len(chat_server.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_garbage(chat_server: ChatServer, kind: str) -> None:
    garbage = [Reply(body=b"{]"), Reply(body=gzip.compress(b"x"))]
    if kind != "google":  # there these are answers without a text, which the agent refuses
        garbage.extend([json_reply([]), json_reply("x"), json_reply({})])
    for reply in garbage:
        chat_server.replies, chat_server.seen = [reply], []

        with pytest.raises(ModelError, match="of provider 'p'"):
            await ask(kind, chat_server.url)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_never_answers(chat_server: ChatServer, kind: str) -> None:
    chat_server.replies = [Reply(hang=True)]

    with pytest.raises(ModelError, match="did not answer within 200ms"):
        await ask(kind, chat_server.url, timeout="200ms", max_attempts=1)
