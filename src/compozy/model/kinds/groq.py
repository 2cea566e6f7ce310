"""Groq."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ModelListing, ProviderKind
from compozy.model.params import OPENAI_PARAMS

KIND = ProviderKind(
    name="groq",
    builder="compozy.model.groq",
    default_model="openai/gpt-oss-120b",
    keys=SERVER_KEYS,
    key_variable="GROQ_API_KEY",
    extra="groq",
    packages=("groq",),
    params=OPENAI_PARAMS | {"thinking"},
    files=frozenset({"image"}),
    listing=ModelListing(path="/openai/v1/models", base_url="https://api.groq.com"),
)
