"""The configuration of one model, and how the record of its provider type applies to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from compozy.config.addresses import check_web_address
from compozy.errors import ModelError
from compozy.installation import extra_hint
from compozy.model.config import ProviderConfig
from compozy.model.params import to_settings
from compozy.model.registry import PROVIDERS

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings


def base_url_of(provider: ProviderConfig, environ: Mapping[str, str]) -> str | None:
    """Return the address that a provider is asked at, None for those whose own package knows it."""
    kind = PROVIDERS[provider.type]
    return provider.base_url or environ.get(kind.base_url_variable) or kind.base_url


def needs_key(provider: ProviderConfig, environ: Mapping[str, str]) -> bool:
    """Return whether a provider requires a key."""
    kind = PROVIDERS[provider.type]
    # Another server than the provider's own; many take no key.
    is_elsewhere = kind.base_url is not None and base_url_of(provider, environ) != kind.base_url
    return bool(kind.key_variable) and not is_elsewhere


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model of one provider, ready to be built. The key stays out of its repr."""

    config: ProviderConfig
    model_name: str
    base_url: str | None
    base_dir: Path
    environ: Mapping[str, str] = field(repr=False)

    @property
    def api_key(self) -> str | None:
        """Return the provider's key, or None."""
        return read_key(self.config)

    def default_settings(self) -> ModelSettings:
        """Return the provider's own parameters."""
        return to_settings(self.config)


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model, and how to let go of its connections when the program ends (None when it has none)."""

    model: Model
    close: Callable[[], Awaitable[None]] | None = None


class _Builder(Protocol):
    def __call__(self, spec: ModelSpec, /) -> BuiltModel: ...


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the model that `spec` describes; nothing is sent yet.

    Raises:
        ModelError: a package that the kind of provider needs is not installed, its file is missing, or its
            `base_url` is no address.
    """
    _check_address(spec)
    try:
        module = load_builder(spec.config)
    except ImportError as error:
        raise _missing_package(spec, error) from error
    return cast("_Builder", module.build_model)(spec)


def load_builder(provider: ProviderConfig) -> ModuleType:
    """Return the module that builds the models of a provider, and with it the libraries that they need.

    Raises:
        ImportError: a package is not installed.
    """
    return import_module(PROVIDERS[provider.type].builder)


def read_key(config: ProviderConfig) -> str | None:
    """Return the key of a provider, or None when it has none (an empty key is none)."""
    return (config.api_key.get_secret_value().strip() or None) if config.api_key else None


def _check_address(spec: ModelSpec) -> None:
    problem = check_web_address(spec.base_url) if spec.base_url is not None else None
    if problem is not None:
        raise ModelError(
            f"the address of provider {spec.config.id!r} {problem}",
            hint="write it like `http://localhost:8000/v1`, without user, password or query; a key goes into `api_key`",
            details={"provider": spec.config.id, "model": spec.model_name},
        )


def _missing_package(spec: ModelSpec, error: ImportError) -> ModelError:
    extra = PROVIDERS[spec.config.type].extra
    return ModelError(
        f"provider {spec.config.id!r} is of type {spec.config.type!r}, whose package is not installed ({error.name})",
        hint=extra_hint(extra) if extra else "install Compozy again: the package is one of its requirements",
        details={"provider": spec.config.id, "model": spec.model_name},
    )
