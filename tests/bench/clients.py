"""Vector stores queried by their native clients, without our code: the baseline of `vectors`.

They query the collection that our store created, for the same fields and with the same effort.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

from compozy.knowledge.config import IndexSettings

Ask = Callable[[Any], Awaitable[set[int]]]
"""Returns the ordinals of the nearest neighbors of one vector."""

LIMIT = 10
_EFFORT = IndexSettings().candidates(LIMIT)


@contextlib.asynccontextmanager
async def open_client(kind: str, section: dict[str, Any], name: str) -> AsyncGenerator[Ask | None]:
    """Return a query function for the collection `name`, or None for `filesystem`, which has no other client."""
    opened = {"pgvector": _pgvector, "redis": _redis, "filesystem": _nothing}.get(kind, _qdrant)
    async with opened(section, name) as ask:
        yield ask


@contextlib.asynccontextmanager
async def _nothing(section: dict[str, Any], name: str) -> AsyncGenerator[Ask | None]:
    yield None


@contextlib.asynccontextmanager
async def _pgvector(section: dict[str, Any], name: str) -> AsyncGenerator[Ask | None]:
    import psycopg

    query = (
        "SELECT id, document, title, ordinal, text, metadata, embedding <=> %s::vector AS distance "
        f'FROM compozy_knowledge."{name}" ORDER BY distance LIMIT {LIMIT}'
    )
    async with await psycopg.AsyncConnection.connect(section["url"], autocommit=True) as connection:
        await connection.execute(f"SET hnsw.ef_search = {_EFFORT}".encode())

        async def ask(vector: Any) -> set[int]:
            found = await connection.execute(query.encode(), (str(vector.tolist()),))
            return {row[3] for row in await found.fetchall()}

        yield ask


@contextlib.asynccontextmanager
async def _qdrant(section: dict[str, Any], name: str) -> AsyncGenerator[Ask | None]:
    from qdrant_client import AsyncQdrantClient, models

    is_folder = "path" in section
    where: dict[str, Any] = {"path": section["path"]} if is_folder else {"url": section["url"]}
    with warnings.catch_warnings():
        # A warning that a folder is meant for few vectors.
        warnings.simplefilter("ignore")
        client = AsyncQdrantClient(**where, check_compatibility=False)
    # A folder has no index, and the client warns each time.
    params = None if is_folder else models.SearchParams(hnsw_ef=_EFFORT)

    async def ask(vector: Any) -> set[int]:
        found = await client.query_points(
            name, query=vector.tolist(), using="dense", limit=LIMIT, with_payload=True, search_params=params
        )
        return {point.payload["ordinal"] for point in found.points if point.payload}

    try:
        yield ask
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _redis(section: dict[str, Any], name: str) -> AsyncGenerator[Ask | None]:
    import redis.asyncio as package

    client: Any = cast("Any", package).Redis.from_url(section["url"], protocol=2)
    query = f"*=>[KNN {LIMIT} @vector $wanted EF_RUNTIME {_EFFORT} AS distance]"
    fields = ("document", "title", "ordinal", "text", "metadata", "distance")

    async def ask(vector: Any) -> set[int]:
        given = ("PARAMS", 2, "wanted", vector.astype("<f4").tobytes(), "SORTBY", "distance", "ASC")
        wanted = (*given, "RETURN", len(fields), *fields, "LIMIT", 0, LIMIT, "DIALECT", 2)
        answer = await client.execute_command("FT.SEARCH", f"{name}:index", query, *wanted)
        return {int(dict(zip(row[::2], row[1::2], strict=True))[b"ordinal"]) for row in answer[2::2]}

    try:
        yield ask
    finally:
        await client.aclose()
