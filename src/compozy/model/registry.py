"""All kinds of model providers. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.model.kind import PROVIDERS, ProviderKind, kinds_accepting, register
from compozy.model.kinds import anthropic, google, groq, local, ollama, openai, scripted

# In this order they stand in the JSON Schema and in the reference.
register(
    openai.KIND,
    anthropic.KIND,
    google.KIND,
    groq.KIND,
    ollama.KIND,
    local.KIND,
    scripted.KIND,
)

__all__ = ["PROVIDERS", "ProviderKind", "kinds_accepting", "register"]
