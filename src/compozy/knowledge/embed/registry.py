"""All kinds of embedders. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.knowledge.embed.kind import EMBEDDERS, EmbedderKind, known_dimension, register
from compozy.knowledge.embed.kinds import google, local, ollama, openai

# In this order they stand in the JSON Schema and in the reference.
register(openai.KIND, ollama.KIND, google.KIND, local.KIND)

__all__ = ["EMBEDDERS", "EmbedderKind", "known_dimension", "register"]
