"""Checks of what names a model: the provider of an agent, and the models of a `fallback`."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.nodes import MappingNode, NodePath, node_at, place_at, text_at
from compozy.errors import Diagnostic
from compozy.nearest import suggest
from compozy.project.outline import map_items


def check_models(node: MappingNode, path: NodePath, provider_ids: list[str]) -> Iterator[Diagnostic]:
    """Yield faults of the provider and the `fallback` of the agent at `path`."""
    yield from check_provider_name(node, (*path, "llm"), provider_ids)
    yield from check_fallback(node, path, provider_ids)


def check_fallback(node: MappingNode, path: NodePath, provider_ids: list[str]) -> Iterator[Diagnostic]:
    """Yield faults of the `fallback` of the agent or provider at `path`."""
    above = node_at(node, path)
    for _, model in map_items(above, "fallback", "models") if isinstance(above, MappingNode) else ():
        yield from check_provider_name(model, ("llm",), provider_ids)


def check_provider_name(node: MappingNode, path: NodePath, provider_ids: list[str]) -> Iterator[Diagnostic]:
    """Yield a fault if the text at `path` names no provider."""
    llm = text_at(node, *path)
    if llm and llm not in provider_ids:
        known = f"the providers are {', '.join(provider_ids)}" if provider_ids else "add it under `llm.providers`"
        message = f"llm: there is no provider {llm!r}"
        yield Diagnostic(
            location=place_at(node, path), message=message, hint=suggest(llm, provider_ids) or known, code="reference"
        )
