"""Google's embeddings, through the Gemini API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compozy.knowledge.embed.http import HttpEmbedder
from compozy.knowledge.embed.spec import EmbedderSpec

# Texts that one request may have.
_MAX_BATCH = 100


def build_embedder(spec: EmbedderSpec) -> HttpEmbedder:
    """Return the embedder that `spec` describes."""
    return HttpEmbedder(
        GoogleWire(spec),
        name=spec.name,
        window=spec.window,
        batch_size=min(spec.batch_size, _MAX_BATCH),
        secret=spec.api_key,
    )


class GoogleWire:
    """Asks `models/<model>:batchEmbedContents`."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self.url = f"{spec.base_url.rstrip('/')}/models/{spec.model}:batchEmbedContents"
        self.headers: Mapping[str, str] = {"x-goog-api-key": spec.api_key} if spec.api_key else {}
        self._spec = spec

    def request(self, texts: Sequence[str], *, is_query: bool) -> dict[str, Any]:
        """Return the body; documents and queries are embedded for each other."""
        shared: dict[str, Any] = {
            "model": f"models/{self._spec.model}",
            "taskType": "RETRIEVAL_QUERY" if is_query else "RETRIEVAL_DOCUMENT",
        }
        if self._spec.dimension is not None:
            shared["outputDimensionality"] = self._spec.dimension
        return {"requests": [{**shared, "content": {"parts": [{"text": text}]}} for text in texts]}

    def read(self, answer: dict[str, Any]) -> list[list[float]]:
        """Return the vectors."""
        return [item["values"] for item in answer["embeddings"]]
