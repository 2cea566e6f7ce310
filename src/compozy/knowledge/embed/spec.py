"""Which embedder a knowledge base has, and how it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compozy.knowledge.config import EmbedderKind, EmbedderSettings
from compozy.model.config import ProviderConfig
from compozy.model.kinds import ollama, openai
from compozy.model.provider import base_url_of, read_key

GOOGLE_BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
LOCAL_MODEL = "multilingual-e5-small"
LOCAL_DIMENSION = 384
LOCAL_WINDOW = 512

# Model, window in tokens, and dimensions where they are known, by kind.
_MODELS: dict[EmbedderKind, str] = {
    "openai": "text-embedding-3-small",
    "ollama": "nomic-embed-text",
    "google": "gemini-embedding-001",
    "local": LOCAL_MODEL,
}
_WINDOWS: dict[EmbedderKind, int] = {"openai": 8191, "ollama": 2048, "google": 2048, "local": LOCAL_WINDOW}
_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "gemini-embedding-001": 3072,
    "nomic-embed-text": 768,
    LOCAL_MODEL: LOCAL_DIMENSION,
}
_BATCH_SIZE = 64
# Kinds of model provider that embed as well.
_EMBEDDING_PROVIDERS: frozenset[str] = frozenset({"openai", "google", "ollama", "local"})


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """One embedder, ready to be built. `dimension` is None where only its answers tell."""

    kind: EmbedderKind
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
        # Ollama and other servers of OpenAI's format are told apart by their models.
        suffix = f"@{self.dimension}" if self.asks_for_dimension else ""
        return f"{self.kind}/{self.model}{suffix}"


def spec_of(settings: EmbedderSettings, environ: Mapping[str, str]) -> EmbedderSpec:
    """Return the embedder that `knowledge.embedders` describes."""
    kind = settings.provider
    model = LOCAL_MODEL if kind == "local" else settings.model or _MODELS[kind]
    return EmbedderSpec(
        kind=kind,
        model=model,
        base_url=settings.base_url or _base_url(kind, environ),
        api_key=(settings.api_key.get_secret_value().strip() or None) if settings.api_key else None,
        dimension=settings.dimension or _DIMENSIONS.get(model),
        window=settings.window or _WINDOWS[kind],
        batch_size=settings.batch_size,
        asks_for_dimension=settings.dimension is not None and settings.dimension != _DIMENSIONS.get(model),
    )


def default_spec(providers: Sequence[ProviderConfig], environ: Mapping[str, str]) -> EmbedderSpec:
    """Return the embedder of the first model provider that has one and needs no key that is missing, else `local`."""
    for provider in providers:
        if provider.type in _EMBEDDING_PROVIDERS and _can_be_asked(provider):
            return _of_provider(provider, environ)
    return _of_kind("local", "", None)


def _can_be_asked(provider: ProviderConfig) -> bool:
    return provider.type in {"local", "ollama"} or read_key(provider) is not None


def _of_provider(provider: ProviderConfig, environ: Mapping[str, str]) -> EmbedderSpec:
    kind: EmbedderKind = "local"
    if provider.type == "openai":
        kind = "openai"
    elif provider.type == "google":
        kind = "google"
    elif provider.type == "ollama":
        kind = "ollama"
    address = base_url_of(provider, environ) or _base_url(kind, environ)
    return _of_kind(kind, address, read_key(provider))


def _of_kind(kind: EmbedderKind, address: str, key: str | None) -> EmbedderSpec:
    model = _MODELS[kind]
    return EmbedderSpec(
        kind=kind,
        model=model,
        base_url=address,
        api_key=key,
        dimension=_DIMENSIONS[model],
        window=_WINDOWS[kind],
        batch_size=_BATCH_SIZE,
    )


def _base_url(kind: EmbedderKind, environ: Mapping[str, str]) -> str:
    if kind == "openai":
        return environ.get("OPENAI_BASE_URL") or openai.KIND.base_url or ""
    return {"ollama": ollama.KIND.base_url or "", "google": GOOGLE_BASE_URL}.get(kind, "")
