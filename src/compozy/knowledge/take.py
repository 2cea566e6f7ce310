"""A few documents of an ingestion: read, cut, embedded, stored. May be done again at any point."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import structlog

from compozy.database.database import Database
from compozy.database.documents import (
    DocumentEnd,
    DocumentStatus,
    KnowledgeDocument,
    end_documents,
    list_documents,
    mark_documents_changing,
)
from compozy.errors import CompozyError, DocumentError, UsageError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.chunk import Chunking, Piece, cut, text_id
from compozy.knowledge.read.apart import read_apart
from compozy.knowledge.read.kinds import apply_charset, suffix_of_media_type
from compozy.knowledge.sources import hash_file, is_address
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
class Taking:
    """Takes documents of one knowledge base in."""

    database: Database
    catalog: KnowledgeCatalog
    base: KnowledgeBase

    async def take(self, names: Sequence[str]) -> dict[str, Any]:
        """Take documents in, and return what was done; those that cannot be read are among the `failures`.

        Raises:
            KnowledgeError: the embedder or the store failed; nothing is lost, and what was stored counts the next time.
            DatabaseError: the database refused.
        """
        rows = await self.database.read_async(partial(list_documents, base_id=self.base.id, documents=names))
        known = {row.document: row for row in rows}
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
        changed = [each for each in read if each.pieces is not None]
        embedded = await self._store(changed)
        ends += [self._ready(each, known) for each in read]
        finish = partial(end_documents, base_id=self.base.id, recipe=self.base.recipe, ends=ends)
        await self.database.write_async(finish)
        return {
            "documents": len(changed),
            "chunks": sum(len(each.pieces or ()) for each in changed),
            "embedded": embedded,
            "unchanged": len(read) - len(changed),
            "failures": [failure_of(end.document, end.error) for end in ends if end.error],
        }

    async def _read(self, name: str, row: KnowledgeDocument | None) -> _Read:
        data, suffix = await self._load(name)
        digest = hashlib.sha256(data).hexdigest()
        if row is not None and row.hash == digest and row.recipe == self.base.recipe:
            return _Read(name=name, hash=digest, size=len(data), title=row.title, metadata={})
        content = await read_apart(name, data, suffix)
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

    async def _store(self, changed: Sequence[_Read]) -> int:
        """Bring chunks and vectors of documents into the store, and return how many were embedded."""
        if not changed:
            return 0
        names = [each.name for each in changed]
        await self.database.write_async(partial(mark_documents_changing, base_id=self.base.id, documents=names))
        store = self.catalog.store(self.base)
        wanted = [(each, piece) for each in changed for piece in each.pieces or ()]
        vectors = await store.vectors({self._key(piece) for _, piece in wanted})
        stored = [pair for pair in wanted if self._key(pair[1]) in vectors]
        await store.upsert([self._chunk(each, piece, vectors[self._key(piece)]) for each, piece in stored])
        missing = [pair for pair in wanted if self._key(pair[1]) not in vectors]
        embedded = await self._embed(missing)
        await store.prune({each.name: {piece.id for piece in each.pieces or ()} for each in changed})
        return embedded

    async def _embed(self, missing: Sequence[tuple[_Read, Piece]]) -> int:
        """Embed chunks batch by batch, and store each batch before the next is paid for."""
        embedder, store = self.catalog.embedder(self.base), self.catalog.store(self.base)
        by_key: dict[str, list[tuple[_Read, Piece]]] = {}
        for each, piece in missing:
            by_key.setdefault(self._key(piece), []).append((each, piece))
        # Texts of like length go together, which an embedder on this machine is quicker with.
        groups = sorted(by_key.values(), key=lambda pairs: len(pairs[0][1].text))
        for start in range(0, len(groups), embedder.batch_size):
            batch = groups[start : start + embedder.batch_size]
            vectors = await embedder.embed([pairs[0][1].text for pairs in batch], is_query=False)
            if self.base.store.metric == "cosine":
                vectors = normalize(vectors)
            await store.upsert(
                [self._chunk(*pair, vector) for pairs, vector in zip(batch, vectors, strict=True) for pair in pairs]
            )
        return len(groups)

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
        return DocumentEnd(document=name, status=DocumentStatus.FAILED, error=stored)

    def _hash_of(self, name: str) -> str:
        try:
            reach = self.catalog.project.reach
            return "" if is_address(name) else hash_file(reach.confine(name, base=reach.root))
        except (OSError, UsageError):
            return ""

    def _ready(self, each: _Read, known: Mapping[str, KnowledgeDocument]) -> DocumentEnd:
        chunks = len(each.pieces) if each.pieces is not None else known[each.name].chunks
        return DocumentEnd(
            document=each.name,
            status=DocumentStatus.READY,
            hash=each.hash,
            title=each.title,
            size=each.size,
            chunks=chunks,
        )


def failure_of(document: str, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return why a document could not be read, as people are told."""
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
