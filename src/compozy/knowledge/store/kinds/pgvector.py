"""PostgreSQL with the extension pgvector."""

from __future__ import annotations

from compozy.config.addresses import check_postgres_address
from compozy.knowledge.store.kind import ADDRESS_KEYS, StoreKind

KIND = StoreKind(
    name="pgvector",
    title="PostgreSQL",
    builder="compozy.knowledge.store.pgvector",
    keys=ADDRESS_KEYS,
    indexes=frozenset({"exact", "hnsw", "ivfflat"}),
    needs_postgres=True,
    check_address=check_postgres_address,
)
