"""OpenAI, and every server that speaks its chat format: llama.cpp, vLLM, LM Studio, OpenRouter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from openai import AsyncOpenAI, omit
from openai.types.chat import ChatCompletion
from pydantic_ai.exceptions import ModelContextWindowExceededError, ModelHTTPError, ModelQuotaExceededError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings

from compozy.model.chat_stream import StreamedChatModel
from compozy.model.completion import read_completion
from compozy.model.http import new_http_client
from compozy.model.provider import BuiltModel, ModelSpec
from compozy.model.thoughts import NO_TAGS

_OPENAI_HOST = "https://api.openai.com/"
# The package wants a key; servers without keys ignore it.
_NO_KEY = "none"
# Not every such server knows `response_format: json_object`; the schema in words works everywhere.
_COMPATIBLE_PROFILE = OpenAIModelProfile(
    supports_json_schema_output=True,
    supports_json_object_output=False,
    openai_chat_supports_max_completion_tokens=False,
    thinking_tags=NO_TAGS,
    # Hardly any of these servers reads PDF; its text is sent instead.
    supports_document_input=False,
)
_REFUSED_STATUSES = frozenset({400, 415, 422, 501})
_DOUBTFUL_STATUSES = frozenset({404, 405, 500})
_SCHEMA_WORDS = ("schema", "response_format", "grammar", "structured output", "guided", "requested parameters")
# Parameters that OpenAI does not have and other servers do.
_EXTRA_PARAMS = ("top_k", "repetition_penalty")
_NEW_NAME = "max_completion_tokens"
# Values of `thinking` that these servers call otherwise.
_EFFORTS: Mapping[object, str] = {False: "none", True: "medium"}


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the chat model at the provider's address."""
    client = new_client(spec)
    settings = spec.default_settings()
    if (spec.base_url or "").startswith(_OPENAI_HOST):
        model = StreamedChatModel(spec.model_name, provider=OpenAIProvider(openai_client=client), settings=settings)
    else:
        compatible = OpenAICompatibleProvider(spec.config.id, openai_client=client, profile=_COMPATIBLE_PROFILE)
        model = CompatibleChatModel(spec.model_name, provider=compatible, settings=settings)
    return BuiltModel(model=model, close=client.close)


def new_client(spec: ModelSpec) -> AsyncOpenAI:
    """Return the client of the server at the provider's address."""
    # A model that reasons takes no temperature. It is left out, which the pages say; a warning with each request
    # would only be noise on stderr.
    warnings.filterwarnings("ignore", message="Sampling parameters", category=UserWarning)
    return AsyncOpenAI(
        base_url=spec.base_url,
        api_key=spec.api_key or _NO_KEY,
        timeout=spec.config.timeout,
        max_retries=0,
        http_client=new_http_client(spec.config.timeout),
    )


class CompatibleChatModel(StreamedChatModel):
    """A model on a server that is not OpenAI's own: its dialect may be older, and its answers differ in details."""

    sends_thinking = True
    # Whether the server wants `max_tokens` by its new name; most servers know only the old one.
    _takes_new_name = False

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer; a server that refuses a JSON Schema gets the schema in words instead."""
        try:
            return await self._request_in_dialect(messages, model_settings, model_request_parameters)
        except ModelHTTPError as error:
            if model_request_parameters.output_mode != "native" or not _may_refuse_schema(error):
                raise
        in_words = replace(model_request_parameters, output_mode="prompted")
        return await self._request_in_dialect(messages, model_settings, in_words)

    async def _request_in_dialect(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        try:
            return await super().request(messages, self._dialect(settings), parameters)
        except ModelHTTPError as error:
            refuses = error.status_code in _REFUSED_STATUSES and _NEW_NAME in str(error.body)
            if self._takes_new_name or not refuses:
                raise
        self._takes_new_name = True
        return await super().request(messages, self._dialect(settings), parameters)

    def _dialect(self, settings: ModelSettings | None) -> ModelSettings | None:
        """Return `settings` with the name of `max_tokens` that the server takes, and parameters that OpenAI lacks."""
        merged: dict[str, object] = {**(self.settings or {}), **(settings or {})}
        body = {name: merged[name] for name in _EXTRA_PARAMS if name in merged}
        if "thinking" in merged:
            body["reasoning_effort"] = _EFFORTS.get(merged["thinking"], merged["thinking"])
        limit = merged.get("max_tokens")
        # A limit of `omit` overrides the one of the provider.
        renamed = {"max_tokens": omit} if self._takes_new_name and limit is not None else {}
        if renamed:
            body[_NEW_NAME] = limit
        return cast("ModelSettings", {**(settings or {}), **renamed, "extra_body": body}) if body else settings

    def _completion(self, document: dict[str, Any]) -> ChatCompletion:
        # Its fields are mended by `read_completion`.
        return ChatCompletion.model_construct(**document)

    def _process_response(self, response: ChatCompletion | str, **include: bool) -> ModelResponse:
        return super()._process_response(read_completion(response, self.model_name), **include)


def _may_refuse_schema(error: ModelHTTPError) -> bool:
    """Return whether a server may have refused a request for its JSON Schema.

    Servers say so in many ways, so each refusal that is not explained otherwise counts; the request without the schema
    shows whether it was the cause. Statuses that mostly mean other things need a word for it.
    """
    if isinstance(error, (ModelContextWindowExceededError, ModelQuotaExceededError)):
        return False
    if error.status_code in _REFUSED_STATUSES:
        return True
    told = str(error.body).lower()
    return error.status_code in _DOUBTFUL_STATUSES and any(word in told for word in _SCHEMA_WORDS)
