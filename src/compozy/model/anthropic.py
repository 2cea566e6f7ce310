"""Anthropic's Claude."""

from __future__ import annotations

from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from compozy.model.http import new_http_client
from compozy.model.provider import BuiltModel, ModelSpec


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the Claude model that `spec` names."""
    client = AsyncAnthropic(
        api_key=spec.api_key,
        base_url=spec.base_url,
        timeout=spec.config.timeout,
        max_retries=0,
        http_client=new_http_client(spec.config.timeout),
    )
    provider = AnthropicProvider(anthropic_client=client)
    model = AnthropicModel(spec.model_name, provider=provider, settings=spec.default_settings())
    return BuiltModel(model=model, close=client.close)
