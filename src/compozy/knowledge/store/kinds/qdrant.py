"""Qdrant, as a server or in a folder."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.addresses import check_store_address, check_web_address
from compozy.config.nodes import MappingNode, place_at, text_at
from compozy.errors import Diagnostic
from compozy.knowledge.store.kind import ADDRESS_KEYS, StoreKind


def _check_location(store: MappingNode) -> Iterator[Diagnostic]:
    address, path = text_at(store, "url") or text_at(store, "dsn"), text_at(store, "path")
    if bool(address) == bool(path):
        found = "both" if address else "neither"
        hint = "name the server's `url`, or a folder as `path` for the embedded mode"
        message = f"a qdrant store has a url or a path, this one has {found}"
        yield Diagnostic(location=place_at(store, ("id",)), message=message, hint=hint, code="knowledge")


def _check_address(text: str) -> str | None:
    """Return what is wrong with a URL. The client would drop a user, a password or a query."""
    return check_store_address(text, {"http", "https"}) or check_web_address(text)


KIND = StoreKind(
    name="qdrant",
    title="Qdrant",
    builder="compozy.knowledge.store.qdrant",
    keys=ADDRESS_KEYS | {"path", "api_key"},
    indexes=frozenset({"exact", "hnsw"}),
    extra="qdrant",
    packages=("qdrant_client", "numpy"),
    check_address=_check_address,
    check=_check_location,
)
