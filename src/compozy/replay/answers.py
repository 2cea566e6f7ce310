"""Checks recorded answers when a cassette is read, so that an edit by hand is reported with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, cast

from pydantic import Field, JsonValue, StrictInt, StrictStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from compozy.boundary import RequestKind
from compozy.config.nodes import Node, YamlPath, child, node_at, place_at
from compozy.config.settings import Section
from compozy.config.words import describe, join_choices, show_value
from compozy.errors import Diagnostic
from compozy.nearest import suggest

_TAG = "part_kind"
_HINT = "correct it, or delete this request and run `compozy test --mode refresh`"


class _Cost(Section):
    micros: StrictInt | None = None
    source: StrictStr = ""


class _ToolAnswer(Section):
    outcome: Literal["ok", "failed", "denied", "unknown"]
    content: JsonValue
    duration_ms: StrictInt = 0
    truncated: bool = False
    files: list[dict[str, JsonValue]] = Field(default_factory=list[dict[str, JsonValue]])


class _Error(Section):
    code: StrictStr
    message: StrictStr
    details: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class _Passage(Section):
    knowledge_base_id: StrictStr = ""
    document: StrictStr
    title: StrictStr
    text: StrictStr
    score: float = 0.0
    chunk: StrictInt = 0
    page: StrictInt = 1


class _NoPassage(Section):
    knowledge_base_id: StrictStr = ""
    fallback: StrictStr


class _Turn(Section):
    first: StrictInt
    last: StrictInt
    tokens: StrictInt
    score: float = 0.0


def check_answer(kind: RequestKind, written: Mapping[str, Any], node: Node, path: YamlPath) -> Iterator[Diagnostic]:
    """Yield what makes a recorded answer, or the error in its place, unusable.

    Args:
        kind: of the request.
        written: the keys of the recorded request that are written.
        node: the root of the cassette.
        path: of the recorded request in it.
    """
    if "error" in written and written["error"] is not None:
        yield from _faults(TypeAdapter(_Error), written["error"], node, (*path, "error"))
    elif "answer" in written:
        yield from _faults(_reader(kind), written["answer"], node, (*path, "answer"))
    elif not written.get("pending"):
        message = "missing key 'answer' in this request"
        yield Diagnostic(location=place_at(node, path), message=message, hint=_HINT, code="missing_key")


@cache
def _reader(kind: RequestKind) -> TypeAdapter[Any]:
    # The library of the models is only imported where there is an answer of one.
    if kind == "model":
        from compozy.agent.checkpoint import ModelResponse

        class ModelAnswer(Section):
            response: ModelResponse
            provider: StrictStr
            model: StrictStr
            fell_back_from: StrictStr | None
            reason: StrictStr | None
            window: StrictInt | None = None
            cost: _Cost = _Cost()

        ModelAnswer.model_rebuild(_types_namespace={"ModelResponse": ModelResponse, "_Cost": _Cost, **globals()})
        return TypeAdapter(ModelAnswer)
    if kind == "attachment":
        from compozy.agent.attachment.read import Attachment

        return TypeAdapter(Attachment)
    if kind == "tools":
        from compozy.tool.kind import ToolSpec

        return TypeAdapter(list[ToolSpec])
    return TypeAdapter(_ToolAnswer) if kind == "tool" else TypeAdapter(list[_Turn] | list[_Passage | _NoPassage])


def _faults(reader: TypeAdapter[Any], value: Any, node: Node, path: YamlPath) -> Iterator[Diagnostic]:
    try:
        reader.validate_python(value)
    except ValidationError as error:
        # One value can be wrong in several ways; the first is enough to correct it.
        yield _fault(error.errors(include_url=False)[0], node, path)


def _fault(error: ErrorDetails, node: Node, path: YamlPath) -> Diagnostic:
    at = _path(error, node, path)
    if error["type"] in {"missing", "missing_keyword_only_argument"}:
        message = f"missing key {error['loc'][-1]!r} in `{_name(at)}`"
        return Diagnostic(location=place_at(node, at), message=message, hint=_HINT, code="missing_key")
    if error["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        message = f"unknown key {error['loc'][-1]!r} in a recorded answer"
        return Diagnostic(location=place_at(node, at), message=message, hint=_HINT, code="unknown_key")
    if error["type"].startswith("union_tag_"):
        return _unknown_part(error, node, at)
    message, hint = describe(error["type"], error.get("ctx", {}), node_at(node, at), is_secret=False)
    return Diagnostic(location=place_at(node, at), message=f"{_name(at)}: {message}", hint=hint or _HINT, code="value")


def _unknown_part(error: ErrorDetails, node: Node, at: YamlPath) -> Diagnostic:
    context = cast("Mapping[str, Any]", error.get("ctx", {}))
    kinds = [tag.strip(" '") for tag in str(context.get("expected_tags", "")).split(",") if tag]
    expected = f"expected {join_choices(kinds)}, got " if kinds else "expected the kind of the part, got "
    message = f"{_TAG}: {expected}{show_value(node_at(node, (*at, _TAG)))}"
    hint = suggest(str(context.get("tag", "")), kinds) or _HINT
    return Diagnostic(location=place_at(node, (*at, _TAG)), message=message, hint=hint, code="value")


def _path(error: ErrorDetails, node: Node, path: YamlPath) -> YamlPath:
    """Return where an error is; the branches of unions, which Pydantic counts as steps, are left out."""
    found = node_at(node, path)
    for step in error["loc"]:
        below = child(found, step) if found is not None else None
        if below is not None:
            found, path = below, (*path, step)
    return path


def _name(path: YamlPath) -> str:
    """Return the last key of a path with the indexes behind it: `parts[0]`."""
    last = max(index for index, step in enumerate(path) if isinstance(step, str))
    return str(path[last]) + "".join(f"[{step}]" for step in path[last + 1 :])
