"""The turns of one conversation in a knowledge store, to be found by meaning: vectors without their texts.

The database is the truth. A turn is indexed when a task first looks for it, so that nothing is embedded that fits the
limit anyway, and whatever is found is compared with the stored messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.memories import Message, find_memory, list_generations, newest_first
from compozy.errors import VectorStoreError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog, check_dimension
from compozy.knowledge.chunk import Chunking, Piece, cut
from compozy.knowledge.ingest_batch import normalize
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.store.protocol import Chunk, Facts, Search
from compozy.memory.window import turns_newest_first

# Turns that are compared with the store together.
_AT_ONCE = 64
# Chunks of a search for each turn that is wanted: a long turn has several, and some may be of removed turns.
_CANDIDATES = 4
_MIN_CANDIDATES = 20
_MAX_NAME = 55
_CONVERSATION = "conversation"
_FIRST = "first"

Turn = list[Message]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A turn that is similar to a question; `first` is the number of its first message."""

    first: int
    score: float


@dataclass(frozen=True, kw_only=True)
class TurnIndex:
    """The turns of one conversation.

    Attributes:
        base: knowledge base of turns; see `base_of_turns`.
        name: of the conversation in the store.
    """

    catalog: KnowledgeCatalog
    database: Database
    base: KnowledgeBase
    memory_id: str
    key: str
    generation: str

    @property
    def name(self) -> str:
        """Return the name of the conversation in the store; it does not show the key."""
        return conversation_name(self.generation)

    async def add(self, below: int) -> None:
        """Embed the turns before the message `below` that the store does not have.

        Raises:
            KnowledgeError: embedder or store failed. Turns that were stored are not embedded again.
        """
        store, missing, before = self.catalog.store(self.base), list[tuple[int, Piece]](), below
        is_new = True
        while turns := await self.database.read_async(partial(self._turns, before)):
            pieces = [(turn[0].seq, piece) for turn in turns for piece in self._pieces(turn)]
            stored = await store.vectors({piece.id for _, piece in pieces})
            absent = [(first, piece) for first, piece in pieces if piece.id not in stored]
            missing += absent
            is_new = is_new and not stored
            if not absent and pieces:
                # The oldest turns are stored first: those before are there.
                break
            before = turns[-1][0].seq
        if missing and is_new:
            await self._forget_deleted()
        await self._embed(missing[::-1])

    async def search(self, question: str, *, limit: int) -> list[Found]:
        """Return the turns that are most similar to a question, best first; each once.

        Raises:
            KnowledgeError: embedder or store failed.
        """
        (vector,) = await self.catalog.embedder(self.base).embed([question], is_query=True)
        if self.base.store.metric == "cosine":
            vector = normalize(vector)
        most = max(limit * _CANDIDATES, _MIN_CANDIDATES)
        search = Search(limit=most, vector=vector, filters={_CONVERSATION: self.name})
        found: dict[int, float] = {}
        for match in await self.catalog.store(self.base).search(search):
            if match.metadata.get(_CONVERSATION) == self.name:
                found.setdefault(int(match.metadata[_FIRST]), match.shown_score)
        least = self.base.settings.retrieval.min_score
        is_distance = self.base.store.metric == "l2"
        return [Found(first=first, score=score) for first, score in found.items() if is_distance or score >= least]

    async def prune(self) -> None:
        """Delete the vectors of turns that are not stored any more.

        Raises:
            KnowledgeError: the store failed.
        """
        ids: list[str] = []
        below = await self.database.read_async(self._end)
        while turns := await self.database.read_async(partial(self._turns, below)):
            ids += [piece.id for turn in turns for piece in self._pieces(turn)]
            below = turns[-1][0].seq
        await self.catalog.store(self.base).prune({self.name: ids})

    def _end(self, connection: sa.Connection) -> int:
        return find_memory(connection, self.memory_id, self.key).last_seq + 1

    def _turns(self, below: int, connection: sa.Connection) -> list[Turn]:
        """Return some turns before a message, the newest first."""
        memory = find_memory(connection, self.memory_id, self.key)
        if memory.generation != self.generation:
            return []
        turns: list[Turn] = []
        for turn in turns_newest_first(newest_first(connection, memory, below=below)):
            turns.append(turn)
            if len(turns) == _AT_ONCE:
                break
        return turns

    def _pieces(self, turn: Turn) -> list[Piece]:
        embedder = self.catalog.embedder(self.base)
        chunking = Chunking(size=self.base.chunk_size, overlap=0, count_tokens=embedder.count_tokens)
        return cut(f"{turn[0].seq}", DocumentText(text=text_of_turn(turn)), chunking, space=self.name)

    async def _embed(self, pieces: Sequence[tuple[int, Piece]]) -> None:
        """Embed pieces batch by batch, and store each batch before the next is paid for."""
        embedder, store = self.catalog.embedder(self.base), self.catalog.store(self.base)
        for start in range(0, len(pieces), embedder.batch_size):
            batch = pieces[start : start + embedder.batch_size]
            vectors = await embedder.embed([piece.text for _, piece in batch], is_query=False)
            if self.base.store.metric == "cosine":
                vectors = normalize(vectors)
            made = [
                Chunk(
                    id=piece.id,
                    key=piece.id,
                    document=self.name,
                    title="",
                    ordinal=piece.ordinal,
                    # The database has the text, and deletes it with the conversation.
                    text="",
                    metadata={_CONVERSATION: self.name, _FIRST: str(first)},
                    vector=vector,
                )
                for (first, piece), vector in zip(batch, vectors, strict=True)
            ]
            await store.upsert(made)

    async def _forget_deleted(self) -> None:
        """Delete the vectors of conversations that do not exist any more."""
        store = self.catalog.store(self.base)
        stored = await store.documents()
        living = set(map(conversation_name, await self.database.read_async(list_generations)))
        gone: Mapping[str, Sequence[str]] = {name: () for name in stored if name not in living}
        if gone:
            await store.prune(gone)


async def open_index(
    catalog: KnowledgeCatalog, database: Database, base_id: str, memory: tuple[str, str], generation: str
) -> TurnIndex:
    """Return the index of a conversation; its collection is created if it does not exist.

    Raises:
        KnowledgeError: embedder or store failed, or the collection belongs to another project.
    """
    base = base_of_turns(catalog.project.base(base_id))
    async with catalog.turn(base):
        kept, is_usable = await _look_at_collection(catalog, base)
        if not is_usable:
            # The texts are in the database: turns are embedded again when they are looked for.
            (probe,) = await catalog.embedder(kept).embed(["dimension"], is_query=False)
            check_dimension(kept, len(probe))
            kept = await _create_collection(catalog, database, kept, len(probe))
    return TurnIndex(
        catalog=catalog, database=database, base=kept, memory_id=memory[0], key=memory[1], generation=generation
    )


async def _look_at_collection(catalog: KnowledgeCatalog, base: KnowledgeBase) -> tuple[KnowledgeBase, bool]:
    """Return the base with the embedder of its collection, and whether the collection exists and fits."""
    facts = await catalog.store(base).facts()
    if facts is None:
        return base, False
    if facts.owner not in {"", base.owner}:
        raise VectorStoreError(
            f"collection {base.collection!r} belongs to {facts.owner!r}, not to this project",
            hint="give the vector store another `collection`",
        )
    kept = base.with_embedder(facts.embedder)
    return kept, (facts.embedder, facts.metric) == (kept.embedder.name, kept.store.metric)


async def _create_collection(
    catalog: KnowledgeCatalog, database: Database, base: KnowledgeBase, dimension: int
) -> KnowledgeBase:
    """Create the collection unless another process did meanwhile; return the base with its embedder."""
    async with catalog.creating(database):
        kept, is_usable = await _look_at_collection(catalog, base)
        if is_usable:
            return kept
        facts = Facts(embedder=base.embedder.name, dimension=dimension, metric=base.store.metric, owner=base.owner)
        await catalog.store(base).reset(facts)
        return base


def base_of_turns(base: KnowledgeBase) -> KnowledgeBase:
    """Return the knowledge base of turns next to one of documents: the same store and embedder, its own collection."""
    settings = base.settings.model_copy(update={"id": f"{base.id}#memory"})
    collection = f"{base.collection[:_MAX_NAME]}_memory"
    return replace(base, settings=settings, collection=collection, owner=f"{base.owner}#memory")


def conversation_name(generation: str) -> str:
    """Return the name of a conversation in the store."""
    return hashlib.sha256(generation.encode()).hexdigest()[:32]


def text_of_turn(turn: Sequence[Message]) -> str:
    """Return a turn as text."""
    return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in turn)
