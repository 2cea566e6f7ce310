"""Checks of `llm.providers`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from compozy.config.addresses import check_web_address
from compozy.config.nodes import key_place_at, place_at, text_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.model.kind import WrittenProvider
from compozy.model.registry import PROVIDERS, kinds_accepting
from compozy.nearest import suggest
from compozy.project.check_models import check_fallback, check_params
from compozy.project.outline import ProjectOutline, ProviderOutline, called_ids, id_place
from compozy.project.paths import absolute


def check_providers(project: ProjectOutline, root: Path) -> Iterator[Diagnostic]:
    """Yield what is wrong with the providers; `root` is the project's folder."""
    yield from _check_ids(project.providers)
    yield from _check_fallbacks(project.providers)
    tasks = [task for workflow in project.workflows for task in workflow.list.walk()]
    called = [name for task in tasks for name in called_ids(task.node)]
    task_ids = frozenset([*(task.id for task in tasks), *called]) if project.knows_workflows else None
    for provider in project.providers:
        yield from _check_keys(provider)
        yield from check_params(provider.node, provider)
        yield from _check_kind(provider, root, task_ids)
        yield from _check_address(provider)


def _check_ids(providers: tuple[ProviderOutline, ...]) -> Iterator[Diagnostic]:
    first: dict[str, SourceLocation] = {}
    for provider in providers:
        place = id_place(provider.node)
        if provider.id and provider.id in first:
            message = f"duplicate provider id {provider.id!r}, first in line {first[provider.id].line}"
            yield Diagnostic(location=place, message=message, code="duplicate_id")
        first.setdefault(provider.id, place)


def _check_fallbacks(providers: tuple[ProviderOutline, ...]) -> Iterator[Diagnostic]:
    by_id = {provider.id: provider for provider in reversed(providers) if provider.id}
    reported: set[str] = set()
    for provider in providers:
        found = check_fallback(provider.node, provider, providers)
        yield from (fault for fault in found if isinstance(fault, Diagnostic))
        if not provider.missing_key_fallback:
            continue
        place = place_at(provider.node, ("missing_key_fallback",))
        if provider.missing_key_fallback not in by_id:
            others = [each for each in dict.fromkeys(each.id for each in providers) if each not in {"", provider.id}]
            known = f"the other providers are {', '.join(others)}" if others else "add another provider"
            hint = suggest(provider.missing_key_fallback, others) or known
            message = f"missing_key_fallback: unknown provider {provider.missing_key_fallback!r}"
            yield Diagnostic(location=place, message=message, hint=hint, code="reference")
            continue
        circle = _circle(provider.id, by_id)
        if circle and not reported & set(circle):
            reported |= set(circle)
            message = f"missing_key_fallback goes in a circle: {' -> '.join([*circle, circle[0]])}"
            yield Diagnostic(location=place, message=message, code="cycle")


def _circle(start: str, by_id: dict[str, ProviderOutline]) -> list[str]:
    """Return the ids of the circle that leads back to `start`, [] when there is none."""
    seen = [start]
    following = by_id[start].missing_key_fallback if start in by_id else ""
    while following in by_id and following not in seen:
        seen.append(following)
        following = by_id[following].missing_key_fallback
    return seen if following == start else []


def _check_keys(provider: ProviderOutline) -> Iterator[Diagnostic]:
    if provider.type not in PROVIDERS:
        return
    for entry in provider.node.entries:
        kinds = sorted(kinds_accepting(entry.key))
        if kinds and provider.type not in kinds:
            message = f"{entry.key!r} means nothing to a provider of type {provider.type}"
            hint = f"it is for {', '.join(kinds)}"
            yield Diagnostic(location=entry.key_place, message=message, hint=hint, code="provider")


def _check_kind(provider: ProviderOutline, root: Path, task_ids: frozenset[str] | None) -> Iterable[Diagnostic]:
    kind = PROVIDERS.get(provider.type)
    if kind is None:
        return ()
    path = text_at(provider.node, "path")
    written = WrittenProvider(
        node=provider.node, root=root, path=absolute(path, root) if path else None, task_ids=task_ids
    )
    return kind.check(written)


def _check_address(provider: ProviderOutline) -> Iterator[Diagnostic]:
    problem = check_web_address(text_at(provider.node, "base_url"))
    if problem is not None:
        place = key_place_at(provider.node, ("base_url",))
        yield Diagnostic(location=place, message=f"base_url: {problem}", code="value")
