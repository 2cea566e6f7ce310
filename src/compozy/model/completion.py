"""Chat completions as servers really send them: what is wrong in shape is mended, and errors in them are found."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from openai.types.chat import ChatCompletion
from pydantic_ai.exceptions import UnexpectedModelBehavior

from compozy.ids import new_call_id
from compozy.jsoninput import parse_json, replace_surrogates
from compozy.model.failure import UNKNOWN_STATUS, ErrorInAnswer

# Other words for OpenAI's, by servers and models.
_FINISH_REASONS = {
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "safety": "content_filter",
}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
# Status of an error whose code is a word, by what the word holds.
_STATUSES = (
    ("rate", 429),
    ("overload", 529),
    ("timeout", 504),
    ("auth", 401),
    ("permission", 403),
    ("not_found", 404),
    ("invalid", 400),
    ("context_length", 400),
)
_REASONING = ("reasoning", "reasoning_content")
# Kinds of parts that a message is sent in by some servers.
_REASONING_PARTS = frozenset({"thinking", "reasoning", "reasoning_content", "thought", "redacted_thinking"})
# The key for errors of servers that do not use `error`.
_ERRORS = ("error", "errors", "base_resp", "error_msg", "error_message", "detail", "msg")
_MAX_EXCERPT = 200


def read_completion(answer: ChatCompletion | str, model_name: str) -> ChatCompletion:
    """Return a completion with the fields that an answer is read from, all of the types that OpenAI specifies.

    Raises:
        ErrorInAnswer: it is an error.
        UnexpectedModelBehavior: it is not a chat completion.
    """
    document = _to_document(answer)
    choices = document.get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    error = choice.get("error") or document.get("error") or (not choices and _other_error(document))
    if error:
        raise ErrorInAnswer(_status_of(error, document), model_name, body=error)
    message = choice.get("message")
    if not isinstance(message, dict) or isinstance(cast("dict[str, Any]", message).get("content"), dict):
        raise UnexpectedModelBehavior(f"it holds no `choices` with a message: {_excerpt(document)}")
    return ChatCompletion.model_validate(
        {
            "id": _text(document.get("id")) or "",
            "object": "chat.completion",
            "created": _count(document.get("created")),
            "model": _text(document.get("model")) or model_name,
            "choices": [_clean_choice(choice, cast("dict[str, Any]", message))],
            "usage": _clean_usage(document.get("usage")),
        }
    )


def _to_document(answer: ChatCompletion | str) -> dict[str, Any]:
    """Return the JSON object of an answer; the package hands over text where the media type is not JSON."""
    found: Any = answer
    if isinstance(answer, str):
        try:
            found = parse_json(answer, lenient=True)
        except ValueError as error:
            raise UnexpectedModelBehavior(f"it is not JSON: {' '.join(answer.split())[:100]!r}") from error
    elif isinstance(cast("object", answer), ChatCompletion):
        found = {key: value for key, value in answer.model_dump(warnings=False).items() if value is not None}
    found = _only(found)
    if not isinstance(found, dict):
        raise UnexpectedModelBehavior(f"it is not a JSON object: {_excerpt(found)}")
    return cast("dict[str, Any]", found)


def _only(value: Any) -> Any:
    """Return the item of a list of one, which some servers put objects into; other values as they are."""
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return items[0] if len(items) == 1 else cast("Any", value)


def _excerpt(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:_MAX_EXCERPT]


def _other_error(document: dict[str, Any]) -> object:
    """Return the error in a document without choices, None if it has none."""
    for name in _ERRORS:
        if document.get(name):
            found = _only(document[name])
            # A text next to a code: both are useful.
            return _dict(found) or document
    return document if document.get("object") == "error" or isinstance(document.get("message"), str) else None


def status_of_error(error: object) -> int:
    """Return the HTTP status that an error in a stream stands for."""
    return _status_of(error, {})


def _status_of(error: object, document: dict[str, Any]) -> int:
    fields = _dict(error)
    for value in (fields.get("code"), fields.get("status"), document.get("code"), document.get("status")):
        digits = str(value)
        if digits.isdigit() and 400 <= int(digits[:4]) <= 599:
            return int(digits)
    words = f"{fields.get('code')} {fields.get('type')}".lower()
    return next((status for word, status in _STATUSES if word in words), UNKNOWN_STATUS)


def _clean_choice(choice: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    reason = choice.get("finish_reason")
    word = reason.lower() if isinstance(reason, str) and reason else "stop"
    known = _FINISH_REASONS.get(word, word)
    if known not in ("stop", "length", "content_filter", "tool_calls", "function_call"):
        known = "stop"
    text, thought = _content(message.get("content"))
    content = {"content": text, "refusal": _text(message.get("refusal"))}
    thoughts = {name: text for name in _REASONING if (text := _text(message.get(name)))}
    if thought and not thoughts:
        thoughts = {"reasoning_content": thought}
    calls = _tool_calls(message)
    return {
        "index": 0,
        "finish_reason": "tool_calls" if calls else known,
        "message": {"role": "assistant", **content, **thoughts, **({"tool_calls": calls} if calls else {})},
    }


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of tools in a message; some servers send no IDs, arguments as an object, or the old call."""
    listed: Any = message.get("tool_calls")
    calls = [_dict(call) for call in cast("list[Any]", listed)] if isinstance(listed, list) else []
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    found: list[dict[str, Any]] = []
    for call in calls:
        function = _dict(call.get("function"))
        name, arguments = _text(function.get("name")), function.get("arguments")
        if not name:
            continue
        text = _text(arguments) if arguments is None or isinstance(arguments, str) else json.dumps(arguments)
        called = {"name": name.strip(), "arguments": text or "{}"}
        found.append({"id": _text(call.get("id")) or new_call_id(), "type": "function", "function": called})
    return found


def _content(content: Any) -> tuple[str | None, str]:
    """Return the text of a message and the reasoning in it; some servers send both in parts."""
    if not isinstance(content, list):
        return _text(content), ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in cast("list[Any]", content):
        fields = _dict(part)
        kind = str(fields.get("type"))
        is_thought = kind in _REASONING_PARTS
        found: Any = fields.get("text") or fields.get(kind if is_thought else "text")
        inner = _content(found)[0] if isinstance(found, list) else found
        (thoughts if is_thought else texts).append(_text(part) or _text(inner) or "")
    return "".join(texts), "".join(thoughts)


def _clean_usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    fields = cast("dict[str, Any]", usage)
    return {name: _count(fields.get(name)) for name in _COUNTS}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0
    return min(max(0, int(value)), 2**53)


def _text(value: Any) -> str | None:
    return replace_surrogates(value) if isinstance(value, str) else None


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
