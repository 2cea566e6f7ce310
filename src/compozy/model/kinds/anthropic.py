"""Anthropic."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ProviderKind

KIND = ProviderKind(
    name="anthropic",
    builder="compozy.model.anthropic",
    default_model="claude-sonnet-5-5",
    keys=SERVER_KEYS,
    key_variable="ANTHROPIC_API_KEY",
    extra="anthropic",
    packages=("anthropic",),
)
