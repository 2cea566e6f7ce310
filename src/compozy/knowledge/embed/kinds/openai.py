"""OpenAI, and servers that speak its embeddings format."""

from __future__ import annotations

from compozy.knowledge.embed.kind import EmbedderKind
from compozy.model.kinds import openai

KIND = EmbedderKind(
    name="openai",
    builder="compozy.knowledge.embed.openai",
    default_model="text-embedding-3-small",
    window=8191,
    dimensions={"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536},
    base_url=openai.KIND.base_url,
    base_url_variable=openai.KIND.base_url_variable,
)
