"""Checks of `llm.providers`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from compozy.config.addresses import check_web_address
from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, key_place_at, place_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.nearest import suggest
from compozy.project.outline import ProjectOutline, ProviderOutline, id_place, text_at
from compozy.project.paths import absolute

# The part of an id that is known only when a collection runs.
_ACTION = re.compile(r"\{\{[^{}]*\}\}")
_ANSWERS = ("text", "json", "error")
# A key that only some kinds of providers have.
_KINDS = {
    "responses": frozenset({"scripted"}),
    "path": frozenset({"local"}),
    "base_url": frozenset({"openai", "anthropic", "google", "groq", "ollama"}),
    "api_key": frozenset({"openai", "anthropic", "google", "groq", "ollama"}),
}


def check_providers(project: ProjectOutline, root: Path) -> Iterator[Diagnostic]:
    """Yield what is wrong with the providers; `root` is the project's folder."""
    yield from _check_ids(project.providers)
    yield from _check_fallbacks(project.providers)
    task_ids = (
        {task.id for workflow in project.workflows for task in workflow.list.walk()}
        if project.knows_workflows
        else None
    )
    for provider in project.providers:
        yield from _check_kind(provider)
        if provider.type == "scripted":
            yield from _check_script(provider, task_ids)
        yield from _check_path(provider, root)
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
        if not provider.fallback:
            continue
        place = place_at(provider.node, ("fallback",))
        if provider.fallback not in by_id:
            hint = suggest(provider.fallback, by_id) or f"the providers are {', '.join(by_id)}"
            message = f"fallback: there is no provider {provider.fallback!r}"
            yield Diagnostic(location=place, message=message, hint=hint, code="reference")
            continue
        circle = _circle(provider.id, by_id)
        if circle and not reported & set(circle):
            reported |= set(circle)
            message = f"fallback goes in a circle: {' -> '.join([*circle, circle[0]])}"
            yield Diagnostic(location=place, message=message, code="cycle")


def _circle(start: str, by_id: dict[str, ProviderOutline]) -> list[str]:
    """Return the ids of the circle that leads back to `start`, [] when there is none."""
    seen = [start]
    following = by_id[start].fallback if start in by_id else ""
    while following in by_id and following not in seen:
        seen.append(following)
        following = by_id[following].fallback
    return seen if following == start else []


def _check_kind(provider: ProviderOutline) -> Iterator[Diagnostic]:
    known_kinds = frozenset[str]().union(*_KINDS.values())
    for entry in provider.node.entries:
        kinds = _KINDS.get(entry.key)
        if kinds is None or provider.type in kinds or provider.type not in known_kinds:
            continue
        message = f"{entry.key!r} means nothing to a provider of type {provider.type}"
        hint = f"it is for {', '.join(sorted(kinds))}"
        yield Diagnostic(location=entry.key_place, message=message, hint=hint, code="provider")


def _check_script(provider: ProviderOutline, task_ids: set[str] | None) -> Iterator[Diagnostic]:
    entry = provider.node.entry("responses")
    responses = entry.value if entry else None
    if responses is None or _is_empty(responses):
        place = entry.key_place if entry else id_place(provider.node)
        hint = "write `responses:` with a list of answers, such as `- text: Hello`"
        yield Diagnostic(location=place, message="a scripted provider needs responses", hint=hint, code="provider")
    if isinstance(responses, MappingNode):
        for each in responses.entries:
            if task_ids is not None and not _names_task(each.key, task_ids):
                message = f"responses: no workflow has a task {each.key!r}"
                yield Diagnostic(
                    location=each.key_place, message=message, hint=suggest(each.key, task_ids), code="reference"
                )
            yield from _check_answers(each.value)
    elif isinstance(responses, SequenceNode):
        yield from _check_answers(responses)


def _names_task(key: str, task_ids: Collection[str]) -> bool:
    """Return whether `key` is the id of a task, or one that a task of a collection may get when it runs."""
    if key in task_ids:
        return True
    patterns = ("[A-Za-z0-9_-]*".join(map(re.escape, _ACTION.split(task_id))) for task_id in task_ids)
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def _is_empty(node: Node) -> bool:
    if isinstance(node, ScalarNode):
        return node.value is None
    return not (node.entries if isinstance(node, MappingNode) else node.items)


def _check_answers(node: Node) -> Iterator[Diagnostic]:
    for answer in node.items if isinstance(node, SequenceNode) else (node,):
        if not isinstance(answer, MappingNode):
            continue
        written = [entry.key for entry in answer.entries if entry.key in _ANSWERS]
        if len(written) != 1:
            found = " and ".join(written) or "none of them"
            message = f"a response has one of text, json or error, this one has {found}"
            yield Diagnostic(location=answer.place, message=message, code="provider")


def _check_path(provider: ProviderOutline, root: Path) -> Iterator[Diagnostic]:
    path = text_at(provider.node, "path")
    if not path or provider.type != "local":
        return
    place = place_at(provider.node, ("path",))
    if "\0" in path or not Path(absolute(path, root)).is_file():
        message = f"path: there is no file {path!r}"
        hint = f"a relative path counts from {root}; leave `path` out for the model that is installed"
        yield Diagnostic(location=place, message=message, hint=hint, code="reference")
    elif not path.lower().endswith(".gguf"):
        yield Diagnostic(location=place, message=f"path: {path!r} is no GGUF file", code="provider")


def _check_address(provider: ProviderOutline) -> Iterator[Diagnostic]:
    problem = check_web_address(text_at(provider.node, "base_url"))
    if problem is not None:
        place = key_place_at(provider.node, ("base_url",))
        yield Diagnostic(location=place, message=f"base_url: {problem}", code="value")
