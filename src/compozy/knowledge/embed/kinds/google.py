"""Google Gemini."""

from __future__ import annotations

from compozy.knowledge.embed.kind import EmbedderKind

KIND = EmbedderKind(
    name="google",
    builder="compozy.knowledge.embed.google",
    default_model="gemini-embedding-001",
    window=2048,
    dimensions={"gemini-embedding-001": 3072},
    base_url="https://generativelanguage.googleapis.com/v1beta",
)
