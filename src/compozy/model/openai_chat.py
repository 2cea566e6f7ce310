"""OpenAI, and every server that speaks its chat format: llama.cpp, vLLM, LM Studio, OpenRouter, Ollama."""

from __future__ import annotations

import warnings
from dataclasses import replace

from openai import AsyncOpenAI
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings

from compozy.model.http import new_http_client
from compozy.model.provider import BuiltModel, ModelSpec

_OPENAI_HOST = "https://api.openai.com/"
# The package wants a key; servers without keys ignore it.
_NO_KEY = "none"
# Not every such server knows `response_format: json_object`; the schema in words works everywhere.
_COMPATIBLE_PROFILE = OpenAIModelProfile(supports_json_schema_output=True, supports_json_object_output=False)
_REFUSED_STATUSES = frozenset({400, 404, 415, 422, 501})


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the chat model at the provider's address."""
    # A model that reasons takes no temperature. It is left out, which the pages say; a warning with each request
    # would only be noise on stderr.
    warnings.filterwarnings("ignore", message="Sampling parameters", category=UserWarning)
    client = AsyncOpenAI(
        base_url=spec.base_url,
        api_key=spec.api_key or _NO_KEY,
        timeout=spec.config.timeout,
        max_retries=0,
        http_client=new_http_client(spec.config.timeout),
    )
    settings = spec.default_settings()
    if spec.config.type == "ollama":
        model = OllamaModel(spec.model_name, provider=OllamaProvider(openai_client=client), settings=settings)
    elif (spec.base_url or "").startswith(_OPENAI_HOST):
        model = OpenAIChatModel(spec.model_name, provider=OpenAIProvider(openai_client=client), settings=settings)
    else:
        compatible = OpenAICompatibleProvider(spec.config.id, openai_client=client, profile=_COMPATIBLE_PROFILE)
        model = CompatibleChatModel(spec.model_name, provider=compatible, settings=settings)
    return BuiltModel(model=model, close=client.close)


class CompatibleChatModel(OpenAIChatModel):
    """A model on a server that is not OpenAI's own, and may not know how to follow a JSON Schema."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer; a server that refuses `response_format` gets the schema in words instead."""
        try:
            return await super().request(messages, model_settings, model_request_parameters)
        except ModelHTTPError as error:
            if model_request_parameters.output_mode != "native" or not _refuses_schema(error):
                raise
        in_words = replace(model_request_parameters, output_mode="prompted")
        return await super().request(messages, model_settings, in_words)


def _refuses_schema(error: ModelHTTPError) -> bool:
    told = str(error.body).lower()
    return error.status_code in _REFUSED_STATUSES and ("response_format" in told or "json_schema" in told)
