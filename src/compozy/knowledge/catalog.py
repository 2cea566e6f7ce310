"""Stores and embedders of a project's knowledge bases, built when they are first asked, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from compozy.database.database import Database
from compozy.database.turns import waiting_for_turn
from compozy.errors import KnowledgeError, VectorStoreError
from compozy.knowledge.base import KnowledgeBase, KnowledgeProject
from compozy.knowledge.embed.build import build_embedder
from compozy.knowledge.embed.protocol import Embedder
from compozy.knowledge.embed.spec import EmbedderSpec
from compozy.knowledge.store.build import build_store
from compozy.knowledge.store.protocol import Facts, VectorStore
from compozy.knowledge.store.spec import StoreSpec

# The number of creating collections among the work that one process at a time does.
_CREATION = 7383


class KnowledgeCatalog:
    """The embedders and stores of a project's knowledge bases. It belongs to one event loop.

    Args:
        project: the project's knowledge.
        database: the main database, for stores that are kept in it; None where there is none yet.
    """

    def __init__(self, project: KnowledgeProject, database: Database | None) -> None:
        self.project = project
        self._database = database
        self._stores: dict[str, VectorStore] = {}
        self._embedders: dict[EmbedderSpec, Embedder] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._creation = asyncio.Lock()

    def turn(self, base: KnowledgeBase) -> asyncio.Lock:
        """Return the lock for looking at the collection of a knowledge base in this process, and creating it."""
        return self._turns.setdefault(base.id, asyncio.Lock())

    @asynccontextmanager
    async def creating(self, database: Database) -> AsyncGenerator[None, None]:
        """Keep other processes from creating collections until the block ends.

        A collection may have been created before the block starts: look again.

        Args:
            database: the main database, which the processes share.

        Raises:
            DatabaseError: the database failed, or another process has been creating a collection for too long.
        """
        async with self._creation, waiting_for_turn(database, _CREATION):
            yield

    def store(self, base: KnowledgeBase) -> VectorStore:
        """Return the store of a knowledge base; nothing is sent yet.

        Raises:
            VectorStoreError: a package is not installed.
        """
        if base.id not in self._stores:
            self._stores[base.id] = build_store(self._spec(base))
        return self._stores[base.id]

    def embedder(self, base: KnowledgeBase) -> Embedder:
        """Return the embedder of a knowledge base.

        Raises:
            EmbedderError: a package is not installed.
        """
        if base.embedder not in self._embedders:
            self._embedders[base.embedder] = build_embedder(base.embedder)
        return self._embedders[base.embedder]

    async def check(self, base: KnowledgeBase) -> KnowledgeBase | None:
        """Return a knowledge base with the embedder that its store was made for, None if the store is empty.

        A project that names no embedder has a default that depends on which API keys are set. Documents that were
        ingested with another one keep it.

        Raises:
            KnowledgeError: the store was made for an embedder that the base cannot use, another metric or dimension.
        """
        facts = await self.store(base).facts()
        if facts is None:
            return None
        kept = base.with_embedder(facts.embedder)
        _compare(kept, facts)
        return kept

    def _spec(self, base: KnowledgeBase) -> StoreSpec:
        project = self.project
        return StoreSpec(
            settings=base.store,
            collection=base.collection,
            root=project.root,
            database=project.database,
            main=self._database,
        )

    async def aclose(self) -> None:
        """Let go of all connections and files."""
        stores, self._stores = list(self._stores.values()), {}
        embedders, self._embedders = list(self._embedders.values()), {}
        for each in (*stores, *embedders):
            await each.aclose()


def check_dimension(base: KnowledgeBase, dimension: int) -> None:
    """Refuse vectors that are not of the length that compozy.yaml names.

    Raises:
        KnowledgeError: they are not.
    """
    named = base.store.dimension
    if named is not None and named != dimension:
        raise KnowledgeError(
            f"vector store {base.store.id!r} has `dimension: {named}`, and embedder {base.embedder.name} makes vectors "
            f"of {dimension}",
            hint="leave `dimension` out, or choose an embedder that fits",
        )


def _compare(base: KnowledgeBase, facts: Facts) -> None:
    wanted: tuple[object, ...] = (base.embedder.name, base.store.metric)
    if (facts.embedder, facts.metric) != wanted:
        raise VectorStoreError(
            f"knowledge base {base.id!r} was taken in with {facts.embedder} ({facts.dimension} dimensions, "
            f"{facts.metric}), and is configured for {base.embedder.name} ({base.store.metric})",
            hint="ingest it again with `compozy knowledge ingest PATH --reindex`, or set that embedder again",
            http_hint='ingest it again with `"reindex": true` in the body, or set that embedder again',
        )
    check_dimension(base, facts.dimension)
