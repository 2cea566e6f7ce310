"""All kinds of vector stores. A new kind is one import and one entry here."""

from __future__ import annotations

from compozy.knowledge.store.kind import STORES, StoreKind, register, stores_accepting
from compozy.knowledge.store.kinds import filesystem, pgvector, qdrant, redis

# In this order they stand in the JSON Schema and in the reference.
register(pgvector.KIND, qdrant.KIND, redis.KIND, filesystem.KIND)

__all__ = ["STORES", "StoreKind", "register", "stores_accepting"]
