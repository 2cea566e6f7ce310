"""`price:` of a model provider: what its tokens cost."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from pydantic import Field

from compozy.config.settings import Section

_MAX_DOLLARS = 1_000_000.0


class PriceConfig(Section):
    """`price:`, dollars per million tokens, for all models of the provider."""

    input: float = Field(ge=0, le=_MAX_DOLLARS, description="Dollars per million tokens of requests.")
    output: float = Field(default=0.0, ge=0, le=_MAX_DOLLARS, description="Dollars per million tokens of answers.")
    cache_read: float | None = Field(
        default=None,
        ge=0,
        le=_MAX_DOLLARS,
        description="Dollars per million tokens read from the provider's prompt cache. Default: `input`.",
    )
    cache_write: float | None = Field(
        default=None,
        ge=0,
        le=_MAX_DOLLARS,
        description="Dollars per million tokens written to the provider's prompt cache. Default: `input`.",
    )

    def micros(self, input_tokens: int, output_tokens: int, *, cache_read: int = 0, cache_write: int = 0) -> int:
        """Return the price of one request in millionths of a dollar; `input_tokens` include those of the cache."""
        read, written = (self.input if rate is None else rate for rate in (self.cache_read, self.cache_write))
        parts = (
            (max(0, input_tokens - cache_read - cache_write), self.input),
            (cache_read, read),
            (cache_write, written),
            (output_tokens, self.output),
        )
        # Dollars per million tokens are millionths of a dollar per token.
        return round_up(sum((count * Decimal(str(rate)) for count, rate in parts), Decimal(0)))


FREE = PriceConfig(input=0.0)
"""The price of models that run on the user's own machine, unless their provider has a `price`."""


def round_up(micros: Decimal) -> int:
    """Return whole millionths of a dollar: a request that costs something never counts as free."""
    return int(micros.to_integral_value(rounding=ROUND_CEILING))
