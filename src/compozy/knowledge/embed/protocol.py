"""The interface of embedders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from compozy.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


class TextRefusedError(EmbedderError):
    """A provider refused one text and not the batch that it was in.

    Attributes:
        index: which of the texts of the call it is.
    """

    def __init__(self, message: str, *, hint: str, index: int) -> None:
        super().__init__(message, hint=hint)
        self.index = index


class Embedder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: provider and model; vectors of two names cannot be compared.
        window: tokens that one text may have.
        batch_size: texts that are best given at once.
    """

    name: str
    window: int
    batch_size: int

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, or a little more."""
        ...

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector per text, float32 of shape `(texts, dimension)`.

        Raises:
            TextRefusedError: the provider refused one of the texts.
            EmbedderError: the provider refused or broke.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
