"""The record of a vector store type, found by its `provider`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from compozy.config.nodes import MappingNode
from compozy.errors import Diagnostic

ADDRESS_KEYS = frozenset({"url", "dsn"})
"""Keys of the address of a store that is a server."""


def _accept(_: str) -> str | None:
    return None


def _find_nothing(_: MappingNode) -> Iterable[Diagnostic]:
    return ()


@dataclass(frozen=True, kw_only=True)
class StoreKind:
    """A kind of vector store. Only `name`, `title` and `builder` are required.

    Attributes:
        name: value of `provider`.
        title: what people call it.
        builder: module with `build_store`, a function from a `compozy.knowledge.store.spec.StoreSpec` to a
            `VectorStore`. It is imported when a store of the kind is first used.
        keys: keys of an entry that it accepts, of those that not every kind accepts; synonyms by all their names.
        indexes: values of `index.type` that it accepts.
        is_shared: whether other programs may use the same store, so that a collection names its project.
        needs_postgres: whether it cannot be used with `driver: sqlite`.
        extra: extra of this package that installs what it needs.
        packages: packages of `extra` that it imports.
        check_address: returns what is wrong with a `url`, None if nothing is; the text must not repeat the address.
        check: yields what is wrong with an entry besides the types of its values.
    """

    name: str
    title: str
    builder: str
    keys: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset({"exact"})
    is_shared: bool = True
    needs_postgres: bool = False
    extra: str = "knowledge"
    packages: tuple[str, ...] = ("numpy",)
    check_address: Callable[[str], str | None] = _accept
    check: Callable[[MappingNode], Iterable[Diagnostic]] = _find_nothing


STORES: dict[str, StoreKind] = {}
"""The registered kinds by name. Import them from `compozy.knowledge.store.registry`, which registers the built-in
ones."""


def register(*kinds: StoreKind) -> None:
    """Add kinds of vector stores."""
    STORES.update({kind.name: kind for kind in kinds})


def stores_accepting(key: str) -> Iterator[str]:
    """Yield the names of the kinds whose entries accept `key`; none if it is a key of all kinds."""
    return (kind.name for kind in STORES.values() if key in kind.keys)
