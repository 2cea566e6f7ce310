"""Qdrant: a server, or its embedded mode in a folder. Words are a sparse vector whose weights are those of BM25."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from compozy.errors import VectorStoreError
from compozy.knowledge.config import VectorDBSettings
from compozy.knowledge.extras import missing_package
from compozy.knowledge.store.contents import DocumentContents, summarize
from compozy.knowledge.store.kinds.qdrant import KIND
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.store.qdrant_folder import open_folder
from compozy.knowledge.store.spec import StoreSpec
from compozy.knowledge.tokenize import query_words, tokenize

if TYPE_CHECKING:
    from compozy.knowledge.store.protocol import Vector

T = TypeVar("T")

# The purpose of collections; a separate collection, because older servers keep no metadata.
_FACTS = "compozy_facts"
_DENSE, _SPARSE = "dense", "words"
_DISTANCES = {"cosine": "COSINE", "ip": "DOT", "l2": "EUCLID"}
_TIMEOUT_S = 60
_AT_ONCE = 256
# BM25 (Robertson, Zaragoza 2009): how soon a word counts no more, and how much a long text is held back. The server
# brings in how rare a word is; the length of a text of ordinary size, in words, is taken as fixed.
_K, _B, _ORDINARY = 1.2, 0.75, 256


def build_store(spec: StoreSpec) -> QdrantStore:
    """Return the store that `spec` describes.

    Raises:
        VectorStoreError: a package is not installed.
    """
    return QdrantStore(spec.settings, spec.collection)


class QdrantStore:
    """One collection.

    Raises:
        VectorStoreError: qdrant-client is not installed.
    """

    def __init__(self, settings: VectorDBSettings, collection: str) -> None:
        try:
            import qdrant_client
            from qdrant_client import models
        except ImportError as error:
            raise missing_package(VectorStoreError, "the Qdrant store", error, extra=KIND.extra) from error
        self._package: Any = qdrant_client
        self._models: Any = models
        self._settings = settings
        self._name = collection
        self._client: Any = None

    async def facts(self) -> Facts | None:
        """Return what the collection was made for."""
        return await self._guard(self._facts)

    async def reset(self, facts: Facts | None) -> None:
        """Delete the collection, and make an empty one."""
        await self._guard(lambda: self._reset(facts))

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks, and wait until they are found."""
        await self._guard(lambda: self._upsert(chunks))

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return stored vectors by key."""
        return await self._guard(lambda: self._vectors(list(keys)))

    async def documents(self) -> dict[str, DocumentContents]:
        """Return what the collection holds of each document."""
        return await self._guard(self._documents)

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the other chunks of documents, one after the other."""
        await self._guard(lambda: self._prune(keep))

    async def settle(self) -> None:
        """Do nothing: the server builds its indexes by itself."""

    async def search(self, search: Search) -> list[Match]:
        """Compare vectors, or rank by words."""
        return await self._guard(lambda: self._search(search))

    async def aclose(self) -> None:
        """Close the connection, or let go of the folder."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> Any:
        if self._client is None:
            settings = self._settings
            if settings.path is not None:
                self._client = open_folder(self._package, settings.path)
            else:
                self._client = self._package.AsyncQdrantClient(
                    url=settings.url.get_secret_value() if settings.url else None,
                    api_key=settings.api_key.get_secret_value() if settings.api_key else None,
                    timeout=_TIMEOUT_S,
                    # It would immediately ask the server for its version, in a thread, and warn on stderr.
                    check_compatibility=False,
                )
        return self._client

    async def _guard(self, call: Callable[[], Awaitable[T]]) -> T:
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException

        name = f"Qdrant, vector store {self._settings.id!r},"
        try:
            with warnings.catch_warnings():
                # That a key goes over http, and that a folder is for few vectors: the pages say so.
                warnings.simplefilter("ignore", UserWarning)
                return await call()
        except (ApiException, QdrantException) as error:
            raise self._refused(name, error) from error
        except (RuntimeError, OSError, ValueError) as error:
            # The embedded mode says so when another process has its folder.
            if "already accessed" in str(error):
                raise VectorStoreError(
                    f"{name} is a folder that another process has open",
                    hint="ask that process's server, or run a Qdrant server and name its `url`",
                ) from error
            raise VectorStoreError(f"{name} failed: {str(error)[:300]}") from error

    def _refused(self, name: str, error: Exception) -> VectorStoreError:
        status = getattr(error, "status_code", None)
        if status in {401, 403}:
            return VectorStoreError(f"{name} refuses the key", hint="check `api_key` of the store")
        if status is not None:
            words = " ".join(str(getattr(error, "content", b""), "utf-8", "replace").split())[:300]
            return VectorStoreError(f"{name} answered {status}: {words}")
        return VectorStoreError(f"{name} cannot be reached: {str(error)[:300]}", hint="is its server running at `url`?")

    async def _facts(self) -> Facts | None:
        client = self._open()
        if not await client.collection_exists(self._name) or not await client.collection_exists(_FACTS):
            return None
        found = await client.retrieve(_FACTS, ids=[_uuid(self._name)], with_payload=True)
        return Facts(**found[0].payload["facts"]) if found else None

    async def _reset(self, facts: Facts | None) -> None:
        client, models = self._open(), self._models
        if not await client.collection_exists(_FACTS):
            one = models.VectorParams(size=1, distance=models.Distance.DOT)
            await client.create_collection(_FACTS, vectors_config=one)
        # A point that may be incomplete counts as missing.
        await client.delete(_FACTS, points_selector=models.PointIdsList(points=[_uuid(self._name)]), wait=True)
        if await client.collection_exists(self._name):
            self._close_file(client)
            await client.delete_collection(self._name)
        if facts is None:
            return
        index = self._settings.index
        distance = models.Distance[_DISTANCES[facts.metric]]
        await client.create_collection(
            self._name,
            vectors_config={_DENSE: models.VectorParams(size=facts.dimension, distance=distance)},
            sparse_vectors_config={_SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            hnsw_config=models.HnswConfigDiff(m=index.m, ef_construct=index.ef_construction),
        )
        for field in ("document", "key"):
            await client.create_payload_index(self._name, field, models.PayloadSchemaType.KEYWORD, wait=True)
        payload = {"collection": self._name, "facts": asdict(facts)}
        point = models.PointStruct(id=_uuid(self._name), vector=[1.0], payload=payload)
        await client.upsert(_FACTS, points=[point], wait=True)

    def _close_file(self, client: Any) -> None:
        """Close the file of the collection in a folder; the client leaves it open when it deletes the collection."""
        if self._settings.path is not None:
            client._client.collections[self._name].close()

    async def _upsert(self, chunks: Sequence[Chunk]) -> None:
        for start in range(0, len(chunks), _AT_ONCE):
            points = [self._point(chunk) for chunk in chunks[start : start + _AT_ONCE]]
            await self._open().upsert(self._name, points=points, wait=True)

    def _point(self, chunk: Chunk) -> Any:
        payload = {
            "key": chunk.key,
            "document": chunk.document,
            "title": chunk.title,
            "ordinal": chunk.ordinal,
            "text": chunk.text,
            "metadata": dict(chunk.metadata),
        }
        vector = {_DENSE: chunk.vector.tolist(), _SPARSE: self._models.SparseVector(**_weigh(chunk.text))}
        return self._models.PointStruct(id=chunk.id, vector=vector, payload=payload)

    async def _vectors(self, keys: Sequence[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        for start in range(0, len(keys), _AT_ONCE):
            await self._add_vectors(found, set(keys[start : start + _AT_ONCE]))
        return found

    async def _add_vectors(self, found: dict[str, Vector], wanted: set[str]) -> None:
        """Look for keys until none of those that are left is there: many points may share one."""
        import numpy as np

        models, is_done = self._models, False
        while wanted and not is_done:
            any_of = models.FieldCondition(key="key", match=models.MatchAny(any=sorted(wanted)))
            limit = len(wanted)
            points, _ = await self._open().scroll(
                self._name,
                scroll_filter=models.Filter(must=[any_of]),
                limit=limit,
                with_payload=["key"],
                with_vectors=[_DENSE],
            )
            for point in points:
                found[point.payload["key"]] = np.array(point.vector[_DENSE], dtype=np.float32)
                wanted.discard(point.payload["key"])
            is_done = len(points) < limit

    async def _documents(self) -> dict[str, DocumentContents]:
        if not await self._open().collection_exists(self._name):
            return {}
        rows: list[tuple[str, str]] = []
        position: Any = None
        while True:
            points, position = await self._open().scroll(
                self._name, limit=_AT_ONCE, offset=position, with_payload=["document"], with_vectors=False
            )
            rows += [(point.payload["document"], str(point.id)) for point in points]
            if position is None:
                return summarize(rows)

    async def _prune(self, keep: Mapping[str, Collection[str]]) -> None:
        models = self._models
        if not await self._open().collection_exists(self._name):
            return
        for document, ids in keep.items():
            chosen = models.Filter(
                must=[models.FieldCondition(key="document", match=models.MatchValue(value=document))],
                must_not=[models.HasIdCondition(has_id=list(ids))] if ids else None,
            )
            await self._open().delete(self._name, points_selector=models.FilterSelector(filter=chosen), wait=True)

    async def _search(self, search: Search) -> list[Match]:
        models, index = self._models, self._settings.index
        query: Any = None if search.vector is None else search.vector.tolist()
        if query is None:
            words = [_place_of(word) for word in query_words(search.text or "")]
            if not words:
                return []
            distinct = sorted(set(words))
            query = models.SparseVector(indices=distinct, values=[1.0] * len(distinct))
        answer = await self._open().query_points(
            self._name,
            query=query,
            using=_SPARSE if search.vector is None else _DENSE,
            query_filter=self._filter(search.filters),
            search_params=models.SearchParams(exact=index.type == "exact", hnsw_ef=index.candidates(search.limit)),
            limit=search.limit,
            with_payload=True,
        )
        sign = -1 if self._settings.metric == "l2" and search.vector is not None else 1
        found = [_match(point, sign) for point in answer.points]
        return sorted(found, key=lambda match: (-match.score, match.id))

    def _filter(self, filters: Mapping[str, str]) -> Any:
        models = self._models
        conditions = [
            models.FieldCondition(key=f"metadata.{_key(name)}", match=models.MatchValue(value=value))
            for name, value in filters.items()
        ]
        return models.Filter(must=conditions) if conditions else None


def _key(name: str) -> str:
    # A dot would lead into a map, and brackets into a list.
    return name if name.replace("_", "").isalnum() else f'"{name}"'


def _match(point: Any, sign: int) -> Match:
    payload: dict[str, Any] = point.payload
    return Match(
        id=str(point.id),
        document=payload["document"],
        title=payload["title"],
        ordinal=payload["ordinal"],
        text=payload["text"],
        metadata=payload["metadata"],
        score=sign * float(point.score),
    )


def _weigh(text: str) -> dict[str, list[Any]]:
    """Return the sparse vector of a text: for each word its place, and what it weighs before rarity comes in."""
    words = tokenize(text)
    counts = Counter(_place_of(word) for word in words)
    held_back = _K * (1 - _B + _B * len(words) / _ORDINARY)
    places = sorted(counts)
    return {
        "indices": places,
        "values": [counts[place] * (_K + 1) / (counts[place] + held_back) for place in places],
    }


def _place_of(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") >> 1


def _uuid(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
