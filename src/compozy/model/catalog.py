"""The providers of a project, and the choice of the model that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compozy.errors import ModelError
from compozy.model.config import ProviderConfig, default_model, own_price
from compozy.model.kind import DEFAULT_WINDOW
from compozy.model.params import to_settings
from compozy.model.price import PriceConfig
from compozy.model.pricelist import NamedModel
from compozy.model.provider import (
    BuiltModel,
    ModelSpec,
    base_url_of,
    build_model,
    load_builder,
    needs_key,
    read_key,
)
from compozy.model.registry import PROVIDERS

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

    from compozy.model.limits import Pace, ProviderLimits


@dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """The model that answers a request.

    Attributes:
        window: tokens of prompt and answer together that may be counted on.
        price: what its tokens cost; None if that is not written down.
        fell_back_from: id of the provider that was asked for, when another one answers.
        reason: why the provider that was asked for does not answer.
    """

    model: Model
    provider_id: str
    provider_type: str
    model_name: str
    window: int = DEFAULT_WINDOW
    price: PriceConfig | None = None
    fell_back_from: str | None = None
    reason: str | None = None


class ModelCatalog:
    """The providers of one project. Models are built when they are first asked, and kept.

    A catalog belongs to one event loop: limits and connections are shared by everything that asks through it.

    Args:
        providers: `llm.providers`, in the order of the file; the first one is the default.
        missing_keys: provider id -> name of the variable in `api_key` that is unset or empty.
        environ: the environment, with `.env` merged in.
        base_dir: the project's folder, from which relative paths count.
        pace: time and chance for limits and retries; tests hold them.
    """

    def __init__(
        self,
        providers: Sequence[ProviderConfig],
        *,
        missing_keys: Mapping[str, str],
        environ: Mapping[str, str],
        base_dir: Path,
        pace: Pace | None = None,
    ) -> None:
        self.is_loaded = False
        self._providers = {provider.id: provider for provider in providers}
        self._missing_keys = dict(missing_keys)
        self._environ = environ
        self._base_dir = base_dir
        self._pace = pace
        self._built: dict[tuple[str, str], BuiltModel] = {}
        self._limits: dict[str, ProviderLimits] = {}

    def load(self) -> None:
        """Load the libraries of the providers that can answer; a second, better spent in a thread than at first use."""
        for provider in self._providers.values():
            # A provider's error is reported when it is asked.
            with suppress(ModelError, ImportError):
                chosen, _ = self._follow_fallback(provider)
                load_builder(chosen)
        self.is_loaded = True

    def resolve(self, llm: str | None, model: str | None) -> ResolvedModel:
        """Return the model of provider `llm`, or of the one that stands in for it when it has no key.

        Args:
            llm: provider id, None for the first provider.
            model: model name, None for the provider's own. A provider that stands in takes its own model: the name
                means nothing to it.

        Raises:
            ModelError: no such provider, no key and nothing to fall back to, or a package or file is missing.
        """
        asked = self._find(llm)
        chosen, reasons = self._follow_fallback(asked)
        name = model if model and chosen is asked else default_model(chosen)
        return ResolvedModel(
            model=self._model(chosen, name),
            provider_id=chosen.id,
            provider_type=chosen.type,
            model_name=name,
            window=PROVIDERS[chosen.type].window,
            price=own_price(chosen),
            fell_back_from=None if chosen is asked else asked.id,
            reason="; ".join(reasons) or None,
        )

    def describe(self, llm: str | None, model: str | None) -> tuple[dict[str, str], ModelSettings]:
        """Return how the files name a model, as JSON, and the parameters of its provider. Needs no key and no package.

        Raises:
            ModelError: no such provider.
        """
        provider = self._find(llm)
        name = model or provider.model
        names = {"provider": provider.id, "type": provider.type, **({"model": name} if name else {})}
        return names, to_settings(provider)

    def named(self, llm: str | None, model: str | None) -> NamedModel:
        """Return a model as the files name it, whether or not its key is set.

        Raises:
            ModelError: no such provider.
        """
        provider = self._find(llm)
        name, url = model or default_model(provider), base_url_of(provider, self._environ)
        return NamedModel(provider=provider, model=name, url=url)

    async def aclose(self) -> None:
        """Close the connections to all providers. The catalog builds new ones when it is asked again."""
        built, self._built = list(self._built.values()), {}
        for item in built:
            if item.close is not None:
                await item.close()

    def _find(self, llm: str | None) -> ProviderConfig:
        if not self._providers:
            raise ModelError(
                "the project has no model provider",
                hint="add one to `llm.providers` in compozy.yaml, e.g. `type: local`",
            )
        if llm is None:
            return next(iter(self._providers.values()))
        if llm not in self._providers:
            known = ", ".join(repr(provider_id) for provider_id in self._providers)
            raise ModelError(f"unknown provider {llm!r}", hint=f"`llm.providers` has: {known}")
        return self._providers[llm]

    def _follow_fallback(self, asked: ProviderConfig) -> tuple[ProviderConfig, list[str]]:
        reasons: list[str] = []
        chosen, seen = asked, {asked.id}
        while (reason := self._why_no_key(chosen)) is not None:
            reasons.append(reason)
            if chosen.missing_key_fallback is None or chosen.missing_key_fallback in seen:
                raise self._no_key(asked, chosen, reasons)
            chosen = self._find(chosen.missing_key_fallback)
            seen.add(chosen.id)
        return chosen, reasons

    def _why_no_key(self, provider: ProviderConfig) -> str | None:
        if read_key(provider) is not None or not needs_key(provider, self._environ):
            return None
        missing = self._missing_keys.get(provider.id)
        return f"{missing} is not set" if missing else f"provider {provider.id!r} has no `api_key`"

    def _no_key(self, asked: ProviderConfig, last: ProviderConfig, reasons: list[str]) -> ModelError:
        variable = self._missing_keys.get(last.id)
        way = (
            f"set {variable} in the environment or in .env"
            if variable
            else f"add `api_key: ${{{PROVIDERS[last.type].key_variable}}}` to it"
        )
        return ModelError(
            f"provider {asked.id!r} cannot be used: {'; '.join(reasons)}",
            hint=f"{way}, or add `missing_key_fallback: <provider>` to provider {last.id!r}",
            details={"provider": asked.id, **({"variable": variable} if variable else {})},
        )

    def _model(self, provider: ProviderConfig, name: str) -> Model:
        if (provider.id, name) not in self._built:
            self._built[provider.id, name] = self._build(provider, name)
        return self._built[provider.id, name].model

    def _build(self, provider: ProviderConfig, name: str) -> BuiltModel:
        from compozy.model.limits import LimitedModel, Pace, ProviderLimits

        spec = ModelSpec(
            config=provider,
            model_name=name,
            base_url=base_url_of(provider, self._environ),
            base_dir=self._base_dir,
            environ=self._environ,
        )
        built = build_model(spec)
        pace = self._pace or Pace()
        limits = self._limits.setdefault(provider.id, ProviderLimits(provider, pace))
        return BuiltModel(model=LimitedModel(built.model, spec, limits, pace), close=built.close)
