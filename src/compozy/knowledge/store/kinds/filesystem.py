"""Files of the project."""

from __future__ import annotations

from compozy.knowledge.store.kind import StoreKind

KIND = StoreKind(
    name="filesystem",
    title="the filesystem",
    builder="compozy.knowledge.store.filesystem",
    keys=frozenset({"path"}),
    is_shared=False,
)
