"""Counts and traces requests to models: their outcomes, their tokens, and their price where it is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic_ai.messages import ModelResponse

from compozy.model.catalog import ResolvedModel
from compozy.model.cost import Cost, cost_of
from compozy.telemetry import genai
from compozy.telemetry.metrics import LLM_COST, LLM_REQUESTS, LLM_TOKENS
from compozy.telemetry.traces import span


async def metered(
    resolved: ResolvedModel, request: Callable[[], Awaitable[ModelResponse]]
) -> tuple[ModelResponse, Cost]:
    """Return the answer of a model and its price, and count the request."""
    provider, model = resolved.provider_id, resolved.model_name
    about = {genai.OPERATION: genai.CHAT, genai.PROVIDER: resolved.provider_type, genai.REQUEST_MODEL: model}
    with span(f"{genai.CHAT} {model}", about, kind="client") as shown:
        try:
            response = await request()
        except Exception:
            LLM_REQUESTS.add(provider=provider, model=model, outcome="error")
            raise
        shown.set(genai.INPUT_TOKENS, response.usage.input_tokens)
        shown.set(genai.OUTPUT_TOKENS, response.usage.output_tokens)
        shown.set(genai.RESPONSE_MODEL, response.model_name or model)
        if response.finish_reason is not None:
            shown.set(genai.FINISH_REASONS, (response.finish_reason,))
    LLM_REQUESTS.add(provider=provider, model=model, outcome="ok")
    LLM_TOKENS.add(response.usage.input_tokens, provider=provider, model=model, kind="input")
    LLM_TOKENS.add(response.usage.output_tokens, provider=provider, model=model, kind="output")
    cost = cost_of(resolved, response)
    if cost.micros is not None:
        LLM_COST.add(cost.micros / 1_000_000, provider=provider, model=model)
    return response, cost
