"""Go's own functions that are not comparisons: and, or, index, len, call, print, html, js, urlquery."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import quote_plus

from compozy.template.functions.bytetext import on_chars
from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.literals import is_print, to_bytes
from compozy.template.printf import sprintf
from compozy.template.printing import print_values, show
from compozy.template.values import INVALID, GoError, Uint8, describe_key_type, is_int, is_list, is_map, type_name

_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


@function("and or", "value value...")
def decide(*_: Any) -> NoReturn:
    """Stand for `and` and `or`, which the compiler builds itself since they stop at the first argument that decides."""
    raise NotImplementedError


@function("index", "value value...")
def index(item: Any, *keys: Any) -> Any:
    """Return the item of a list, map or string at each of the keys in turn."""
    if item is None or item is INVALID:
        raise GoError("index of untyped nil")
    for key in keys:
        item = _index_one(item, key)
    return item


def _index_one(item: Any, key: Any) -> Any:
    if item is None:
        raise GoError("index of nil pointer")
    if is_map(item):
        return _index_map(item, key)
    if is_list(item):
        return item[_position(key, len(item), "slice")]
    if isinstance(item, str):
        data = to_bytes(item)
        return Uint8(data[_position(key, len(data), "string")])
    raise GoError(f"can't index item of type {type_name(item).removeprefix('*')}")


def _index_map(item: dict[str, Any], key: Any) -> Any:
    if key is None or key is INVALID:
        raise GoError("value is nil; should be of type string")
    if not isinstance(key, str):
        raise GoError(describe_key_type(key))
    return item.get(key, "" if type_name(item) == "map[string]string" else None)


def _position(key: Any, size: int, kind: str) -> int:
    if key is None or key is INVALID:
        raise GoError("cannot index slice/array with nil")
    if not is_int(key):
        raise GoError(f"cannot index slice/array with type {type_name(key)}")
    if key < 0 or key > size:
        raise GoError(f"index out of range: {key}")
    if key == size:  # Go's own check lets this one pass, and reflection then panics.
        raise GoError(f"reflect: {kind} index out of range")
    return int(key)


@function("len", "value")
def length(item: Any) -> int:
    """Return the number of items of a list or map, or of bytes of a string."""
    if isinstance(item, str):
        return len(item) if item.isascii() else len(to_bytes(item))
    if is_map(item) or is_list(item):
        return len(item)
    if item is INVALID:
        raise GoError("reflect: call of reflect.Value.Type on zero Value")
    if item is None:
        raise GoError("len of nil pointer")
    raise GoError(f"len of type {type_name(item).removeprefix('*')}")


@function("call", "value value...", walks=True)
def call(callee: Any, *_: Any, shown: str = "") -> NoReturn:
    """Refuse to call: JSON data holds no functions. `shown` is the callee as the template has it."""
    if callee is None or callee is INVALID:
        raise GoError("call of nil")
    raise GoError(f"non-function {shown or show(callee)} of type {type_name(callee)}")


@function("print", "any...", counted=True, walks=True)
def print_plain(budget: Budget, *values: Any) -> str:
    """Return the values as text, with a space between two that are both no strings."""
    return _counted(budget, print_values(values))


@function("println", "any...", counted=True, walks=True)
def print_line(budget: Budget, *values: Any) -> str:
    """Return the values as text with a space between each two, and a line end."""
    return _counted(budget, " ".join(show(value) for value in values) + "\n")


@function("printf", "string any...", counted=True, walks=True)
def print_formatted(budget: Budget, layout: str, *values: Any) -> str:
    """Return the values as the layout says, with Go's verbs: `%s`, `%d`, `%5.2f`, `%q`, `%v` and the others."""
    # A layout may print an argument several times: `%[1]v %[1]v`.
    if times := layout.count("["):
        for value in values:
            budget.visit(value, times=times)
    return _counted(budget, sprintf(layout, *values))


def _counted(budget: Budget, text: str) -> str:
    budget.build(len(text))
    return text


def _evaluate(values: tuple[Any, ...]) -> str:
    """Return the arguments of an escaping function as one text."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return print_values("<no value>" if value is None or value is INVALID else value for value in values)


@function("html", "any...", counted=True, walks=True)
def escape_html(budget: Budget, *values: Any) -> str:
    """Return the values as text for HTML."""
    return _counted(budget, _evaluate(values).translate(_HTML))


@function("js", "any...", counted=True, walks=True)
def escape_js(budget: Budget, *values: Any) -> str:
    """Return the values as text for a JavaScript string."""
    return _counted(budget, on_chars(_escape_js_char, _evaluate(values)))


def _escape_js_char(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if char < " ":
        return f"\\u{ord(char):04X}"
    if char <= "\x7f" or is_print(char):
        return char
    if "\udc80" <= char <= "\udcff":
        return "\\uFFFD"
    return f"\\u{ord(char):04X}"


@function("urlquery", "any...", counted=True, walks=True)
def escape_query(budget: Budget, *values: Any) -> str:
    """Return the values as text for the query of a URL."""
    return _counted(budget, quote_plus(to_bytes(_evaluate(values)), safe="~-_."))
