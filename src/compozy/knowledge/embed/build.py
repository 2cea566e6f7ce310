"""An embedder as it is described becomes one that can be asked."""

from __future__ import annotations

from compozy.knowledge.embed.protocol import Embedder
from compozy.knowledge.embed.spec import EmbedderSpec


def build_embedder(spec: EmbedderSpec) -> Embedder:
    """Return the embedder; nothing is sent yet.

    Raises:
        EmbedderError: a package is not installed.
    """
    if spec.kind == "local":
        from compozy.knowledge.embed.local import LocalEmbedder

        return LocalEmbedder()
    from compozy.knowledge.embed.google import GoogleWire
    from compozy.knowledge.embed.http import HttpEmbedder
    from compozy.knowledge.embed.openai import OpenAIWire

    wire = GoogleWire(spec) if spec.kind == "google" else OpenAIWire(spec)
    # Google takes up to a hundred texts.
    batch_size = min(spec.batch_size, 100) if spec.kind == "google" else spec.batch_size
    return HttpEmbedder(wire, name=spec.name, window=spec.window, batch_size=batch_size, secret=spec.api_key)
