"""A vector store as it is described becomes one that can be asked."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from compozy.knowledge.store.protocol import VectorStore
from compozy.knowledge.store.registry import STORES
from compozy.knowledge.store.spec import StoreSpec


class _Builder(Protocol):
    def __call__(self, spec: StoreSpec, /) -> VectorStore: ...


def build_store(spec: StoreSpec) -> VectorStore:
    """Return the store; nothing is sent yet.

    Raises:
        VectorStoreError: a package is not installed.
    """
    return cast("_Builder", import_module(STORES[spec.settings.provider].builder).build_store)(spec)
