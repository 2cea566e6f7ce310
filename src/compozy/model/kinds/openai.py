"""OpenAI, and servers that speak its chat format."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ModelListing, ProviderKind
from compozy.model.params import OPENAI_PARAMS

KIND = ProviderKind(
    name="openai",
    builder="compozy.model.openai_chat",
    default_model="gpt-6-luna",
    keys=SERVER_KEYS,
    key_variable="OPENAI_API_KEY",
    base_url="https://api.openai.com/v1",
    base_url_variable="OPENAI_BASE_URL",
    params=OPENAI_PARAMS | {"thinking", "cache"},
    files=frozenset({"image", "audio", "pdf"}),
    compatible_params=frozenset({"top_k", "repetition_penalty"}),
    listing=ModelListing(),
)
