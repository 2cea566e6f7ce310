"""Redis with its Query Engine (RediSearch): a hash for each chunk, and one index over them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from compozy.database.jsontext import dump_json, load_json
from compozy.errors import VectorStoreError
from compozy.knowledge.config import VectorDBSettings
from compozy.knowledge.extras import missing_package
from compozy.knowledge.store.contents import DocumentContents, summarize
from compozy.knowledge.store.kinds.redis import KIND
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.store.spec import StoreSpec
from compozy.knowledge.tokenize import query_words, tokenize

if TYPE_CHECKING:
    from compozy.knowledge.store.protocol import Vector

T = TypeVar("T")

DEFAULT_URL = "redis://localhost:6379"
_METRICS = {"cosine": "COSINE", "ip": "IP", "l2": "L2"}
_TIMEOUT_S = 30
_AT_ONCE = 500
_RETURNED = ("document", "title", "ordinal", "text", "metadata")


def build_store(spec: StoreSpec) -> RedisStore:
    """Return the store that `spec` describes.

    Raises:
        VectorStoreError: a package is not installed.
    """
    return RedisStore(spec.settings, spec.collection)


class RedisStore:
    """One collection: `NAME:chunk:<id>` holds a chunk, `NAME:document:<hash>` the ids of a document.

    Raises:
        VectorStoreError: the package redis is not installed.
    """

    def __init__(self, settings: VectorDBSettings, collection: str) -> None:
        try:
            import redis.asyncio
        except ImportError as error:
            raise missing_package(VectorStoreError, "the Redis store", error, extra=KIND.extra) from error
        self._package: Any = redis.asyncio
        self._settings = settings
        self._name = collection
        self._index = f"{collection}:index"
        self._client: Any = None

    async def facts(self) -> Facts | None:
        """Return what the collection was made for."""
        return await self._guard(self._facts)

    async def reset(self, facts: Facts | None) -> None:
        """Delete the collection, and make an empty one with its index."""
        await self._guard(lambda: self._reset(facts))

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks, all or none of them."""
        await self._guard(lambda: self._upsert(chunks))

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return stored vectors by key."""
        return await self._guard(lambda: self._vectors(list(keys)))

    async def documents(self) -> dict[str, DocumentContents]:
        """Return what the collection holds of each document."""
        return await self._guard(self._documents)

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the other chunks of documents, one after the other."""
        for document, ids in keep.items():
            await self._guard(partial(self._prune, document, set(ids)))

    async def settle(self) -> None:
        """Do nothing: the index follows what is stored."""

    async def search(self, search: Search) -> list[Match]:
        """Compare vectors, or rank by words."""
        return await self._guard(lambda: self._search(search))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> Any:
        if self._client is None:
            url = self._settings.url.get_secret_value() if self._settings.url else DEFAULT_URL
            self._client = self._package.Redis.from_url(
                url,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S / 3,
                decode_responses=False,
                protocol=2,
            )
        return self._client

    async def _guard(self, call: Callable[[], Awaitable[T]]) -> T:
        from redis.exceptions import AuthenticationError, ConnectionError, RedisError  # noqa: A004 - its own name

        name = f"Redis, vector store {self._settings.id!r},"
        try:
            return await call()
        except AuthenticationError as error:
            raise VectorStoreError(f"{name} refuses the password", hint="write it into `url`") from error
        except (RedisError, OSError, ValueError) as error:
            words = str(error)[:300]
            if "unknown command" in words.lower():
                raise VectorStoreError(
                    f"{name} has no Query Engine: {words}", hint="use Redis 8, Redis Stack, or Redis with RediSearch"
                ) from error
            is_away = isinstance(error, (OSError, ConnectionError))
            hint = "is its server running at `url`?" if is_away else ""
            raise VectorStoreError(f"{name} failed at {self._place()}: {words}", hint=hint) from error

    def _place(self) -> str:
        url = urlsplit(self._settings.url.get_secret_value() if self._settings.url else DEFAULT_URL)
        return f"{url.hostname}:{url.port or 6379}"

    async def _facts(self) -> Facts | None:
        text = await self._open().get(f"{self._name}:facts")
        return None if text is None else Facts(**load_json(text.decode()))

    async def _reset(self, facts: Facts | None) -> None:
        client = self._open()
        await client.delete(f"{self._name}:facts")
        if await self._has_index():
            await client.execute_command("FT.DROPINDEX", self._index, "DD")
        # Keys outside of the index: the ids of documents, and chunks that an interrupted reset left.
        async for keys in self._keys(f"{self._name}:*"):
            await client.unlink(*keys)
        if facts is None:
            return
        await client.execute_command(
            *(
                "FT.CREATE",
                self._index,
                "ON",
                "HASH",
                "PREFIX",
                "1",
                f"{self._name}:chunk:",
                "STOPWORDS",
                "0",
                "SCHEMA",
            ),
            *("words", "TEXT", "NOSTEM", "key", "TAG", "facets", "TAG"),
            *("vector", "VECTOR", *self._algorithm(facts)),
        )
        await client.set(f"{self._name}:facts", dump_json(asdict(facts)))

    def _algorithm(self, facts: Facts) -> tuple[Any, ...]:
        index = self._settings.index
        common = ("TYPE", "FLOAT32", "DIM", facts.dimension, "DISTANCE_METRIC", _METRICS[facts.metric])
        if index.type == "exact":
            return "FLAT", len(common), *common
        more = ("M", index.m, "EF_CONSTRUCTION", index.ef_construction, "EF_RUNTIME", index.ef_search)
        return "HNSW", len(common) + len(more), *common, *more

    async def _has_index(self) -> bool:
        names = await self._open().execute_command("FT._LIST")
        return self._index.encode() in names

    async def _keys(self, pattern: str) -> AsyncIterator[list[bytes]]:
        keys: list[bytes] = []
        async for key in self._open().scan_iter(match=pattern, count=_AT_ONCE):
            keys.append(key)
            if len(keys) >= _AT_ONCE:
                yield keys
                keys = []
        if keys:
            yield keys

    async def _upsert(self, chunks: Sequence[Chunk]) -> None:
        for start in range(0, len(chunks), _AT_ONCE):
            async with self._open().pipeline(transaction=True) as pipeline:
                for chunk in chunks[start : start + _AT_ONCE]:
                    pipeline.hset(self._key(chunk.id), mapping=_fields(chunk))
                    pipeline.sadd(self._document_key(chunk.document), chunk.id)
                await pipeline.execute()

    async def _vectors(self, keys: Sequence[str]) -> dict[str, Vector]:
        import numpy as np

        found: dict[str, Vector] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            async with self._open().pipeline(transaction=False) as pipeline:
                for key in part:
                    query = f"@key:{{{_tag(key)}}}"
                    pipeline.execute_command(
                        *("FT.SEARCH", self._index, query, "RETURN", 1, "vector", "LIMIT", 0, 1, "DIALECT", 2)
                    )
                for key, (_, *rows) in zip(part, await pipeline.execute(), strict=True):
                    if rows:
                        found[key] = np.frombuffer(rows[1][1], dtype="<f4").copy()
        return found

    async def _documents(self) -> dict[str, DocumentContents]:
        rows: dict[str, str] = {}
        # A scan may name a key twice.
        async for keys in self._keys(f"{self._name}:chunk:*"):
            async with self._open().pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hget(key, "document")
                for key, document in zip(keys, await pipeline.execute(), strict=True):
                    # None: deleted since the scan.
                    if document is not None:
                        rows[key.decode().rpartition(":")[2]] = document.decode()
        return summarize((document, name) for name, document in rows.items())

    async def _prune(self, document: str, keep: set[str]) -> None:
        client, key = self._open(), self._document_key(document)
        known = {name.decode() for name in await client.smembers(key)}
        gone = sorted(known - keep)
        for start in range(0, len(gone), _AT_ONCE):
            part = gone[start : start + _AT_ONCE]
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.unlink(*(self._key(name) for name in part))
                pipeline.srem(key, *part)
                await pipeline.execute()

    async def _search(self, search: Search) -> list[Match]:
        if await self._open().exists(f"{self._name}:facts") == 0:
            return []
        filters = _filters(search.filters)
        if search.vector is not None:
            return await self._search_vectors(search, filters)
        words = "|".join(query_words(search.text or ""))
        if not words:
            return []
        query = f"({filters} @words:({words}))" if filters else f"@words:({words})"
        answer = await self._open().execute_command(
            *("FT.SEARCH", self._index, query, "WITHSCORES", "SCORER", "BM25STD", "RETURN", len(_RETURNED), *_RETURNED),
            *("LIMIT", 0, search.limit, "DIALECT", 2),
        )
        rows = [(answer[i], float(answer[i + 1]), answer[i + 2]) for i in range(1, len(answer), 3)]
        return _sorted([self._match(key, score, fields) for key, score, fields in rows])

    async def _search_vectors(self, search: Search, filters: str) -> list[Match]:
        import numpy as np

        index = self._settings.index
        effort = "" if index.type == "exact" else f" EF_RUNTIME {index.candidates(search.limit)}"
        query = f"({filters or '*'})=>[KNN {search.limit} @vector $wanted{effort} AS distance]"
        answer = await self._open().execute_command(
            *("FT.SEARCH", self._index, query, "PARAMS", 2, "wanted", np.asarray(search.vector, "<f4").tobytes()),
            *("SORTBY", "distance", "ASC", "RETURN", len(_RETURNED) + 1, *_RETURNED, "distance"),
            *("LIMIT", 0, search.limit, "DIALECT", 2),
        )
        found: list[Match] = []
        for key, fields in zip(answer[1::2], answer[2::2], strict=True):
            distance = float(dict(zip(fields[::2], fields[1::2], strict=True))[b"distance"])
            found.append(self._match(key, self._score(distance), fields))
        return _sorted(found)

    def _score(self, distance: float) -> float:
        if self._settings.metric == "l2":
            # It gives the square.
            return -(max(distance, 0.0) ** 0.5)
        return 1 - distance

    def _match(self, key: bytes, score: float, fields: Sequence[bytes]) -> Match:
        values = {name.decode(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
        return Match(
            id=key.decode().rpartition(":")[2],
            document=values["document"].decode(),
            title=values["title"].decode(),
            ordinal=int(values["ordinal"]),
            text=values["text"].decode(),
            metadata=load_json(values["metadata"].decode()),
            score=score,
        )

    def _key(self, chunk_id: str) -> str:
        return f"{self._name}:chunk:{chunk_id}"

    def _document_key(self, document: str) -> str:
        return f"{self._name}:document:{_tag(document)}"


def _fields(chunk: Chunk) -> dict[str, Any]:
    return {
        "key": _tag(chunk.key),
        "document": chunk.document,
        "title": chunk.title,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        # Found by us, so that every store has the same ones.
        "words": " ".join(tokenize(chunk.text)),
        "metadata": dump_json(dict(chunk.metadata)),
        "facets": ",".join(_tag(f"{name}={value}") for name, value in chunk.metadata.items()),
        "vector": chunk.vector.astype("<f4").tobytes(),
    }


def _filters(filters: Mapping[str, str]) -> str:
    return " ".join(f"@facets:{{{_tag(f'{name}={value}')}}}" for name, value in filters.items())


def _tag(text: str) -> str:
    # A hash needs none of the escapes that the query language has.
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _sorted(found: list[Match]) -> list[Match]:
    return sorted(found, key=lambda match: (-match.score, match.id))
