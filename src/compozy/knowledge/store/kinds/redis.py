"""Redis with its query engine."""

from __future__ import annotations

from functools import partial

from compozy.config.addresses import check_store_address
from compozy.knowledge.store.kind import ADDRESS_KEYS, StoreKind

KIND = StoreKind(
    name="redis",
    title="Redis",
    builder="compozy.knowledge.store.redis",
    keys=ADDRESS_KEYS,
    indexes=frozenset({"exact", "hnsw"}),
    extra="redis",
    packages=("redis", "numpy"),
    check_address=partial(check_store_address, schemes=frozenset({"redis", "rediss", "unix"})),
)
