"""Anthropic."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ModelListing, ProviderKind
from compozy.model.params import COMMON_PARAMS

KIND = ProviderKind(
    name="anthropic",
    builder="compozy.model.anthropic",
    default_model="claude-sonnet-5-5",
    keys=SERVER_KEYS,
    key_variable="ANTHROPIC_API_KEY",
    extra="anthropic",
    packages=("anthropic",),
    params=COMMON_PARAMS | {"top_k", "thinking", "cache"},
    files=frozenset({"image", "pdf"}),
    thinking_tokens=lambda tokens: {"anthropic_thinking": {"type": "enabled", "budget_tokens": tokens}},
    listing=ModelListing(
        path="/v1/models",
        base_url="https://api.anthropic.com",
        headers=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    ),
)
