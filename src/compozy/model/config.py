"""`llm.providers`: the model providers as they are written in compozy.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, SecretStr, Tag, field_validator

from compozy.config.choices import OneOf
from compozy.config.duration import DurationS
from compozy.config.reference import OrId
from compozy.config.settings import Section, check_header_key
from compozy.model.fallback import FailureKind, Fallback
from compozy.model.params import ModelParams
from compozy.model.price import FREE, PriceConfig
from compozy.model.registry import PROVIDERS
from compozy.model.retry import DEFAULT_ATTEMPTS

ProviderType = Annotated[str, OneOf(PROVIDERS)]
"""The name of a kind of provider."""


class ScriptedUsage(Section):
    """Token counts that a scripted answer reports."""

    input_tokens: int = Field(default=0, ge=0, description="Tokens of the request, with those of the prompt cache.")
    cache_read_tokens: int = Field(default=0, ge=0, description="Of these, tokens read from the prompt cache.")
    cache_write_tokens: int = Field(default=0, ge=0, description="Of these, tokens written to the prompt cache.")
    output_tokens: int = Field(default=0, ge=0, description="Tokens of the answer.")


class ScriptedToolCall(Section):
    """One call of a tool in a scripted answer."""

    tool: str = Field(min_length=1, description="ID of the tool.")
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], description="Arguments of the call.")


class ScriptedResponse(Section):
    """One answer of a `scripted` provider: `text`, `json` or `tool_calls`, or an `error`."""

    text: str | None = Field(default=None, description="The answer as text.")
    json_: Any = Field(default=None, alias="json", description="The answer as a JSON value.")
    tool_calls: tuple[ScriptedToolCall, ...] | None = Field(
        default=None, min_length=1, description="Calls of tools, which may come with a `text`."
    )
    error: str | None = Field(default=None, description="Fail the request with this message instead of answering.")
    failure: FailureKind | None = Field(default=None, description="Kind of the `error`, for agents with a `fallback`.")
    delay_ms: int = Field(default=0, ge=0, le=3_600_000, description="Time to think before answering.")
    usage: ScriptedUsage | None = Field(default=None, description="Token counts to report.")


def _form(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "<list>"
    return "<map>" if isinstance(value, (dict, ScriptedResponse)) else None


# The form decides which branch of a union is meant, so that an error is reported once, for that branch.
_InTurn = Annotated[tuple[ScriptedResponse, ...], Tag("<list>")]
_ForTask = Annotated[Annotated[ScriptedResponse, Tag("<map>")] | _InTurn, Discriminator(_form)]
_ByTask = Annotated[dict[str, _ForTask], Tag("<map>")]


class _Provider(Section):
    """The keys of a provider besides the parameters of its models."""

    id: str = Field(min_length=1, description="The name that `agent.llm` uses.")
    type: ProviderType = Field(description="Kind of provider.")
    model: str | None = Field(
        default=None, min_length=1, description="Model of agents that name none; each kind of provider has a default."
    )
    api_key: SecretStr | None = Field(default=None, description="Key of the provider, best as `${VAR}`.")
    base_url: str | None = Field(default=None, description="Address of an OpenAI-compatible or Ollama server.")
    path: str | None = Field(default=None, description="local: a GGUF model file. Default: SmolLM2-135M.")
    missing_key_fallback: str | None = Field(
        default=None, description="Provider that answers while this one has no API key."
    )
    fallback: Annotated[Fallback, OrId("a provider, for `missing_key_fallback`")] | None = Field(
        default=None, description="Models to ask when a model of this provider fails, unless the agent has its own."
    )
    max_concurrent: int | None = Field(
        default=None, ge=1, le=10_000, description="Largest number of concurrent requests."
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Requests that start within any minute.")
    timeout: DurationS = Field(default=300.0, description="Longest time for one request.")
    max_attempts: int = Field(
        default=DEFAULT_ATTEMPTS, ge=1, le=20, description="Tries of one request before the task fails."
    )
    price: PriceConfig | None = Field(
        default=None, description="Price of its tokens. Default: that of a list of public prices; 0 for local models."
    )
    responses: Annotated[_InTurn | _ByTask, Discriminator(_form)] | None = Field(
        default=None, description="scripted: answers in turn (a list) or by task id (a map)."
    )

    _check_api_key = field_validator("api_key")(check_header_key)


class ProviderConfig(ModelParams, _Provider):
    """One entry of `llm.providers`. Its parameters are defaults for agents."""


def default_model(provider: ProviderConfig) -> str:
    """Return the model of `provider` that answers when an agent names none."""
    if provider.model:
        return provider.model
    return Path(provider.path).stem if provider.path else PROVIDERS[provider.type].default_model


def own_price(provider: ProviderConfig) -> PriceConfig | None:
    """Return the price of the tokens of `provider`; None if only a list of public prices can know it."""
    return provider.price or (FREE if PROVIDERS[provider.type].is_free else None)
