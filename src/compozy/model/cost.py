"""The price of a request to a model: by the provider's `price`, or by the list of `genai-prices`.

The list is loaded only for models that neither run on the user's machine nor have a `price`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from compozy.model.price import FREE, round_up
from compozy.model.unpriced import UnpricedModel

if TYPE_CHECKING:
    from compozy.model.catalog import ResolvedModel

OWN_PRICE = "price"
"""`Cost.source` of a price that the provider's `price` gives, or that models on the user's machine have."""


class Rate(Protocol):
    """Prices requests of one model before they are sent."""

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return the price of a request in millionths of a dollar."""
        ...


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
    rate = _ListRate(name=resolved.model_name, provider=model.system, url=_url_of(model))
    try:
        rate.micros(1, 1)
    except (LookupError, ValueError):
        return None
    return rate


def is_listed(model: str, *, provider: str, url: str | None) -> bool:
    """Return whether the list has a price of a model.

    Args:
        model: its name.
        provider: the kind of provider.
        url: address of the provider, None if its own package knows it.
    """
    try:
        _ListRate(name=model, provider=provider, url=url).micros(1, 1)
    except (LookupError, ValueError):
        return False
    return True


def price_list() -> str:
    """Return the name and version of the list of prices."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"


@dataclass(frozen=True, kw_only=True)
class _ListRate:
    """The price of a model in the list, as it is looked up for its answers."""

    name: str
    provider: str
    url: str | None

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return the price of a request.

        Raises:
            LookupError: the list does not have the model.
        """
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        if self.url is not None:
            try:
                found = calc_price(usage, self.name, provider_api_url=self.url)
            except LookupError:
                found = calc_price(usage, self.name, provider_id=self.provider)
        else:
            found = calc_price(usage, self.name, provider_id=self.provider)
        return round_up(Decimal(found.total_price) * 1_000_000)


def _inner(model: Model) -> Model:
    """Return the model behind limits and retries."""
    return getattr(model, "wrapped", model)


def _url_of(model: Model) -> str | None:
    try:
        return model.base_url
    except Exception:  # noqa: BLE001 - a client that has no address is asked by the name of its provider
        return None
