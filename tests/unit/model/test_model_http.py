"""A provider of type `openai` against a real server with correct and faulty responses."""

from __future__ import annotations

import socket
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from heldpace import HeldTime
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from tests.harness.chatserver import ChatServer, Reply, chat_reply, error_reply, json_reply

from compozy.clock import now_ms
from compozy.errors import ModelError
from compozy.model import http
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig

_PLAIN_ADDRESS = "write it like `http://localhost:8000/v1`, without user, password or query; a key goes into `api_key`"

KEY = "sk-the-users-own-key-1234567890"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


class Asker:
    """One provider that is called once and then closed."""

    def __init__(self, url: str, **fields: Any) -> None:
        self.time = HeldTime()
        config = {"id": "p", "type": "openai", "model": "m", "base_url": url, **fields}
        self.models = ModelCatalog(
            [ProviderConfig.model_validate(config)],
            missing_keys={},
            environ={},
            base_dir=Path(),
            pace=self.time.pace(),
        )

    async def ask(
        self, parameters: ModelRequestParameters | None = None, settings: ModelSettings | None = None
    ) -> ModelResponse:
        messages = [ModelRequest(parts=[UserPromptPart("Hello?")], instructions="Be brief.")]
        model = self.models.resolve(None, None).model
        try:
            return await model_request(model, messages, model_settings=settings, model_request_parameters=parameters)
        finally:
            await self.models.aclose()

    async def fail(self, parameters: ModelRequestParameters | None = None) -> ModelError:
        with pytest.raises(ModelError) as caught:
            await self.ask(parameters)
        assert KEY not in str(caught.value.to_json())
        return caught.value


def native() -> ModelRequestParameters:
    return ModelRequestParameters(
        output_mode="native", output_object=OutputObjectDefinition(json_schema=SCHEMA, name="answer")
    )


async def test_the_request_and_the_answer(chat_server: ChatServer) -> None:
    chat_server.replies = [chat_reply("Hi!", usage=(11, 4))]

    answer = await Asker(chat_server.url, api_key=KEY, temperature=0.25).ask(settings={"max_tokens": 17})

    assert answer.text == "Hi!"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)
    seen = chat_server.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.body["model"] == "m"
    assert seen.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
    ]
    assert seen.body["temperature"] == 0.25
    assert 17 in (seen.body.get("max_tokens"), seen.body.get("max_completion_tokens"))


async def test_no_key_of_the_environment_goes_to_another_server(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    chat_server.replies = [chat_reply("Hi!")]

    await Asker(chat_server.url).ask()

    assert KEY not in str(chat_server.seen[0].headers)


async def test_429_with_retry_after_in_seconds_then_500_then_an_answer(chat_server: ChatServer) -> None:
    chat_server.replies = [
        error_reply(429, "slow down", headers={"Retry-After": "3"}),
        error_reply(500, "oops"),
        chat_reply("at last"),
    ]
    asker = Asker(chat_server.url)

    assert (await asker.ask()).text == "at last"
    assert asker.time.slept_s == [3.0, 0.2]
    assert len(chat_server.seen) == 3, "the package's own retries are off"


async def test_retry_after_as_a_date(chat_server: ChatServer) -> None:
    soon = formatdate(now_ms() / 1000 + 30, usegmt=True)
    chat_server.replies = [error_reply(503, "later", headers={"Retry-After": soon}), chat_reply("now")]
    asker = Asker(chat_server.url)

    assert (await asker.ask()).text == "now"
    assert 20 < asker.time.slept_s[0] <= 30


async def test_retry_after_too_far_away(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(429, "come back", headers={"Retry-After": "900"})]

    error = await Asker(chat_server.url).fail()

    assert "asks to wait 15m00s" in error.message
    assert len(chat_server.seen) == 1


async def test_five_failures_are_final(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(500, "oops")]

    error = await Asker(chat_server.url).fail()

    assert error.message == "model 'm' of provider 'p' answered 500 Internal Server Error: oops (tried 5 times)"
    assert error.details == {
        "provider": "p",
        "model": "m",
        "attempts": 5,
        "failure": "server_error",
        "status": 500,
        "body": "oops",
    }
    assert len(chat_server.seen) == 5


async def test_a_wrong_key_is_masked_and_its_origin_named(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(401, f"Incorrect API key provided: {KEY}")]

    error = await Asker(chat_server.url, api_key=KEY).fail()

    assert error.message == "model 'm' of provider 'p' answered 401 Unauthorized: Incorrect API key provided: ***"
    assert error.hint == "check `api_key` of provider 'p' in compozy.yaml, usually ${OPENAI_API_KEY}"
    assert len(chat_server.seen) == 1


async def test_an_unknown_model(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(404, "The model `m` does not exist", code="model_not_found")]

    error = await Asker(chat_server.url).fail()

    assert "answered 404 Not Found: The model `m` does not exist" in error.message
    assert error.hint == "check `model` ('m') and `base_url` of provider 'p'"


async def test_a_prompt_that_is_too_long(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "maximum context length is 8", code="context_length_exceeded")]

    error = await Asker(chat_server.url).fail()

    assert error.hint == "the prompt is longer than the model's context: shorten it or take a larger model"


async def test_no_server_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: no other process can take the port meanwhile
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        asker = Asker(url)
        error = await asker.fail()

    assert "model 'm' of provider 'p' cannot be reached" in error.message
    assert error.message.endswith("(tried 5 times)")
    assert error.hint == f"is the server running? check `base_url` ({url})"


async def test_a_server_that_never_answers(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(hang=True)]

    error = await Asker(chat_server.url, timeout="200ms", max_attempts=2).fail()

    assert "did not answer within 200ms (tried 2 times)" in error.message
    assert error.hint == "raise `timeout` of provider 'p'"


async def test_an_answer_that_breaks_off_is_asked_for_again(chat_server: ChatServer) -> None:
    whole = chat_reply("all of it")
    chat_server.replies = [Reply(body=whole.body[:40], cut=True), whole]

    assert (await Asker(chat_server.url).ask()).text == "all of it"
    assert len(chat_server.seen) == 2


async def test_answers_that_always_break_off(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(body=b'{"choices": [', cut=True)]

    error = await Asker(chat_server.url).fail()

    assert "(tried 5 times)" in error.message
    assert "broke off its answer" in error.message or "cannot be reached" in error.message


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"{]"),
        Reply(body=b""),
        Reply(body=b"\xff\xfe\x00"),
        Reply(body=b"<html>gateway</html>", headers={"Content-Type": "text/html"}),
        json_reply([]),
        json_reply("hello"),
        json_reply(None),
        json_reply(17),
        json_reply({}),
        json_reply({"choices": []}),
        json_reply({"choices": None}),
        json_reply({"choices": [{}]}),
        json_reply({"choices": [{"message": "text"}]}),
        json_reply({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "x", "content": {}}}]}),
    ],
    ids=lambda reply: reply.body.decode("latin-1")[:30] or "empty",
)
async def test_garbage_is_a_model_error_that_names_the_provider(chat_server: ChatServer, reply: Reply) -> None:
    chat_server.replies = [reply]

    error = await Asker(chat_server.url).fail()

    assert error.message.startswith("model 'm' of provider 'p' answered ")
    assert len(error.message) < 600


async def test_a_body_that_is_too_large_is_not_read(chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 2**20)
    chat_server.replies = [Reply(body=b"x" * (8 * 2**20))]

    error = await Asker(chat_server.url).fail()

    assert "sent too much: the answer is longer than 1 MiB" in error.message
    assert len(chat_server.seen) == 1, "the same request would bring the same flood"


async def test_a_large_error_body_is_cut(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "no " * 5000)]

    error = await Asker(chat_server.url).fail()

    assert len(error.details["body"]) == 300


async def test_a_schema_is_sent_as_response_format(chat_server: ChatServer) -> None:
    chat_server.replies = [chat_reply('{"n": 1}')]

    await Asker(chat_server.url).ask(native())

    sent = chat_server.seen[0].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "answer"
    assert sent["json_schema"]["schema"]["properties"] == {"n": {"type": "integer"}}


async def test_a_server_without_schema_support_gets_the_schema_as_text(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "response_format is not supported"), chat_reply('{"n": 1}')]

    assert (await Asker(chat_server.url).ask(native())).text == '{"n": 1}'

    assert "response_format" not in chat_server.seen[1].body
    told = " ".join(str(message["content"]) for message in chat_server.seen[1].body["messages"])
    assert '"n"' in told
    assert "Be brief." in told


async def test_other_refusals_of_a_schema_request_are_errors(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "temperature is out of range")]

    error = await Asker(chat_server.url).fail(native())

    assert "temperature is out of range" in error.message
    assert ["response_format" in seen.body for seen in chat_server.seen] == [True, False]


async def test_a_model_that_reasons_is_asked_without_a_temperature_and_without_a_warning(
    chat_server: ChatServer,
) -> None:
    chat_server.replies = [chat_reply("Hi!")]

    await Asker(chat_server.url, model="gpt-6-luna", temperature=0.5).ask()

    assert "temperature" not in chat_server.seen[0].body


async def test_all_models_of_a_provider_share_its_limits(chat_server: ChatServer) -> None:
    chat_server.replies = [chat_reply("Hi!")]
    asker = Asker(chat_server.url, requests_per_minute=1)

    for name in ("one", "two"):
        await model_request(asker.models.resolve(None, name).model, [ModelRequest.user_text_prompt("Hello?")])
    await asker.models.aclose()

    assert [seen.body["model"] for seen in chat_server.seen] == ["one", "two"]
    assert asker.time.slept_s == [60.0]


async def test_a_try_that_hangs_ends_at_the_timeout_and_the_next_one_answers(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(hang=True), chat_reply("second time")]

    assert (await Asker(chat_server.url, timeout="2s").ask()).text == "second time"


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8000/v1", "http://", "ftp://127.0.0.1/v1", "http://[::1", "http://h:x/v1", "no url"),
        *("http://u:hunter2@h/v1", "http://u:hunter2/x@h/v1", "http://h/v1?key=hunter2"),
    ],
)
async def test_an_invalid_base_url(url: str) -> None:
    error = await Asker(url).fail()

    assert error.message.startswith("the address of provider 'p' ")
    assert error.hint == _PLAIN_ADDRESS
    assert "hunter2" not in str(error.to_json())


async def test_a_body_that_cannot_be_unpacked(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"})]

    error = await Asker(chat_server.url).fail()

    assert error.message.startswith("model 'm' of provider 'p' ")


async def test_a_redirect_is_an_error_and_the_key_stays_here(chat_server: ChatServer) -> None:
    chat_server.replies = [Reply(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})]

    error = await Asker(chat_server.url, api_key=KEY).fail()

    assert error.message == ("model 'm' of provider 'p' answered 307, a redirect to http://127.0.0.1:9/elsewhere")
    assert error.hint == "set `base_url` of provider 'p' to http://127.0.0.1:9/elsewhere"
    assert len(chat_server.seen) == 1
