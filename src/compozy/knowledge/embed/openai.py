"""OpenAI, and every server that speaks its embeddings: vLLM, llama.cpp, LM Studio, Ollama."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compozy.knowledge.embed.http import HttpEmbedder
from compozy.knowledge.embed.spec import EmbedderSpec


def build_embedder(spec: EmbedderSpec) -> HttpEmbedder:
    """Return the embedder that `spec` describes."""
    return HttpEmbedder(
        OpenAIWire(spec), name=spec.name, window=spec.window, batch_size=spec.batch_size, secret=spec.api_key
    )


class OpenAIWire:
    """Asks `<base_url>/embeddings`."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self.url = f"{spec.base_url.rstrip('/')}/embeddings"
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {spec.api_key}"} if spec.api_key else {}
        self._spec = spec

    def request(self, texts: Sequence[str], *, is_query: bool) -> dict[str, Any]:  # noqa: ARG002 - queries are as texts
        """Return the body; `dimensions` only where it was asked for, because few servers know it."""
        body: dict[str, Any] = {"model": self._spec.model, "input": list(texts), "encoding_format": "float"}
        if self._spec.dimension is not None and self._spec.asks_for_dimension:
            body["dimensions"] = self._spec.dimension
        return body

    def read(self, answer: dict[str, Any]) -> list[list[float]]:
        """Return the vectors by their `index`."""
        return [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
