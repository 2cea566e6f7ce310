"""An embedder as it is described becomes one that can be asked."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from compozy.knowledge.embed.protocol import Embedder
from compozy.knowledge.embed.registry import EMBEDDERS
from compozy.knowledge.embed.spec import EmbedderSpec


class _Builder(Protocol):
    def __call__(self, spec: EmbedderSpec, /) -> Embedder: ...


def build_embedder(spec: EmbedderSpec) -> Embedder:
    """Return the embedder; nothing is sent yet.

    Raises:
        EmbedderError: a package is not installed.
    """
    return cast("_Builder", import_module(EMBEDDERS[spec.kind].builder).build_embedder)(spec)
