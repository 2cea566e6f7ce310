"""Answers that are read while they are written: the same answers, errors and retries as without readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.test import TestModel
from test_model_http import KEY, Asker
from tests.harness.chatserver import ChatServer, Reply, chat_reply, error_reply, event_reply, json_reply, streamed

from compozy.errors import ModelError
from compozy.model.call import CallPosition, at_position
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.thoughts import split_thoughts, written_answer
from compozy.model.written import request_written

KINDS = ("openai", "ollama")
POSITION = CallPosition(execution_id="e", task_id="t", path="t", run_index=0, task_index=0)
LONG = "Once upon a time, a model wrote 🙂 word by word.\n"
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "é", "n": [1, 2]}'}}


class Reader:
    """Stores the text of each try."""

    def __init__(self) -> None:
        self.tries: list[list[str]] = []

    def start(self) -> None:
        """Start another text."""
        self.tries.append([])

    def write(self, text: str) -> None:
        """Store a piece."""
        self.tries[-1].append(text)

    @property
    def texts(self) -> list[str]:
        """Return the text of each try."""
        return ["".join(pieces) for pieces in self.tries]


async def read(asker: Asker) -> tuple[ModelResponse, Reader]:
    """Ask with a reader."""
    reader = Reader()
    with at_position(POSITION, reader):
        return await asker.ask(), reader


def plain(response: ModelResponse) -> dict[str, Any]:
    """Return the recorded form of an answer, without its time."""
    document = TypeAdapter(ModelResponse).dump_python(response, mode="json")
    del document["timestamp"]
    return document


def with_message(reply: Reply, finish_reason: str = "stop", **message: Any) -> Reply:
    """Return a reply whose message has more fields."""
    document = json.loads(reply.body)
    document["choices"][0]["message"] |= message
    document["choices"][0]["finish_reason"] = finish_reason
    return json_reply(document)


REPLIES = {
    "text": chat_reply(LONG, usage=(11, 4)),
    "empty": chat_reply(""),
    "cut off": chat_reply("It was a", finish_reason="length"),
    "tags": chat_reply("<think>Hm.\n</think>\n\nYes."),
    "reasoning": with_message(chat_reply("Yes."), reasoning_content="Hm. Let me see."),
    "calls": with_message(chat_reply("I look."), "tool_calls", tool_calls=[CALL, {**CALL, "id": "c2"}]),
    "only calls": with_message(chat_reply(""), "tool_calls", content=None, tool_calls=[CALL]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REPLIES)
async def test_the_answer_is_the_same(chat_server: ChatServer, kind: str, name: str) -> None:
    reply = REPLIES[name]
    chat_server.replies = [reply, streamed(reply)]
    asker = Asker(chat_server.url, type=kind)

    whole = await asker.ask()
    answer, reader = await read(asker)

    assert plain(answer) == plain(whole)
    assert [seen.body.get("stream", False) for seen in chat_server.seen] == [False, True]
    assert reader.texts == [json.loads(reply.body)["choices"][0]["message"]["content"] or ""]
    assert len(reader.tries[0]) > 1 or len(reader.texts[0]) < 3


async def test_an_answer_that_breaks_off_is_asked_for_again(chat_server: ChatServer) -> None:
    reply = chat_reply(LONG)
    chat_server.replies = [streamed(reply, events=6), error_reply(503, "busy"), streamed(reply)]
    asker = Asker(chat_server.url)

    answer, reader = await read(asker)

    assert answer.text == LONG
    assert reader.texts == [LONG[:10], "", LONG]
    assert asker.time.slept_s == [0.1, 0.2]


async def test_an_answer_that_always_breaks_off_is_an_error(chat_server: ChatServer) -> None:
    chat_server.replies = [streamed(chat_reply(LONG), events=4)]
    with pytest.raises(ModelError, match="broke off its answer: peer closed connection") as caught:
        await read(Asker(chat_server.url, max_attempts=2))
    assert caught.value.details["failure"] == "server_error"
    assert len(chat_server.seen) == 2


@pytest.mark.parametrize(
    "reply",
    [
        chat_reply(LONG),
        event_reply(""),
        event_reply("data: [DONE]\n\n"),
        event_reply('data: {"choices": []}\n\ndata: [DONE]\n\n'),
        event_reply("data: {not JSON}\n\n"),
        error_reply(400, "streaming is not supported"),
        error_reply(422, "unknown field: stream_options"),
        # It ends without a reason, so it is unknown whether it is complete.
        event_reply('data: {"choices": [{"index": 0, "delta": {"content": "Once"}}]}\n\n'),
    ],
    ids=["whole", "nothing", "done", "no choices", "no JSON", "refused", "unknown", "no end"],
)
async def test_a_server_without_streams_is_asked_for_the_complete_answer(chat_server: ChatServer, reply: Reply) -> None:
    chat_server.replies = [reply, chat_reply(LONG)]
    asker = Asker(chat_server.url, max_attempts=1)
    model = asker.models.resolve(None, None).model
    reader = Reader()
    with at_position(POSITION, reader):
        for _ in range(2):
            assert (await model_request(model, [ModelRequest.user_text_prompt("?")])).text == LONG
    await asker.models.aclose()
    # And not for a stream again.
    assert [seen.body.get("stream", False) for seen in chat_server.seen] == [True, False, False]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "429 Too Many Requests: slow down"),
        ({"message": "upstream overloaded", "code": 502}, "502 Bad Gateway: upstream"),
        ({"message": "it broke"}, "answered 200 with the error: it broke"),
    ],
)
async def test_an_error_in_a_stream_is_the_same_as_in_a_complete_answer(
    chat_server: ChatServer, error: dict[str, Any], told: str
) -> None:
    broken = event_reply(f"data: {json.dumps({'error': error})}\n\n")
    chat_server.replies = [broken, streamed(chat_reply("at last"))]
    answer, _ = await read(Asker(chat_server.url))
    assert answer.text == "at last"

    chat_server.replies, chat_server.seen = [broken], []
    with pytest.raises(ModelError) as caught:
        await read(Asker(chat_server.url, api_key=KEY, max_attempts=2))
    assert told in caught.value.message
    assert len(chat_server.seen) == 2


async def test_models_of_other_packages_are_read_too() -> None:
    reader = Reader()
    messages = [ModelRequest.user_text_prompt("?")]
    with at_position(POSITION, reader):
        answer = await request_written(
            TestModel(custom_output_text=LONG), [*messages], None, ModelRequestParameters(allow_text_output=True)
        )
    assert (answer.text, reader.texts) == (LONG, [LONG])


async def test_a_script_writes_word_by_word() -> None:
    config = ProviderConfig.model_validate({"id": "s", "type": "scripted", "responses": [{"text": LONG}]})
    models = ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path())
    reader = Reader()
    with at_position(POSITION, reader):
        answer = await model_request(models.resolve(None, None).model, [ModelRequest.user_text_prompt("?")])
    assert (answer.text, reader.texts) == (LONG, [LONG])
    assert len(reader.tries[0]) == len(LONG.split())


@given(st.text(alphabet='<>/think[]THINK◁▷ \n"Yes.|') | st.sampled_from(["<think>a</think>b", "Here is my thought"]))
def test_text_shown_early_is_never_reasoning_with_a_start_tag(text: str) -> None:
    thoughts, answer = split_thoughts(text)
    for length in range(len(text) + 1):
        shown = written_answer(text[:length])
        assert "<think>" not in shown.lstrip()[:7]
    if text.lstrip().startswith("<think>") and thoughts and "</think>" not in answer:
        assert not written_answer(text) or answer.lstrip().startswith(written_answer(text))
