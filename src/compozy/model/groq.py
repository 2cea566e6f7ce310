"""Groq."""

from __future__ import annotations

import httpx
from groq import AsyncGroq
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.providers.groq import GroqProvider

from compozy.model.http import HEADERS, limit_answer, refuse_other_servers
from compozy.model.provider import BuiltModel, ModelSpec


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the Groq model that `spec` names. Its package speaks the older httpx."""
    client = AsyncGroq(
        api_key=spec.api_key,
        base_url=spec.base_url,
        timeout=spec.config.timeout,
        max_retries=0,
        http_client=httpx.AsyncClient(
            headers=HEADERS,
            timeout=spec.config.timeout,
            event_hooks={"response": [limit_answer, refuse_other_servers]},
        ),
    )
    model = GroqModel(spec.model_name, provider=GroqProvider(groq_client=client), settings=spec.default_settings())
    return BuiltModel(model=model, close=client.close)
