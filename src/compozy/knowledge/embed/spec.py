"""Which embedder a knowledge base has, and how it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compozy.knowledge.config import EmbedderSettings
from compozy.knowledge.embed.kinds import local
from compozy.knowledge.embed.registry import EMBEDDERS, EmbedderKind, known_dimension
from compozy.model.config import ProviderConfig
from compozy.model.provider import base_url_of, read_key

_BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """One embedder, ready to be built. `dimension` is None if it is only known from its answers."""

    kind: str
    model: str
    base_url: str
    api_key: str | None = field(repr=False)
    dimension: int | None
    window: int
    batch_size: int
    asks_for_dimension: bool = False

    @property
    def name(self) -> str:
        """Return what a store records: vectors of another name cannot be compared with its own."""
        # Ollama and other servers of OpenAI's format are distinguished by their models.
        suffix = f"@{self.dimension}" if self.asks_for_dimension else ""
        return f"{self.kind}/{self.model}{suffix}"


def spec_of(settings: EmbedderSettings, environ: Mapping[str, str]) -> EmbedderSpec:
    """Return the embedder that `knowledge.embedders` describes."""
    kind = EMBEDDERS[settings.provider]
    model = (None if kind.has_one_model else settings.model) or kind.default_model
    dimension = known_dimension(model)
    return EmbedderSpec(
        kind=kind.name,
        model=model,
        base_url=settings.base_url or _base_url(kind, environ),
        api_key=(settings.api_key.get_secret_value().strip() or None) if settings.api_key else None,
        dimension=settings.dimension or dimension,
        window=settings.window or kind.window,
        batch_size=settings.batch_size,
        asks_for_dimension=settings.dimension is not None and settings.dimension != dimension,
    )


def default_specs(providers: Sequence[ProviderConfig], environ: Mapping[str, str]) -> tuple[EmbedderSpec, ...]:
    """Return the embedders that a project can use without naming one; the first is the default.

    They are those of the model providers that embed and lack no key, and `local`.
    """
    specs: list[EmbedderSpec] = []
    for provider in providers:
        kind = EMBEDDERS.get(provider.type)
        if kind is not None and (not kind.needs_key or read_key(provider) is not None):
            specs.append(_of_provider(provider, kind, environ))
    return (*specs, _of_kind(local.KIND, "", None))


def _of_provider(provider: ProviderConfig, kind: EmbedderKind, environ: Mapping[str, str]) -> EmbedderSpec:
    return _of_kind(kind, base_url_of(provider, environ) or _base_url(kind, environ), read_key(provider))


def _of_kind(kind: EmbedderKind, address: str, key: str | None) -> EmbedderSpec:
    return EmbedderSpec(
        kind=kind.name,
        model=kind.default_model,
        base_url=address,
        api_key=key,
        dimension=known_dimension(kind.default_model),
        window=kind.window,
        batch_size=_BATCH_SIZE,
    )


def _base_url(kind: EmbedderKind, environ: Mapping[str, str]) -> str:
    return environ.get(kind.base_url_variable) or kind.base_url or ""
