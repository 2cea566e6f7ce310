"""Google's Gemini, through the Gemini API."""

from __future__ import annotations

from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from compozy.model.http import new_http_client
from compozy.model.provider import BuiltModel, ModelSpec


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the Gemini model that `spec` names. Google's package retries nothing by default."""
    http_client = new_http_client(spec.config.timeout)
    provider = GoogleProvider(api_key=spec.api_key, base_url=spec.base_url, http_client=http_client)
    model = GoogleModel(spec.model_name, provider=provider, settings=spec.default_settings())
    return BuiltModel(model=model, close=http_client.aclose)
