"""Pydantic errors as messages for the author of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode
from compozy.nearest import suggest

_LONGEST_SHOWN = 60
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_PATTERNS = {
    r"^[^\x00-\x1f\x7f]{1,128}$": "1 to 128 characters that can be seen",
    r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$": "letters, digits, `_` and `-`, at most 128, the first a letter or `_`",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "letters, digits, `.`, `_` and `-`, at most 64, the first a letter or digit",
    r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,20}$": "names or numbers, joined with dots",
    r"^(?:[A-Za-z_]|\{\{[^{}]*\}\})(?:[A-Za-z0-9_-]|\{\{[^{}]*\}\}){0,127}$": (
        "letters, digits, `_` and `-`, at most 128, the first a letter or `_`"
    ),
}

Words = tuple[str, str]
_Context = Mapping[str, Any]

_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "a date and time, such as 2027-01-01T00:00:00Z",
    ),
    "union_tag_not_found": "a list or a map",
}


def describe(kind: str, context: _Context, node: Node | None, *, is_secret: bool) -> Words:
    """Return message and hint for an error of Pydantic's type `kind` in the value `node`.

    Args:
        kind: the error's `type`, see docs.pydantic.dev/latest/errors/validation_errors.
        context: the error's `ctx`.
        node: the value.
        is_secret: the value must not be shown.
    """
    got = show_value(node, is_secret=is_secret)
    if kind == "literal_error":
        return _describe_choice(context, node, got)
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {got}", _hint_of_switch(kind, node)
    if kind in _SPECIAL:
        return _SPECIAL[kind](context, got), ""
    return f"not a valid value, got {got}", ""


def describe_without_value(kind: str, context: _Context) -> str | None:
    """Return the message for an error of Pydantic's type `kind` in a value that is not shown; None for other types."""
    if kind in ("literal_error", "enum"):
        return _describe_choice(context, None, "")[0].removesuffix(", got ")
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}"
    if kind in _SPECIAL:
        return _SPECIAL[kind](context, "").removesuffix(", got ")
    return {"missing": "required", "extra_forbidden": "unknown key"}.get(kind)


def show_value(node: Node | None, *, is_secret: bool = False) -> str:
    """Return the value for a message: short, a secret only by its kind."""
    if isinstance(node, MappingNode):
        return "a map"
    if isinstance(node, SequenceNode):
        return "a list"
    if node is None or node.value is None:
        return "nothing"
    variables = " and ".join(node.variables)
    if is_secret or any(_is_secret_name(name) for name in node.variables):
        return f"what {variables} holds" if variables else "something else"
    text = node.text if len(node.text) <= _LONGEST_SHOWN else node.text[: _LONGEST_SHOWN - 3] + "..."
    shown = repr(text) if isinstance(node.value, str) else text
    is_named = not variables or node.place.file.endswith(f" {variables}")
    return shown if is_named else f"{shown} from {variables}"


def join_choices(choices: list[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else "".join(choices)


def _hint_of_switch(kind: str, node: Node | None) -> str:
    """Return a hint for who writes YAML 1.1, in which `no` was false."""
    word = _SWITCHES.get(node.text.lower()) if isinstance(node, ScalarNode) and kind == "bool_type" else None
    return f"write {word}" if word else ""


def _is_secret_name(name: str) -> bool:
    return any(word in name.upper() for word in ("KEY", "SECRET", "TOKEN", "PASS", "CONN"))


def _describe_choice(context: _Context, node: Node | None, got: str) -> Words:
    choices = [word.strip("'") for word in str(context.get("expected", "")).replace(" or ", ", ").split(", ")]
    text = node.text if isinstance(node, ScalarNode) else ""
    return f"expected {join_choices(choices)}, got {got}", suggest(text, choices)


def _count(number: Any, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _too_short_text(context: _Context, got: str) -> str:
    least = context["min_length"]
    return "must not be empty" if least == 1 else f"expected at least {_count(least, 'character')}, got {got}"


def _too_short_list(context: _Context, _: str) -> str:
    least = context["min_length"]
    return "must not be empty" if least == 1 else f"expected at least {_count(least, 'item')}"


def _pattern(context: _Context, got: str) -> str:
    pattern = str(context["pattern"])
    return f"expected {_PATTERNS.get(pattern, f'a string that matches {pattern}')}, got {got}"


_SPECIAL: dict[str, Callable[[_Context, str], str]] = {
    "string_too_short": _too_short_text,
    "string_too_long": lambda context, _: f"expected at most {_count(context['max_length'], 'character')}",
    "too_short": _too_short_list,
    "too_long": lambda context, _: f"expected at most {_count(context['max_length'], 'item')}",
    "string_pattern_mismatch": _pattern,
    "greater_than_equal": lambda context, got: f"expected at least {context['ge']:g}, got {got}",
    "greater_than": lambda context, got: f"expected more than {context['gt']:g}, got {got}",
    "less_than_equal": lambda context, got: f"expected at most {context['le']:g}, got {got}",
    "less_than": lambda context, got: f"expected less than {context['lt']:g}, got {got}",
    "value_error": lambda context, _: str(context["error"]),
}
