"""The price of a request to a model: by the provider's `price`, or by the list of `genai-prices`.

The list is loaded only for models that neither run on the user's machine nor have a `price`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from compozy.model.price import FREE, round_up
from compozy.model.pricelist import NamedModel, Rate, listed_rate, price_list, rate_of_named
from compozy.model.unpriced import UnpricedModel

if TYPE_CHECKING:
    from compozy.model.catalog import ResolvedModel

OWN_PRICE = "price"
"""`Cost.source` of a price that the provider's `price` gives, or that models on the user's machine have."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The price of one request.

    Attributes:
        micros: millionths of a dollar, None if the price is not known.
        source: where the price is from: `price`, or the name and version of a list; "" if it is not known.
    """

    micros: int | None = None
    source: str = ""


def cost_of(resolved: ResolvedModel, response: ModelResponse) -> Cost:
    """Return what an answer cost; its price is unknown if the provider did not report its tokens."""
    usage = response.usage
    has_tokens = bool(usage.input_tokens or usage.output_tokens)
    if resolved.price is not None and (has_tokens or resolved.price == FREE):
        micros = resolved.price.micros(
            usage.input_tokens,
            usage.output_tokens,
            cache_read=usage.cache_read_tokens,
            cache_write=usage.cache_write_tokens,
        )
        return Cost(micros=micros, source=OWN_PRICE)
    if not has_tokens or isinstance(_inner(resolved.model), UnpricedModel):
        return Cost()
    try:
        total = response.cost().total_price
    except (LookupError, ValueError, AssertionError):
        return Cost()
    return Cost(micros=round_up(total * 1_000_000), source=price_list())


def rate_of(resolved: ResolvedModel) -> Rate | None:
    """Return the price of the requests of a model, None if it is not known."""
    if resolved.price is not None:
        return resolved.price
    model = _inner(resolved.model)
    if isinstance(model, UnpricedModel):
        return None
    return listed_rate(resolved.model_name, provider=model.system, url=_url_of(model))


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The price of a model before it is asked; `model` is how errors name it."""

    rate: Rate | None
    model: str


def quote_of(resolved: ResolvedModel) -> Quote:
    """Return the price of a model that is to be asked."""
    return Quote(rate=rate_of(resolved), model=_name_model(resolved.model_name, resolved.provider_id))


def quote_named(named: NamedModel) -> Quote:
    """Return the price of a model as the files name it; needs no key."""
    return Quote(rate=rate_of_named(named), model=_name_model(named.model, named.provider.id))


def _name_model(model: str, provider_id: str) -> str:
    return f"model {model!r} of provider {provider_id!r}"


def _inner(model: Model) -> Model:
    """Return the model behind limits and retries."""
    return getattr(model, "wrapped", model)


def _url_of(model: Model) -> str | None:
    try:
        return model.base_url
    except Exception:  # noqa: BLE001 - a client that has no address is asked by the name of its provider
        return None
