"""Counts requests to models: their outcomes, their tokens, and their price where it is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic_ai.messages import ModelResponse

from compozy.model.catalog import ResolvedModel
from compozy.model.unpriced import UnpricedModel
from compozy.telemetry.metrics import LLM_COST, LLM_REQUESTS, LLM_TOKENS, is_collecting


async def metered(resolved: ResolvedModel, request: Callable[[], Awaitable[ModelResponse]]) -> ModelResponse:
    """Return the answer of a model, and count the request."""
    provider, model = resolved.provider_id, resolved.model_name
    try:
        response = await request()
    except Exception:
        LLM_REQUESTS.add(provider=provider, model=model, outcome="error")
        raise
    LLM_REQUESTS.add(provider=provider, model=model, outcome="ok")
    LLM_TOKENS.add(response.usage.input_tokens, provider=provider, model=model, kind="input")
    LLM_TOKENS.add(response.usage.output_tokens, provider=provider, model=model, kind="output")
    # Our own models have no price, and looking for it would load the list of prices.
    if is_collecting() and not isinstance(resolved.model, UnpricedModel):
        cost = price_of(response)
        if cost is not None:
            LLM_COST.add(cost, provider=provider, model=model)
    return response


def price_of(response: ModelResponse) -> float | None:
    """Return the price of a request in US dollars by the list of `genai-prices`; None if it is unknown."""
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError, AssertionError):
        return None
