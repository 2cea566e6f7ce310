"""The record of an embedder type, found by its `provider`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class EmbedderKind:
    """A kind of embedder. Only `name`, `builder`, `default_model` and `window` are required.

    Attributes:
        name: value of `provider`. A model provider of a `type` with this name also embeds.
        builder: module with `build_embedder`, a function from a `compozy.knowledge.embed.spec.EmbedderSpec` to an
            `Embedder`. It is imported when an embedder of the kind is first used.
        default_model: model of an embedder that names none.
        window: tokens that one text may have.
        dimensions: lengths of the vectors of models where they are known.
        has_one_model: whether it always uses `default_model`.
        base_url: address of its server, None if there is none.
        base_url_variable: environment variable that replaces `base_url`.
        needs_key: whether a model provider without an API key cannot be the embedder of a project that names none.
        extra: extra of this package that installs what it needs.
        packages: packages of `extra` that it imports.
    """

    name: str
    builder: str
    default_model: str
    window: int
    dimensions: Mapping[str, int] = field(default_factory=dict[str, int])
    has_one_model: bool = False
    base_url: str | None = None
    base_url_variable: str = ""
    needs_key: bool = True
    extra: str = "knowledge"
    packages: tuple[str, ...] = ("numpy",)


EMBEDDERS: dict[str, EmbedderKind] = {}
"""The registered kinds by name. Import them from `compozy.knowledge.embed.registry`, which registers the built-in
ones."""


def register(*kinds: EmbedderKind) -> None:
    """Add kinds of embedders."""
    EMBEDDERS.update({kind.name: kind for kind in kinds})


def known_dimension(model: str) -> int | None:
    """Return the length of the vectors of `model`, None if it is only known from its answers."""
    return next((kind.dimensions[model] for kind in EMBEDDERS.values() if model in kind.dimensions), None)
