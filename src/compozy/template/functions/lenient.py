"""The functions of dialect compozy's own: they take null where Go refuses it, and never print `<no value>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compozy.template.functions import builtins, dicts
from compozy.template.functions.registry import PARAMS, Function
from compozy.template.limits import Budget
from compozy.template.values import GoError, is_map

LENIENT: dict[str, Function] = {}
"""The functions of dialect compozy that are not those of Go, by name."""


def _define(names: str, signature: str, call: Callable[..., Any], *, counted: bool = False) -> None:
    *types, last = signature.split()
    rest = PARAMS[last.removesuffix("...")] if last.endswith("...") else None
    params = tuple(PARAMS[name] for name in (types if rest else [*types, last]))
    for name in names.split():
        LENIENT[name] = Function(name=name, params=params, rest=rest, call=call, group="lenient", counted=counted)


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


def _escaping(escape: Callable[..., str]) -> Callable[..., str]:
    def refuse_null(budget: Budget, *values: Any) -> str:
        if any(value is None for value in values):
            raise GoError("the value is null, which has no text", hint="give it one with `default`")
        return escape(budget, *values)

    return refuse_null


_define("hasKey", "any string", has_key)
_define("dig", "any...", dig)
_define("ternary", "any any any", ternary)
_define("html htmlEscape htmlAttrEscape", "any...", _escaping(builtins.escape_html), counted=True)
_define("js jsEscape", "any...", _escaping(builtins.escape_js), counted=True)
_define("urlquery", "any...", _escaping(builtins.escape_query), counted=True)
