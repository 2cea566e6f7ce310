"""Ollama, which speaks OpenAI's embeddings format."""

from __future__ import annotations

from compozy.knowledge.embed.kind import EmbedderKind
from compozy.model.kinds import ollama

KIND = EmbedderKind(
    name="ollama",
    builder="compozy.knowledge.embed.openai",
    default_model="nomic-embed-text",
    window=2048,
    dimensions={"nomic-embed-text": 768},
    base_url=ollama.KIND.base_url,
    needs_key=False,
)
