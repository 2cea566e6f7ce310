"""A script in compozy.yaml, for tests, examples and dry runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, place_at
from compozy.errors import Diagnostic
from compozy.model.kind import ProviderKind, WrittenProvider
from compozy.model.params import PARAMS
from compozy.nearest import suggest

# The part of an ID that is known only when a collection runs.
_ACTION = re.compile(r"\{\{[^{}]*\}\}")
_ANSWERS = ("text", "json", "tool_calls", "error")
# A model can write text in addition to its calls.
_TOGETHER = ["text", "tool_calls"]


def _check_responses(written: WrittenProvider) -> Iterator[Diagnostic]:
    entry = written.node.entry("responses")
    responses = entry.value if entry else None
    if responses is None or _is_empty(responses):
        place = entry.key_place if entry else place_at(written.node, ("id",))
        hint = "write `responses:` with a list of answers, such as `- text: Hello`"
        yield Diagnostic(location=place, message="a scripted provider needs responses", hint=hint, code="provider")
    if isinstance(responses, MappingNode):
        for each in responses.entries:
            if written.task_ids is not None and not _names_task(each.key, written.task_ids):
                message = f"responses: no workflow has a task {each.key!r}"
                hint = suggest(each.key, written.task_ids)
                yield Diagnostic(location=each.key_place, message=message, hint=hint, code="reference")
            yield from _check_answers(each.value)
    elif isinstance(responses, SequenceNode):
        yield from _check_answers(responses)


def _names_task(key: str, task_ids: Collection[str]) -> bool:
    """Return whether `key` is the ID of a task, or one that a task of a collection may get when it runs."""
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
        if len(written) != 1 and sorted(written) != _TOGETHER:
            found = " and ".join(written) or "none of them"
            message = f"a response has one of text, json, tool_calls or error, this one has {found}"
            yield Diagnostic(location=answer.place, message=message, code="provider")


KIND = ProviderKind(
    name="scripted",
    builder="compozy.model.scripted",
    default_model="scripted",
    keys=frozenset({"responses"}),
    # It stands in for any other model.
    params=frozenset(PARAMS),
    files=frozenset({"image", "audio", "video", "pdf"}),
    thinking_tokens=lambda tokens: {},  # noqa: ARG005 - it ignores all parameters
    is_free=True,
    is_repeatable=True,
    check=_check_responses,
)
