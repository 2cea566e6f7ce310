"""Prices of models before they are asked: by the provider's `price`, or by the list of `genai-prices`.

The list is loaded when it is first asked. Neither a key nor the package of a provider is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from compozy.model.config import ProviderConfig, own_price
from compozy.model.price import round_up


class Rate(Protocol):
    """Prices requests of one model before they are sent."""

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return the price of a request in millionths of a dollar."""
        ...


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model as the files name it; `url` is the address of its provider, None if its package knows it."""

    provider: ProviderConfig
    model: str
    url: str | None = None


def rate_of_named(named: NamedModel) -> Rate | None:
    """Return the price of the requests of a model, None if it is not known."""
    own = own_price(named.provider)
    return own if own is not None else listed_rate(named.model, provider=named.provider.type, url=named.url)


def listed_rate(model: str, *, provider: str, url: str | None) -> Rate | None:
    """Return the price of a model in the list, None if the list does not have it.

    Args:
        model: its name.
        provider: the kind of provider.
        url: address of the provider, None if its own package knows it.
    """
    rate = _ListRate(name=model, provider=provider, url=url)
    try:
        rate.micros(1, 1)
    except (LookupError, ValueError):
        return None
    return rate


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
