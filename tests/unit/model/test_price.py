"""Prices of requests: exact, rounded up, and never 0 if they are not known."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from compozy.model.catalog import ResolvedModel
from compozy.model.config import ProviderConfig, own_price
from compozy.model.cost import Cost, cost_of, rate_of
from compozy.model.price import FREE, PriceConfig
from compozy.model.pricelist import listed_rate, price_list


def _resolved(price: PriceConfig | None = None, name: str = "gpt-5-mini") -> ResolvedModel:
    return ResolvedModel(
        model=TestModel(model_name=name), provider_id="p", provider_type="openai", model_name=name, price=price
    )


def _answer(name: str = "gpt-5-mini", usage: RequestUsage | None = None) -> ModelResponse:
    provider = "openai" if name.startswith("gpt") else "mine"
    tokens = usage or RequestUsage()
    return ModelResponse(parts=[TextPart("x")], usage=tokens, model_name=name, provider_name=provider)


@pytest.mark.parametrize(
    ("price", "usage", "micros"),
    [
        ({"input": 3, "output": 15}, {"input_tokens": 1000, "output_tokens": 100}, 4500),
        # 0.1 * 3 is not 0.3 in binary.
        ({"input": 0.1}, {"input_tokens": 30}, 3),
        # A request that costs something is not free.
        ({"input": 0.02}, {"input_tokens": 1}, 1),
        ({"input": 0.02}, {"input_tokens": 51}, 2),
        ({"input": 0}, {"input_tokens": 1000, "output_tokens": 1000}, 0),
        # Tokens of the cache are part of the input.
        (
            {"input": 10, "cache_read": 1, "cache_write": 12.5},
            {"input_tokens": 100, "cache_read_tokens": 50, "cache_write_tokens": 40},
            10 * 10 + 50 + 500,
        ),
        ({"input": 10}, {"input_tokens": 100, "cache_read_tokens": 50}, 1000),
    ],
)
def test_the_price_of_a_provider(price: dict[str, Any], usage: dict[str, Any], micros: int) -> None:
    found = cost_of(_resolved(PriceConfig.model_validate(price)), _answer(usage=RequestUsage(**usage)))
    assert found == Cost(micros=micros, source="price")


def test_the_price_of_a_listed_model_and_none_of_another() -> None:
    usage = RequestUsage(input_tokens=1000, output_tokens=100)
    assert cost_of(_resolved(), _answer(usage=usage)) == Cost(micros=450, source=price_list())
    assert price_list().startswith("genai-prices 0.")
    assert cost_of(_resolved(name="no-such-model"), _answer("no-such-model", usage)) == Cost()


def test_an_answer_without_token_counts_has_no_known_price() -> None:
    assert cost_of(_resolved(), _answer()) == Cost()
    assert cost_of(_resolved(PriceConfig(input=1.0)), _answer()) == Cost()
    assert cost_of(_resolved(FREE), _answer()) == Cost(micros=0, source="price")


def test_models_on_this_machine_are_free_unless_they_have_a_price() -> None:
    for kind in ("local", "scripted", "ollama"):
        assert own_price(ProviderConfig(id="a", type=kind)) == FREE
    priced = ProviderConfig(id="a", type="ollama", price=PriceConfig(input=1.0))
    assert own_price(priced) == PriceConfig(input=1.0)
    assert own_price(ProviderConfig(id="a", type="openai")) is None


def test_the_rate_of_a_request_before_it_is_sent() -> None:
    known = rate_of(ResolvedModel(model=_named(), provider_id="p", provider_type="openai", model_name="gpt-5-mini"))
    assert known is not None
    assert known.micros(1000, 100) == 450
    assert rate_of(_resolved(name="no-such-model")) is None
    own = rate_of(_resolved(PriceConfig(input=2.0)))
    assert own is not None
    assert own.micros(10, 10) == 20


def test_which_models_the_list_has() -> None:
    assert listed_rate("gpt-5-mini", provider="openai", url="https://api.openai.com/v1")
    assert listed_rate("claude-sonnet-5-5", provider="anthropic", url=None)
    assert listed_rate("llama3.2", provider="openai", url="http://localhost:8000/v1") is None


def test_commands_and_local_models_do_not_load_the_list() -> None:
    code = (
        "import sys, compozy.project.load, compozy.agent.run, compozy.model.scripted; "
        "assert 'genai_prices.data' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class _Named(TestModel):
    @property
    def system(self) -> str:
        return "openai"


def _named() -> TestModel:
    return _Named(model_name="gpt-5-mini")
