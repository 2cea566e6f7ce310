"""Requests whose answer is read while the model writes it."""

from __future__ import annotations

from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from compozy.model.call import current_text


async def request_written(
    model: Model, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
) -> ModelResponse:
    """Return the answer of `model`; if it is read before its end, ask for it piece by piece.

    The answer is the same in both cases. A model with `writes_text` does this in its `request`.
    """
    text = current_text()
    if text is not None:
        text.start()
    if text is None or getattr(model, "writes_text", False):
        return await model.request(messages, settings, parameters)
    async with model.request_stream(messages, settings, parameters) as stream:
        async for event in stream:
            if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                text.write(event.part.content)
            elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                text.write(event.delta.content_delta)
    return stream.get()
