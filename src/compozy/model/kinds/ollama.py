"""Ollama."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ModelListing, ProviderKind
from compozy.model.params import OPENAI_PARAMS

KIND = ProviderKind(
    name="ollama",
    builder="compozy.model.ollama",
    default_model="llama3.2",
    keys=SERVER_KEYS,
    base_url="http://localhost:11434/v1",
    window=4096,
    params=OPENAI_PARAMS | {"thinking"},
    files=frozenset({"image"}),
    is_free=True,
    listing=ModelListing(),
)
