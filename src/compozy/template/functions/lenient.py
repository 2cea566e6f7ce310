"""The functions of dialect compozy's own: they take null where Go refuses it, and never print `<nil>`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from compozy.template.functions import builtins, conversions, dicts, lists, strings
from compozy.template.functions.registry import PARAMS, REGISTRY, Function
from compozy.template.values import INVALID, GoError, holds_null, is_list, is_map

LENIENT: dict[str, Function] = {}
"""The functions of dialect compozy that are not those of Go, by name."""

_LOADED = (builtins, conversions, lists, strings)  # They must have registered their functions by now.


def _define(names: str, signature: str, call: Callable[..., Any]) -> None:
    *types, last = signature.split()
    rest = PARAMS[last.removesuffix("...")] if last.endswith("...") else None
    params = tuple(PARAMS[name] for name in (types if rest else [*types, last]))
    for name in names.split():
        LENIENT[name] = Function(name=name, params=params, rest=rest, call=call, group="lenient")


def has_key(table: Any, key: str) -> bool:
    """Return whether the map has the key; null has none."""
    if table is None:
        return False
    return key in PARAMS["map"].check(table)


def dig(*args: Any) -> Any:
    """Return the value at a path of keys, or the default: also where null or another value stands in the way."""
    if len(args) < 3:
        return dicts.dig(*args)
    *path, default, table = args
    for key in path:
        if not isinstance(key, str):
            raise GoError("the keys of a path are strings")
        if not is_map(table) or key not in table:
            return default
        table = table[key]
    return table


def ternary(yes: Any, no: Any, test: Any) -> Any:
    """Return the first value when the test holds, else the second; null does not hold."""
    return yes if test is not None and PARAMS["bool"].check(test) else no


def _printing(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that prints its arguments: no null, and nothing that holds null."""

    def refuse_null(*args: Any) -> Any:
        _refuse_null(args)
        return call(*args)

    return refuse_null


def _skipping(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves out arguments that are null: no others may hold null."""

    def refuse_null_inside(*args: Any) -> Any:
        _refuse_null(arg for arg in args if arg is not None and arg is not INVALID)
        return call(*args)

    return refuse_null_inside


def _skipping_items(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves out items of a list that are null: no others may hold null."""

    def refuse_null_inside(*args: Any) -> Any:
        if is_list(args[-1]):
            _refuse_null(item for item in args[-1] if item is not None)
        return call(*args)

    return refuse_null_inside


def _refuse_null(values: Iterable[Any]) -> None:
    for value in values:
        if value is None or value is INVALID:
            raise GoError("the value is null, which has no text", hint="give it one with `default`")
        if holds_null(value):
            raise GoError("the value holds null, which has no text", hint="write it with `toJson`")


_define("hasKey", "any string", has_key)
_define("dig", "any...", dig)
_define("ternary", "any any any", ternary)
for _names, _make in (
    ("html js print printf println toString urlquery", _printing),
    ("cat quote squote", _skipping),
    ("join sortAlpha toStrings", _skipping_items),
):
    for _name in _names.split():
        LENIENT[_name] = replace(REGISTRY[_name], call=_make(REGISTRY[_name].call))
for _name, _of in (("htmlEscape", "html"), ("htmlAttrEscape", "html"), ("jsEscape", "js")):
    LENIENT[_name] = replace(LENIENT[_of], name=_name)
