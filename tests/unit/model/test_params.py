"""Parameters of models: each type of provider sends those that it accepts, under the names of its API."""

from __future__ import annotations

from typing import Any

import pytest
from test_model_http import Asker
from tests.harness.chatserver import ChatServer, error_reply

from compozy.errors import ModelError
from compozy.model.params import PARAMS, ModelParams, to_settings
from compozy.model.registry import PROVIDERS
from compozy.model.thinking import fit_thinking

VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 9,
    "top_p": 0.4,
    "top_k": 3,
    "seed": 7,
    "stop": ["END", "STOP"],
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "repetition_penalty": 1.1,
}
# Sent in special forms.
OTHERS = {"thinking", "cache"}
OPENAI = {name: name for name in PARAMS}
NAMES = {
    "openai": OPENAI,
    "groq": OPENAI,
    "ollama": OPENAI,
    "anthropic": {**OPENAI, "stop": "stop_sequences"},
    "google": {
        "temperature": "temperature",
        "max_tokens": "maxOutputTokens",
        "top_p": "topP",
        "top_k": "topK",
        "seed": "seed",
        "stop": "stopSequences",
        "frequency_penalty": "frequencyPenalty",
        "presence_penalty": "presencePenalty",
    },
}


@pytest.mark.parametrize("is_default", [True, False], ids=["provider", "agent"])
@pytest.mark.parametrize("kind", NAMES)
async def test_accepted_parameters_are_sent(chat_server: ChatServer, kind: str, *, is_default: bool) -> None:
    chat_server.replies = [error_reply(400, "enough")]
    accepted = PROVIDERS[kind].params | PROVIDERS[kind].compatible_params
    # A model that accepts them all; newer models of Anthropic refuse some.
    model = {"anthropic": "claude-haiku-4-5"}.get(kind, "m")
    written = {name: value for name, value in VALUES.items() if name in accepted}
    fields = {"type": kind, "model": model, "api_key": "k", "max_attempts": 1}
    asker = Asker(chat_server.url, **fields, **(written if is_default else {"temperature": 0.9}))
    settings = None if is_default else to_settings(ModelParams.model_validate(written))

    with pytest.raises(Exception, match="enough"):
        await asker.ask(settings=settings)

    body = chat_server.seen[0].body
    sent: dict[str, Any] = body.get("generationConfig", body)
    names = NAMES[kind]
    assert {name: sent.get(names[name]) for name in written} == written
    assert not {names.get(name, name) for name in PARAMS if name not in written} & sent.keys()


def test_each_kind_names_its_parameters() -> None:
    assert all(kind.params <= frozenset(PARAMS) for kind in PROVIDERS.values())
    assert set(VALUES) | OTHERS == set(PARAMS)


@pytest.mark.parametrize(
    ("kind", "model", "thinking", "sent"),
    [
        ("anthropic", "claude-haiku-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("google", "gemini-2.5-flash", "off", {"thinkingConfig": {"thinking_budget": 0}}),
        ("groq", "qwen/qwen3-32b", "off", {"reasoning_effort": "none"}),
        ("ollama", "m", "high", {"reasoning_effort": "high"}),
        ("openai", "m", "off", {"reasoning_effort": "none"}),
        ("openai", "m", True, {"reasoning_effort": "medium"}),
    ],
)
async def test_reasoning_is_asked_for_in_the_form_of_the_provider(
    chat_server: ChatServer, kind: str, model: str, thinking: Any, sent: dict[str, Any]
) -> None:
    chat_server.replies = [error_reply(400, "enough")]
    asker = Asker(chat_server.url, type=kind, model=model, api_key="k", max_attempts=1)
    with pytest.raises(Exception, match="enough"):
        await asker.ask(settings=to_settings(ModelParams(thinking=thinking, max_tokens=9000)))
    body: dict[str, Any] = chat_server.seen[0].body
    assert sent.items() <= body.get("generationConfig", body).items()


@pytest.mark.parametrize("is_default", [True, False], ids=["provider", "agent"])
@pytest.mark.parametrize(
    ("kind", "model", "sent"),
    [
        ("anthropic", "claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 3000}}),
        ("google", "gemini-2.5-flash", {"thinkingConfig": {"thinking_budget": 3000, "include_thoughts": True}}),
    ],
)
async def test_reasoning_can_be_a_number_of_tokens(
    chat_server: ChatServer, kind: str, model: str, sent: dict[str, Any], *, is_default: bool
) -> None:
    chat_server.replies = [error_reply(400, "enough")]
    written: dict[str, Any] = {"thinking": 3000, "max_tokens": 9000}
    fields = {"type": kind, "model": model, "api_key": "k", "max_attempts": 1}
    asker = Asker(chat_server.url, **fields, **(written if is_default else {"thinking": "low"}))
    own = None if is_default else to_settings(ModelParams.model_validate(written))
    settings = fit_thinking(asker.models.resolve(None, None), own)
    with pytest.raises(Exception, match="enough"):
        await asker.ask(settings=settings)
    body: dict[str, Any] = chat_server.seen[0].body
    assert sent.items() <= body.get("generationConfig", body).items()


@pytest.mark.parametrize(
    ("kind", "model", "max_tokens", "message"),
    [
        ("openai", "m", 9000, "takes levels of `thinking`, not a number of tokens"),
        ("anthropic", "claude-opus-4-7", 9000, "takes levels of `thinking`, not a number of tokens"),
        ("google", "gemini-2.5-flash", 3000, "leaves none for the answer"),
    ],
)
def test_a_number_of_tokens_that_cannot_be_sent_is_refused(
    kind: str, model: str, max_tokens: int, message: str
) -> None:
    asker = Asker("http://127.0.0.1:1", type=kind, model=model, api_key="k")
    settings = to_settings(ModelParams(thinking=3000, max_tokens=max_tokens))
    with pytest.raises(ModelError, match=message):
        fit_thinking(asker.models.resolve(None, None), settings)


async def test_prompts_are_marked_for_the_cache(chat_server: ChatServer) -> None:
    chat_server.replies = [error_reply(400, "enough")]
    asker = Asker(chat_server.url, type="anthropic", model="claude-haiku-4-5", api_key="k", max_attempts=1)
    with pytest.raises(Exception, match="enough"):
        await asker.ask(settings=to_settings(ModelParams(cache="1h")))
    assert chat_server.seen[0].body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_an_explicit_zero_is_sent() -> None:
    params = ModelParams(temperature=0, top_p=0, seed=0, presence_penalty=0)

    assert to_settings(params) == {"temperature": 0, "top_p": 0, "seed": 0, "presence_penalty": 0}
    assert to_settings(None) == {}
