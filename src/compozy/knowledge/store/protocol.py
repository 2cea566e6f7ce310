"""The interface of vector stores: nine operations and the values that they exchange."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from compozy.knowledge.config import Metric
from compozy.knowledge.store.contents import DocumentContents

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The embedder of a collection, since vectors of another embedder mean nothing in it.

    Attributes:
        owner: project and knowledge base that it belongs to; "" where it was made before owners were recorded.
    """

    embedder: str
    dimension: int
    metric: Metric
    owner: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """A piece of a document with its vector.

    Attributes:
        id: a UUID that is derived from the document, the text and its place among equal texts.
        key: what its vector was made from, a UUID: chunks of equal keys have equal vectors.
        ordinal: its place in the document, from 0.
        vector: float32, of the collection's dimension; of length 1 where the metric is cosine.
        metadata: flat; what filters compare.
    """

    id: str
    key: str
    document: str
    title: str
    ordinal: int
    text: str
    metadata: Mapping[str, str]
    vector: Vector = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """One search: by `vector` or by the words of `text`, whichever is given."""

    limit: int
    vector: Vector | None = None
    text: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Match:
    """A chunk that was found. `score` grows with the likeness; what it means depends on the kind of search."""

    id: str
    document: str
    title: str
    ordinal: int
    text: str
    metadata: Mapping[str, str]
    score: float

    @property
    def shown_score(self) -> float:
        """The score with six significant digits; words that most documents have score less than 0.000001."""
        return float(f"{self.score:.6g}")


class VectorStore(Protocol):
    """One collection of one vector store.

    Every verb raises VectorStoreError when the store cannot be reached or refuses. What `upsert` returned from
    survives a kill of this process.
    """

    async def facts(self) -> Facts | None:
        """Return what the collection was made for, None while there is none."""
        ...

    async def reset(self, facts: Facts | None) -> None:
        """Delete the collection, and make an empty one for `facts` unless they are None."""
        ...

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks; those whose ids are there are replaced."""
        ...

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return the vectors that are stored by those of `keys` that are known."""
        ...

    async def documents(self) -> dict[str, DocumentContents]:
        """Return what the collection holds of each document that it holds chunks of."""
        ...

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the chunks of documents, but for the ids that `keep` has for each of them."""
        ...

    async def settle(self) -> None:
        """Finish an ingestion: build indexes, reclaim space."""
        ...

    async def search(self, search: Search) -> list[Match]:
        """Return the best matches, best first; equals in the order of their ids."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and files."""
        ...
