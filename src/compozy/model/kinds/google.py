"""Google Gemini."""

from __future__ import annotations

from compozy.model.kind import SERVER_KEYS, ModelListing, ProviderKind
from compozy.model.params import OPENAI_PARAMS

KIND = ProviderKind(
    name="google",
    builder="compozy.model.google",
    default_model="gemini-3.8-flash",
    keys=SERVER_KEYS,
    key_variable="GOOGLE_API_KEY",
    extra="google",
    packages=("google.genai",),
    params=OPENAI_PARAMS | {"top_k", "thinking"},
    files=frozenset({"image", "audio", "video", "pdf"}),
    thinking_tokens=lambda tokens: {"google_thinking_config": {"thinking_budget": tokens, "include_thoughts": True}},
    listing=ModelListing(
        path="/v1beta/models",
        base_url="https://generativelanguage.googleapis.com",
        headers=lambda key: {"x-goog-api-key": key},
    ),
)
