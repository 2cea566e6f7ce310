"""Limits and retries, with a simulated clock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from heldpace import HeldTime
from pydantic_ai.exceptions import ModelConnectionError, ModelHTTPError, ModelQuotaExceededError, UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from compozy.errors import ModelError
from compozy.model.config import ProviderConfig
from compozy.model.limits import LimitedModel, ProviderLimits
from compozy.model.provider import ModelSpec

KEY = "a-key-of-no-known-shape"


class Puppet(Model):
    """Fails with the given errors, then answers, and counts its concurrent requests."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.calls = 0
        self.inside = 0
        self.most_inside = 0
        self.gate: asyncio.Event | None = None

    @property
    def model_name(self) -> str:
        return "m"

    @property
    def system(self) -> str:
        return "puppet"

    async def wait_until_inside(self, count: int) -> None:
        for _ in range(1000):
            if self.inside >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.inside} requests are inside, expected {count}")

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        self.calls += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
            return ModelResponse(parts=[TextPart("done")])
        finally:
            self.inside -= 1


def limited(puppet: Puppet, time: HeldTime, **fields: Any) -> LimitedModel:
    config = ProviderConfig.model_validate({"id": "p", "type": "openai", "api_key": KEY, **fields})
    spec = ModelSpec(config=config, model_name="m", base_url="http://u:pw@host:1/v1?k=v", base_dir=Path(), environ={})
    return LimitedModel(puppet, spec, ProviderLimits(config, time.pace()), time.pace())


async def ask(model: LimitedModel) -> str:
    response = await model.request([ModelRequest.user_text_prompt("?")], None, ModelRequestParameters())
    return response.text or ""


def http_error(status: int, body: Any = "b", **headers: str) -> ModelHTTPError:
    return ModelHTTPError(status, "m", body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
async def test_a_temporary_error_is_retried(status: int) -> None:
    puppet, time = Puppet(http_error(status), http_error(status)), HeldTime()

    assert await ask(limited(puppet, time)) == "done"
    assert puppet.calls == 3
    assert time.slept_s == [0.1, 0.2]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 422])
async def test_a_permanent_error_is_not_retried(status: int) -> None:
    puppet, time = Puppet(http_error(status)), HeldTime()

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, time))

    assert puppet.calls == 1
    assert caught.value.details["status"] == status
    assert f"answered {status}" in caught.value.message


async def test_an_account_without_credit_is_not_retried() -> None:
    error = ModelHTTPError.for_category(ModelQuotaExceededError, status_code=429, model_name="m", body="no money")
    puppet = Puppet(error)

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, HeldTime()))

    assert puppet.calls == 1
    assert "no credit left" in caught.value.hint


async def test_the_last_try_fails_with_the_count_and_waits_grow_to_a_limit() -> None:
    puppet, time = Puppet(*(http_error(500) for _ in range(20))), HeldTime()

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, time, max_attempts=10))

    assert puppet.calls == 10
    assert time.slept_s == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert caught.value.message == ("model 'm' of provider 'p' answered 500 Internal Server Error: b (tried 10 times)")


async def test_retry_after_is_kept() -> None:
    puppet, time = Puppet(http_error(429, retry_after="7"), http_error(503, retry_after="2")), HeldTime()

    assert await ask(limited(puppet, time)) == "done"
    assert time.slept_s == [7.0, 2.0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
@pytest.mark.parametrize(
    ("retry_after", "slept_s"), [("7", 7.0), ("0.5", 0.5), ("later", 0.1), ("-1", 0.1), ("nan", 0.1)]
)
async def test_retry_after_of_each_status_that_is_retried(status: int, retry_after: str, slept_s: float) -> None:
    puppet, time = Puppet(http_error(status, retry_after=retry_after)), HeldTime()

    assert await ask(limited(puppet, time)) == "done"
    assert time.slept_s == [slept_s]


async def test_a_long_retry_after_fails_immediately() -> None:
    puppet, time = Puppet(http_error(429, retry_after="3600")), HeldTime()

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, time))

    assert time.slept_s == []
    assert "it asks to wait 1h00m, longer than the 1m00s that a task waits" in caught.value.message
    assert caught.value.hint == "run again in 1h00m"


async def test_connection_errors_are_retried_and_name_the_address_without_its_password() -> None:
    puppet, time = Puppet(*(ModelConnectionError("m", "refused", phase="connect") for _ in range(5))), HeldTime()

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, time))

    assert puppet.calls == 5
    assert "cannot be reached: refused (tried 5 times)" in caught.value.message
    assert caught.value.hint == "is the server running? check `base_url` (http://host:1/v1)"


async def test_the_key_is_in_no_message_and_in_no_traceback() -> None:
    body = {"error": {"message": f"bad key {KEY}, bad key sk-proj-abcdefghijklmnop" + "x" * 1000}}

    with pytest.raises(ModelError) as caught:
        await ask(limited(Puppet(http_error(401, body)), HeldTime()))

    told = str(caught.value.to_json())
    assert KEY not in told
    assert "sk-proj" not in told
    assert "bad key ***, bad key ***" in told
    assert len(caught.value.details["body"]) <= 300
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_harmless_cause_is_kept() -> None:
    error = http_error(404, "no such model")

    with pytest.raises(ModelError) as caught:
        await ask(limited(Puppet(error), HeldTime()))

    assert caught.value.__cause__ is error
    assert caught.value.hint == "check `model` ('m') and `base_url` of provider 'p'"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("not like this"), "cannot be asked this way: not like this"),
        (IndexError("list index out of range"), "answered in a shape that is not understood (IndexError: list index"),
    ],
)
async def test_other_failures_have_a_message(error: Exception, words: str) -> None:
    puppet = Puppet(error)

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, HeldTime()))

    assert words in caught.value.message
    assert puppet.calls == 1


async def test_concurrent_requests_are_limited() -> None:
    puppet = Puppet()
    puppet.gate = asyncio.Event()
    model = limited(puppet, HeldTime(), max_concurrent=3)
    asking = [asyncio.create_task(ask(model)) for _ in range(10)]
    await puppet.wait_until_inside(3)
    for _ in range(50):
        await asyncio.sleep(0)

    assert puppet.inside == 3
    puppet.gate.set()
    assert await asyncio.gather(*asking) == ["done"] * 10
    assert puppet.most_inside == 3


async def test_without_a_limit_all_requests_are_concurrent() -> None:
    puppet = Puppet()
    puppet.gate = asyncio.Event()
    model = limited(puppet, HeldTime())
    asking = [asyncio.create_task(ask(model)) for _ in range(10)]
    await puppet.wait_until_inside(10)

    puppet.gate.set()
    assert await asyncio.gather(*asking) == ["done"] * 10


async def test_the_local_model_takes_one_at_a_time() -> None:
    puppet = Puppet()
    puppet.gate = asyncio.Event()
    model = limited(puppet, HeldTime(), type="local", max_concurrent=8)
    asking = [asyncio.create_task(ask(model)) for _ in range(4)]
    for _ in range(50):
        await asyncio.sleep(0)
    puppet.gate.set()
    await asyncio.gather(*asking)

    assert puppet.most_inside == 1


async def test_a_slot_is_free_while_its_request_waits_for_the_next_try() -> None:
    answers: list[str] = []

    class AskingTime(HeldTime):
        async def sleep(self, seconds: float) -> None:
            answers.append(await asyncio.wait_for(ask(model), 5))

    model = limited(Puppet(http_error(500)), AskingTime(), max_concurrent=1)

    assert await ask(model) == "done"
    assert answers == ["done"]


async def test_requests_per_minute_is_a_sliding_window() -> None:
    puppet, time = Puppet(), HeldTime()
    model = limited(puppet, time, requests_per_minute=2)

    await ask(model)
    time.now_s += 20
    await ask(model)
    await ask(model)
    await ask(model)

    assert time.slept_s == [40.0, 20.0]
    assert time.now_s == 1080.0


async def test_tries_count_against_the_minute_too() -> None:
    puppet, time = Puppet(http_error(500)), HeldTime()
    model = limited(puppet, time, requests_per_minute=1)

    assert await ask(model) == "done"
    assert time.slept_s == [0.1, 59.9]


async def test_each_try_has_its_timeout() -> None:
    puppet = Puppet()
    puppet.gate = asyncio.Event()

    with pytest.raises(ModelError) as caught:
        await ask(limited(puppet, HeldTime(), timeout="20ms", max_attempts=2))

    assert puppet.calls == 2
    assert "did not answer within 20ms (tried 2 times)" in caught.value.message


async def test_cancelling_is_not_swallowed() -> None:
    puppet = Puppet()
    puppet.gate = asyncio.Event()
    task = asyncio.create_task(ask(limited(puppet, HeldTime())))
    await puppet.wait_until_inside(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert puppet.inside == 0
