"""Checks of what names a model: the provider of an agent, its parameters, and the models of a `fallback`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compozy.config.nodes import MappingNode, YamlPath, node_at, place_at, text_at
from compozy.errors import Diagnostic
from compozy.model.params import PARAMS
from compozy.model.registry import PROVIDERS
from compozy.nearest import suggest
from compozy.project.outline import ProviderOutline, map_items


def check_models(node: MappingNode, path: YamlPath, providers: Sequence[ProviderOutline]) -> Iterator[Diagnostic]:
    """Yield diagnostics of the provider, the parameters and the `fallback` of the agent at `path`."""
    yield from check_provider_name(node, (*path, "llm"), providers)
    yield from check_provider_name(node, (*path, "compaction", "llm"), providers)
    agent = node_at(node, path)
    name = text_at(node, *path, "llm")
    provider = next((each for each in providers if each.id == name or not name), None)
    if not isinstance(agent, MappingNode) or provider is None:
        return
    yield from check_params(agent, provider)
    for other in check_fallback(agent, provider, providers):
        if isinstance(other, Diagnostic):
            yield other
        elif other is not provider:
            # The parameters of an agent are those of each of its models.
            yield from check_params(agent, other)


def check_fallback(
    node: MappingNode, provider: ProviderOutline, providers: Sequence[ProviderOutline]
) -> Iterator[Diagnostic | ProviderOutline]:
    """Yield diagnostics of the `fallback` in `node`, and the providers that it names after `provider`."""
    for _, model in map_items(node, "fallback", "models"):
        yield from check_provider_name(model, ("llm",), providers)
        name = text_at(model, "llm")
        found = next((each for each in providers if each.id == name), None if name else provider)
        if found is not None:
            yield from check_params(model, found)
            yield found


def check_params(node: MappingNode, provider: ProviderOutline) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each parameter in `node` that models of `provider` do not accept."""
    for entry in node.entries:
        if entry.key in PARAMS and entry.key not in provider.params:
            message = f"models of provider {provider.id!r} (type {provider.type}) do not accept {entry.key!r}"
            hint = f"leave it out; it is for {', '.join(_accepting(entry.key))}"
            yield Diagnostic(location=entry.key_place, message=message, hint=hint, code="provider")
        elif entry.key == "thinking" and not _takes_tokens(provider) and text_at(node, "thinking").isdigit():
            message = f"models of provider {provider.id!r} (type {provider.type}) take levels of `thinking`, not tokens"
            hint = "write `low`, `medium` or `high`"
            yield Diagnostic(location=entry.key_place, message=message, hint=hint, code="provider")


def _takes_tokens(provider: ProviderOutline) -> bool:
    kind = PROVIDERS.get(provider.type)
    return kind is None or kind.thinking_tokens is not None


def _accepting(param: str) -> Iterator[str]:
    for kind in PROVIDERS.values():
        if param in kind.params:
            yield kind.name
        elif param in kind.compatible_params:
            yield f"{kind.name} with a `base_url`"


def check_provider_name(
    node: MappingNode, path: YamlPath, providers: Sequence[ProviderOutline]
) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the text at `path` names no provider."""
    llm, ids = text_at(node, *path), [provider.id for provider in providers if provider.id]
    if llm and llm not in ids:
        known = _new_provider(llm) or (f"the providers are {', '.join(ids)}" if ids else "add it under `llm.providers`")
        message = f"llm: unknown provider {llm!r}"
        yield Diagnostic(
            location=place_at(node, path), message=message, hint=suggest(llm, ids) or known, code="reference"
        )


def _new_provider(llm: str) -> str:
    """Return how to add a provider that is named by its type, "" if it is not a type."""
    kind = PROVIDERS.get(llm)
    if kind is None:
        return ""
    key = f", api_key: ${{{kind.key_variable}}}" if kind.key_variable else ""
    return f"add `{{id: {llm}, type: {llm}{key}}}` to `llm.providers`"
