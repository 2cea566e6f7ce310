"""Servers that are compatible with OpenAI and deviate from it, each with real responses over HTTP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from test_model_http import Asker, native
from tests.harness.chatserver import ChatServer, Reply, Seen, chat_reply, error_reply, json_reply

from compozy.model import http

KINDS = ("openai", "ollama")


def answer_by(server: ChatServer, choose: Callable[[dict[str, Any]], Reply]) -> None:
    """Let `server` choose its reply by the body of the request."""

    def next_reply(seen: Seen) -> Reply:
        server.seen.append(seen)
        return choose(seen.body)

    server.next_reply = next_reply


def completion(**fields: Any) -> dict[str, Any]:
    document = json.loads(chat_reply("Hello.").body)
    return {key: value for key, value in {**document, **fields}.items() if value is not ...}


def choice(message: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "finish_reason": "stop",
        "message": message or {"role": "assistant", "content": "Hello."},
        **fields,
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_max_tokens_has_its_old_name(chat_server: ChatServer, kind: str) -> None:
    refusal = {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]}
    answer_by(
        chat_server,
        lambda body: json_reply(refusal, status=422) if "max_completion_tokens" in body else chat_reply("short"),
    )

    assert (await Asker(chat_server.url, type=kind).ask(settings={"max_tokens": 5})).text == "short"
    assert [seen.body.get("max_tokens") for seen in chat_server.seen] == [5]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [5, None])
async def test_a_server_that_wants_the_new_name_gets_it(
    chat_server: ChatServer, kind: str, max_tokens: int | None
) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    answer_by(chat_server, lambda body: error_reply(400, words) if "max_tokens" in body else chat_reply("short"))
    asker = Asker(chat_server.url, type=kind, max_tokens=7)
    model = asker.models.resolve(None, None).model

    assert (await asker.ask(settings={"max_tokens": max_tokens} if max_tokens else None)).text == "short"
    assert chat_server.seen[-1].body["max_completion_tokens"] == (max_tokens or 7)
    assert len(chat_server.seen) == 2
    assert model is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Failed to initialize samplers: failed to parse grammar"),
        (400, "JSON schema conversion failed: Unrecognized schema"),
        (400, "The provided JSON schema contains features not supported by xgrammar."),
        (404, "No endpoints found that can handle the requested parameters."),
        (422, "Extra inputs are not permitted"),
        (400, "this model does not do that"),
        (500, "failed to parse grammar"),
        (501, "not implemented"),
    ],
)
async def test_a_refused_schema_is_sent_as_text(chat_server: ChatServer, kind: str, status: int, words: str) -> None:
    answer_by(
        chat_server,
        lambda body: error_reply(status, words) if "response_format" in body else chat_reply('{"n": 1}'),
    )

    assert (await Asker(chat_server.url, type=kind).ask(native())).text == '{"n": 1}'
    assert "properties" in str(chat_server.seen[-1].body["messages"])
    assert len(chat_server.seen) == 2


async def test_an_unknown_model_is_asked_once(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(404, "The model `m` does not exist")]

    await Asker(chat_server.url).fail(native())

    assert len(chat_server.seen) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            {"message": "Provider returned error: upstream overloaded", "code": 502},
            " 502 Bad Gateway: Provider returned",
        ),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, " 429 Too Many Requests: slow down"),
        ({"message": "busy", "type": "overloaded_error"}, " 529: busy"),
        ("something broke", ": something broke"),
    ],
)
async def test_an_error_with_status_200_is_reported_and_retried(chat_server: ChatServer, error: Any, told: str) -> None:
    chat_server.replies = [json_reply({"error": error}), chat_reply("at last")]
    assert (await Asker(chat_server.url).ask()).text == "at last"

    chat_server.replies, chat_server.seen = [json_reply({"error": error})], []
    failure = await Asker(chat_server.url).fail()
    assert f"answered 200 with the error{told}" in failure.message
    assert len(chat_server.seen) == 5


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "no such model", "code": 404}},
        {"error": {"message": "no such model", "type": "invalid_request_error"}},
        {"object": "error", "message": "no such model", "code": 400},
        {"choices": [{"error": {"message": "no such model", "code": 403}, "finish_reason": "error"}]},
        {"detail": "no such model", "status": 404},
        {"errors": [{"message": "no such model", "code": 400}]},
        {"choices": None, "code": 400, "msg": "no such model"},
        {"choices": [], "base_resp": {"status_code": 1008, "status_msg": "no such model", "status": 400}},
        {"error_code": 17, "error_msg": "no such model", "status": 403},
    ],
    ids=str,
)
async def test_a_permanent_error_is_not_retried(chat_server: ChatServer, document: Any) -> None:
    chat_server.replies = [json_reply(document)]

    failure = await Asker(chat_server.url).fail()

    assert "answered 200 with the error 40" in failure.message
    assert "no such model" in failure.message
    assert len(chat_server.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "document",
    [
        completion(choices=[choice(finish_reason="")]),
        completion(choices=[choice(finish_reason=None)]),
        completion(choices=[choice(finish_reason="eos_token")]),
        completion(choices=[choice(finish_reason=7, index="0", logprobs=[])]),
        completion(usage={}),
        completion(usage=None),
        completion(usage=[]),
        completion(usage={"prompt_tokens": 1, "completion_tokens": None, "total_tokens": "x"}),
        completion(usage={"prompt_tokens": 1.5, "completion_tokens": -1}),
        completion(created=1700000000.5),
        completion(created="now"),
        completion(id=...),
        completion(id=17, model=None, object=..., created=...),
        completion(model=...),
        completion(choices=[choice({"content": "Hello."})]),
        completion(choices=[choice({"role": "bot", "content": "Hello.", "tool_calls": "", "annotations": {}})]),
        completion(choices=[choice({"role": "assistant", "content": [{"type": "text", "text": "Hello."}]})]),
        completion(choices=[choice({"role": "assistant", "content": "Hello.", "reasoning_content": ["x"]})]),
        completion(service_tier=1, system_fingerprint=[], error=None),
        {"choices": [{"message": {"content": "Hello."}}]},
    ],
    ids=str,
)
async def test_small_departures_from_the_format(chat_server: ChatServer, kind: str, document: Any) -> None:
    chat_server.replies = [json_reply(document)]

    answer = await Asker(chat_server.url, type=kind).ask()

    assert (answer.text, answer.finish_reason) == ("Hello.", "stop")


@pytest.mark.parametrize(
    ("content", "thought"),
    [
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}], "hm"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "yes"}], "hm"),
        ([{"type": "thought", "thought": "hm"}, "yes"], "hm"),
        ([{"type": "text", "text": "yes"}, {"type": "image_url"}, 7], ""),
    ],
)
async def test_reasoning_in_parts_is_not_the_answer(chat_server: ChatServer, content: Any, thought: str) -> None:
    chat_server.replies = [json_reply(completion(choices=[choice({"role": "assistant", "content": content})]))]

    answer = await Asker(chat_server.url).ask()

    assert (answer.text, answer.thinking or "") == ("yes", thought)


PLAIN = chat_reply("Hello.").body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 100_000, "its JSON is nested too deeply"),
        (PLAIN.replace(b'"choices"', b'"x": ' + b"[" * 50_000 + b"]" * 50_000 + b', "choices"'), "nested too deeply"),
        (PLAIN.replace(b"1700000000", b"9" * 5000), "a number with thousands of digits"),
        (b"null", "it is not a JSON object: null"),
        (b"[1, 2]", "it is not a JSON object"),
        (b'{"message": {"role": "assistant", "content": "Hello."}}', "it holds no `choices` with a message: {"),
        (b'data: {"choices": []}\n\n', "not a model answer"),
    ],
    ids=["deep", "deep within", "digits", "null", "list", "native", "stream"],
)
async def test_an_invalid_completion_is_one_error(
    chat_server: ChatServer, kind: str, body: bytes, message: str
) -> None:
    chat_server.replies = [Reply(body=body, headers={"Content-Type": "application/json"})]

    failure = await Asker(chat_server.url, type=kind).fail()

    assert message in failure.message
    assert len(chat_server.seen) == 1


def packed(body: bytes, encoding: str = "gzip") -> Reply:
    return Reply(body=body, headers={"Content-Type": "application/json", "Content-Encoding": encoding})


async def test_answers_are_unpacked_up_to_a_limit(chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_server.replies = [packed(gzip.compress(PLAIN))]
    assert (await Asker(chat_server.url).ask()).text == "Hello."
    assert chat_server.seen[-1].headers["accept-encoding"] == "gzip"

    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 5_000_000)
    assert len(bomb) < 10_000
    for reply, message in (
        (packed(bomb), "sent too much"),
        (packed(PLAIN), "damaged compressed data"),
        (packed(PLAIN, "br"), "content encoding 'br', which is not supported"),
    ):
        chat_server.replies = [reply]
        assert message in (await Asker(chat_server.url).fail()).message


async def test_errors_show_no_password_of_a_url(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "GET https://bot:pass@llm.example/v1 and redis://:word@host failed")]

    failure = await Asker(chat_server.url).fail()

    assert "GET https://***@llm.example/v1 and redis://***@host failed" in failure.message


async def test_json_that_is_called_text(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(body=chat_reply("Hello.").body, headers={"Content-Type": "text/plain"})]

    assert (await Asker(chat_server.url).ask()).text == "Hello."


@pytest.mark.parametrize(
    ("word", "reason"), [("length", "length"), ("MAX_TOKENS", "length"), ("content_filter", "content_filter")]
)
async def test_why_an_answer_ended(chat_server: ChatServer, word: str, reason: str) -> None:
    chat_server.replies = [chat_reply("The three", finish_reason=word)]

    assert (await Asker(chat_server.url).ask()).finish_reason == reason


@pytest.mark.parametrize("kind", KINDS)
async def test_thoughts_are_not_the_answer(chat_server: ChatServer, kind: str) -> None:
    for text in ("hm\n</think>\n\nyes", "<think>hm</think>\n\nyes"):
        chat_server.replies = [chat_reply(text)]
        answer = await Asker(chat_server.url, type=kind).ask()
        assert (answer.text, answer.thinking) == ("yes", "hm")

    chat_server.replies = [chat_reply("<think>hm", finish_reason="length")]
    assert not (await Asker(chat_server.url, type=kind).ask()).text


async def test_overloaded_with_a_wait(chat_server: ChatServer) -> None:
    overloaded = error_reply(529, "Overloaded", headers={"Retry-After": "2"})
    chat_server.replies = [overloaded, overloaded, overloaded, chat_reply("at last")]
    asker = Asker(chat_server.url)

    assert (await asker.ask()).text == "at last"
    assert asker.time.slept_s == [2.0, 2.0, 2.0]


async def test_a_redirect_names_the_address_to_use(chat_server: ChatServer) -> None:
    location = "https://user:secret@llm.example/v1/chat/completions?key=secret"
    chat_server.replies = [Reply(status=301, headers={"Location": location})]

    failure = await Asker(chat_server.url).fail()

    assert failure.message == (
        "model 'm' of provider 'p' answered 301, a redirect to https://llm.example/v1/chat/completions"
    )
    assert failure.hint == "set `base_url` of provider 'p' to https://llm.example/v1"
    assert len(chat_server.seen) == 1


async def test_a_web_page_gets_a_hint(chat_server: ChatServer) -> None:
    page = b"<!doctype html><title>Welcome</title>"
    for headers in ({"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "text/plain"}):
        chat_server.replies = [Reply(body=page, headers=headers)]
        failure = await Asker(chat_server.url).fail()
        assert "is it the address of the API, usually one that ends in /v1?" in failure.hint


def calling(*calls: Any, **message: Any) -> Reply:
    """Return a completion that calls tools, in a dialect."""
    said = {"role": "assistant", "content": None, **({"tool_calls": list(calls)} if calls else {}), **message}
    return json_reply(completion(choices=[choice(said, finish_reason="tool_calls")]))


ADD = ToolDefinition(name="add", parameters_json_schema={"type": "object", "properties": {"a": {"type": "integer"}}})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        calling({"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}),
        calling({"id": "x", "function": {"name": "add", "arguments": {"a": 1}}}),
        calling({"id": None, "type": "function", "function": {"name": " add", "arguments": '{"a": 1}'}}),
        calling(function_call={"name": "add", "arguments": '{"a": 1}'}),
        calling({"function": {"name": "add", "arguments": '{"a": 1}'}}, content=""),
    ],
    ids=["as specified", "arguments as an object", "no ID", "the old single call", "empty text"],
)
async def test_calls_of_tools_are_read_in_each_dialect(chat_server: ChatServer, kind: str, reply: Reply) -> None:
    chat_server.replies = [reply]
    answer = await Asker(chat_server.url, type=kind).ask(ModelRequestParameters(function_tools=[ADD]))
    (call,) = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    assert (call.tool_name, call.args_as_dict()) == ("add", {"a": 1})
    assert call.tool_call_id
    assert answer.finish_reason == "tool_call"
    assert chat_server.seen[0].body["tools"][0]["function"]["name"] == "add"


async def test_calls_without_ids_get_different_ones(chat_server: ChatServer) -> None:
    call = {"function": {"name": "add", "arguments": None}}
    chat_server.replies = [calling(call, call, {"function": {}})]
    answer = await Asker(chat_server.url).ask(ModelRequestParameters(function_tools=[ADD]))
    calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    assert [call.args_as_dict() for call in calls] == [{}, {}]
    assert len({call.tool_call_id for call in calls}) == 2
