"""One batch of an ingestion: documents are read, split, embedded and stored. Safe to repeat at any point."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from compozy.database.database import Database
from compozy.database.documents import (
    DocumentEnd,
    DocumentStatus,
    KnowledgeDocument,
    count_chunks,
    end_documents,
    list_documents,
    mark_documents_changing,
)
from compozy.errors import CompozyError, DocumentError, UsageError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.chunk import Chunking, Piece, cut, text_id
from compozy.knowledge.compare import recipe_in, recipe_with
from compozy.knowledge.embed.pace import Pace
from compozy.knowledge.embed.protocol import TextRefusedError
from compozy.knowledge.read.kinds import apply_charset, suffix_of_media_type
from compozy.knowledge.read.sandbox import read_in_sandbox
from compozy.knowledge.sources import hash_file, is_address
from compozy.knowledge.store.contents import contents_of
from compozy.knowledge.store.protocol import Chunk

if TYPE_CHECKING:
    from compozy.knowledge.store.protocol import Vector

_log = structlog.get_logger(__name__)
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A document that was read and cut. Without `pieces` it is what the store holds already."""

    name: str
    hash: str
    size: int
    title: str = ""
    metadata: Mapping[str, str]
    pieces: Sequence[Piece] | None = None


@dataclass(frozen=True, kw_only=True)
class IngestBatch:
    """Ingests a batch of documents of one knowledge base."""

    database: Database
    catalog: KnowledgeCatalog
    base: KnowledgeBase
    pace: Pace = field(default_factory=Pace)

    async def ingest(self, names: Sequence[str]) -> dict[str, Any]:
        """Ingest documents and return the counts; unreadable documents are among the `failures`.

        Raises:
            KnowledgeError: the embedder or the store failed; nothing is lost, and what was stored counts the next time.
            DatabaseError: the database refused.
        """
        rows = await self.database.read_async(partial(list_documents, base_id=self.base.id, documents=names))
        known = {row.document: row for row in rows}
        read, ends = await self._read_all(names, known)
        changed = [each for each in read if each.pieces is not None]
        embedded, refused = await self._store(changed)
        changed = [each for each in changed if each.name not in refused]
        ends += [await self._failed(name, error) for name, error in refused.items()]
        ends += [self._unchanged(each, known[each.name]) for each in read if each.pieces is None]
        await self.database.write_async(partial(end_documents, base_id=self.base.id, ends=ends))
        # Those were stored before this step was cut, and are not done again.
        done = [known[each.name] for each in read if each.pieces is None and _is_ready(known[each.name])]
        return {
            "documents": len(changed) + len(done),
            "chunks": sum(len(each.pieces or ()) for each in changed) + sum(row.chunks for row in done),
            "embedded": embedded,
            "unchanged": len(read) - len(changed) - len(done),
            "failures": [failure_of(end.document, end.error) for end in ends if end.error],
        }

    async def _read_all(
        self, names: Sequence[str], known: Mapping[str, KnowledgeDocument]
    ) -> tuple[list[_Read], list[DocumentEnd]]:
        """Return the documents that can be read, and how it ended for the others."""
        read: list[_Read] = []
        ends: list[DocumentEnd] = []
        for name in names:
            try:
                read.append(await self._read(name, known.get(name)))
            except (DocumentError, UsageError, OSError) as error:
                ends.append(await self._failed(name, error))
            except CompozyError:
                raise  # the embedder, the store or the database: no document is to blame
            except Exception as error:  # noqa: BLE001 - whatever a reader breaks on, the other documents go in
                _log.warning("a document cannot be read", document=name, error=f"{type(error).__name__}: {error}")
                ends.append(await self._failed(name, error))
        return read, ends

    async def _read(self, name: str, row: KnowledgeDocument | None) -> _Read:
        data, suffix = await self._load(name)
        digest = hashlib.sha256(data).hexdigest()
        if row is not None and row.hash == digest and recipe_in(row) == self.base.recipe:
            return _Read(name=name, hash=digest, size=len(data), title=row.title, metadata={})
        content = await read_in_sandbox(name, data, suffix)
        if content.is_assumed:
            _log.warning("a document is not UTF-8 and is read as Windows-1252", document=name)
        pieces = await asyncio.to_thread(cut, name, content, self._chunking(), space=self.base.id)
        title = content.title or PurePosixPath(name).name
        metadata = {**content.metadata, **_place(name), **self.base.settings.metadata}
        return _Read(name=name, hash=digest, size=len(data), title=title, metadata=metadata, pieces=pieces)

    async def _load(self, name: str) -> tuple[bytes, str]:
        access = self.catalog.project.settings.access
        if is_address(name):
            # Loaded here: most documents are files, and a server is ready sooner.
            from compozy.knowledge.web import WebPolicy, fetch

            policy = WebPolicy(
                max_bytes=access.max_file_mb * _MIB, private_hosts=frozenset(map(str.lower, access.private_hosts))
            )
            page = await fetch(name, policy)
            return apply_charset(page.data, page.media_type), suffix_of_media_type(page.media_type)
        reach = self.catalog.project.reach
        # Judged again: since it was found it may have become a link to somewhere else.
        place = reach.confine(name, base=reach.root)
        return await asyncio.to_thread(_load_file, place, access.max_file_mb * _MIB), place.suffix.lower()

    def _chunking(self) -> Chunking:
        settings = self.base.settings
        return Chunking(
            size=self.base.chunk_size,
            overlap=min(settings.chunking.overlap, self.base.chunk_size // 2),
            count_tokens=self.catalog.embedder(self.base).count_tokens,
            remove_html=settings.preprocess.remove_html,
        )

    async def _store(self, changed: Sequence[_Read]) -> tuple[int, dict[str, TextRefusedError]]:
        """Bring chunks and vectors of documents into the store.

        Each document ends as soon as the store holds all of it.

        Returns:
            how many chunks were embedded, and by name the documents with a text that the embedder refuses.
        """
        if not changed:
            return 0, {}
        names = [each.name for each in changed]
        await self.database.write_async(partial(mark_documents_changing, base_id=self.base.id, documents=names))
        store = self.catalog.store(self.base)
        wanted = [(each, piece) for each in changed for piece in each.pieces or ()]
        vectors = await store.vectors({self._key(piece) for _, piece in wanted})
        stored = [pair for pair in wanted if self._key(pair[1]) in vectors]
        await store.upsert([self._chunk(each, piece, vectors[self._key(piece)]) for each, piece in stored])
        missing = [pair for pair in wanted if self._key(pair[1]) not in vectors]
        open_chunks = Counter(each.name for each, _ in missing)
        await self._end([each for each in changed if not open_chunks[each.name]], {})
        return await self._embed(missing, open_chunks)

    async def _embed(
        self, missing: Sequence[tuple[_Read, Piece]], open_chunks: Counter[str]
    ) -> tuple[int, dict[str, TextRefusedError]]:
        """Embed chunks batch by batch, and store each batch before the next is paid for."""
        embedder, store = self.catalog.embedder(self.base), self.catalog.store(self.base)
        by_key: dict[str, list[tuple[_Read, Piece]]] = {}
        for each, piece in missing:
            by_key.setdefault(self._key(piece), []).append((each, piece))
        # Texts of like length go together, which an embedder on this machine is quicker with.
        groups = sorted(by_key.values(), key=lambda pairs: len(pairs[0][1].text))
        start = 0
        refused: dict[str, TextRefusedError] = {}
        while start < len(groups):
            batch = groups[start : start + min(self.pace.texts, embedder.batch_size)]
            try:
                with self.pace.measured():
                    vectors = await embedder.embed([pairs[0][1].text for pairs in batch], is_query=False)
            except TextRefusedError as error:
                await self._check_other_text(error)
                refused |= {each.name: error for each, _ in batch[error.index]}
                groups[start:] = _without(groups[start:], refused)
                continue
            start += len(batch)
            if self.base.store.metric == "cosine":
                vectors = normalize(vectors)
            await store.upsert(
                [self._chunk(*pair, vector) for pairs, vector in zip(batch, vectors, strict=True) for pair in pairs]
            )
            touched = {each.name: each for pairs in batch for each, _ in pairs}
            open_chunks.subtract(each.name for pairs in batch for each, _ in pairs)
            stored = {name: len(each.pieces or ()) - open_chunks[name] for name, each in touched.items()}
            await self._end([each for name, each in touched.items() if not open_chunks[name]], stored)
        return len(groups), refused

    async def _check_other_text(self, refusal: TextRefusedError) -> None:
        """See that the embedder accepts a text at all: one with the wrong settings refuses each.

        Raises:
            TextRefusedError: it does not; `refusal`.
        """
        try:
            await self.catalog.embedder(self.base).embed(["text"], is_query=False)
        except TextRefusedError:
            raise refusal from None

    async def _end(self, complete: Sequence[_Read], stored: Mapping[str, int]) -> None:
        """Take old chunks of `complete` documents out of the store, and record them and what else is `stored`."""
        await self.catalog.store(self.base).prune(
            {each.name: {piece.id for piece in each.pieces or ()} for each in complete}
        )
        ends = [self._ready(each) for each in complete]

        def record(connection: sa.Connection) -> None:
            count_chunks(connection, self.base.id, stored)
            end_documents(connection, self.base.id, ends)

        await self.database.write_async(record)

    def _key(self, piece: Piece) -> str:
        """Return what a vector is known by in the store: its text, so that no text is embedded twice."""
        return text_id(piece.text) if self.base.settings.preprocess.dedupe else piece.id

    def _chunk(self, each: _Read, piece: Piece, vector: Vector) -> Chunk:
        return Chunk(
            id=piece.id,
            key=self._key(piece),
            document=each.name,
            title=each.title,
            ordinal=piece.ordinal,
            text=piece.text,
            metadata={"page": str(piece.page), **each.metadata} if piece.page else each.metadata,
            vector=vector,
        )

    async def _failed(self, name: str, error: Exception) -> DocumentEnd:
        """Take out of the store what a document held that cannot be read any more, and say why."""
        told = error if isinstance(error, CompozyError) else DocumentError(f"it cannot be read: {_words(error)}")
        await self.catalog.store(self.base).prune({name: ()})
        stored = told.to_json()
        # By which it is known that trying again would come to the same.
        stored["hash"] = await asyncio.to_thread(self._hash_of, name)
        return DocumentEnd(document=name, status=DocumentStatus.FAILED, recipe=self.base.recipe, error=stored)

    def _hash_of(self, name: str) -> str:
        try:
            reach = self.catalog.project.reach
            return "" if is_address(name) else hash_file(reach.confine(name, base=reach.root))
        except (OSError, UsageError):
            return ""

    def _ready(self, each: _Read) -> DocumentEnd:
        contents = contents_of(piece.id for piece in each.pieces or ())
        return DocumentEnd(
            document=each.name,
            status=DocumentStatus.READY,
            recipe=recipe_with(self.base.recipe, contents),
            hash=each.hash,
            title=each.title,
            size=each.size,
            chunks=contents.chunks,
        )

    def _unchanged(self, each: _Read, row: KnowledgeDocument) -> DocumentEnd:
        return DocumentEnd(
            document=each.name,
            status=DocumentStatus.READY,
            recipe=row.recipe,
            hash=each.hash,
            title=each.title,
            size=each.size,
            chunks=row.chunks,
        )


def _without(groups: Sequence[list[tuple[_Read, Piece]]], refused: Collection[str]) -> list[list[tuple[_Read, Piece]]]:
    """Return the chunks of other documents, in their groups of equal texts."""
    kept = ([pair for pair in pairs if pair[0].name not in refused] for pairs in groups)
    return [pairs for pairs in kept if pairs]


def _is_ready(row: KnowledgeDocument) -> bool:
    return row.status is DocumentStatus.READY


def failure_of(document: str, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return why a document could not be read, as a message."""
    return {"document": document, **{key: value for key, value in error.items() if key != "hash"}}


def normalize(vectors: Any) -> Any:
    """Return vectors of length 1; one of nothing but zeros stays."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _place(name: str) -> dict[str, str]:
    """Return the metadata that every document has: its name, and for a file its folder and kind."""
    if is_address(name):
        return {"document": name}
    path = PurePosixPath(name)
    return {"document": name, "folder": str(path.parent), "type": path.suffix.lower().removeprefix(".")}


def _load_file(place: Path, max_bytes: int) -> bytes:
    with place.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DocumentError(
            f"it is larger than {max_bytes // _MIB} MiB", hint="split it, or raise `knowledge.access.max_file_mb`"
        )
    return data


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"
