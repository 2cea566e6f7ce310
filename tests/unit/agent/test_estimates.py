"""Estimates of requests for budgets: what is sent counts, and a test needs no key for the price."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from tests.unit.agent.journal import Journal

from compozy.agent.attachment.content import Attached
from compozy.agent.attachment.read import Attachment
from compozy.agent.budget import Estimate
from compozy.agent.checkpoint import CheckpointedModel
from compozy.errors import ModelError
from compozy.knowledge.tokens import estimate_tokens
from compozy.model.call import CallPosition
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.cost import Quote, quote_named
from compozy.model.failover import Failover
from compozy.model.fallback import FallbackModel
from compozy.model.price import PriceConfig

PROMPT = "Describe it."


def _attachment(name: str, media_type: str, size: int, max_pages: int | None = None) -> Attachment:
    return Attachment(
        name=name, media_type=media_type, suffix="", size=size, sha256="0", source=name, max_pages=max_pages
    )


async def _unread(_: str) -> bytes:
    raise AssertionError("an estimate reads no file")


@pytest.mark.parametrize(
    ("attachment", "tokens"),
    [
        (_attachment("a.txt", "text/plain", 4000), 1000),
        (_attachment("a.png", "image/png", 4_000_000), 1600),
        (_attachment("a.pdf", "application/pdf", 100_000), 5000),
        (_attachment("a.pdf", "application/pdf", 100_000, max_pages=2), 4000),
        (_attachment("a.mp3", "audio/mpeg", 100), 1),
    ],
)
def test_the_size_of_an_attachment_counts(attachment: Attachment, tokens: int) -> None:
    assert Attached([attachment], _unread).tokens == tokens


async def _estimate(*, remembered: int, attached: Attached | None, is_summary: bool = False) -> Estimate:
    seen: list[Estimate] = []

    def admit(_: str, estimate: Callable[[], Estimate]) -> AbstractAsyncContextManager[None]:
        seen.append(estimate())
        raise ModelError("not sent")

    model = CheckpointedModel(
        failover=Failover(FallbackModel()),
        resolve=lambda _: pytest.fail("it resolves the model"),
        name=lambda _: ({}, {}),
        checkpoint=Journal(),
        position=CallPosition(execution_id="e", task_id="t", path="t", run_index=0, task_index=0),
        attached=attached,
        admit=admit,
        remembered=remembered,
        quote=lambda _: Quote(rate=PriceConfig(input=1, output=2), model="m"),
    )
    messages: list[ModelRequest | ModelResponse] = [ModelRequest(parts=[UserPromptPart(PROMPT)])]
    parameters = ModelRequestParameters()
    sent = (
        model.request_summary(messages, {"max_tokens": 10})
        if is_summary
        else model.request(messages, {"max_tokens": 10}, parameters)
    )
    with pytest.raises(ModelError, match="not sent"):
        await sent
    [estimate] = seen
    return estimate


async def test_remembered_messages_and_attachments_are_part_of_an_estimate() -> None:
    sent = estimate_tokens(f"User: {PROMPT}")
    attached = Attached([_attachment("a.txt", "text/plain", 4000)], _unread)
    full = await _estimate(remembered=100, attached=attached)
    assert (full.amounts.tokens, full.amounts.cost_micros) == (sent + 1100 + 10, sent + 1100 + 20)
    plain = await _estimate(remembered=0, attached=None)
    assert plain.amounts.tokens == sent + 10
    # A summary is a separate request without them.
    summary = await _estimate(remembered=100, attached=attached, is_summary=True)
    assert summary.amounts.tokens == sent + 10


def test_the_price_of_a_model_needs_no_key() -> None:
    provider = ProviderConfig(id="p", type="openai", model="gpt-5-mini")
    catalog = ModelCatalog([provider], missing_keys={"p": "OPENAI_API_KEY"}, environ={}, base_dir=Path())
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        catalog.resolve(None, None)
    quote = quote_named(catalog.named(None, None))
    assert quote.rate is not None
    assert quote.rate.micros(1_000_000, 0) > 0
    assert quote.model == "model 'gpt-5-mini' of provider 'p'"
    assert quote_named(catalog.named("p", "in-house")).rate is None
