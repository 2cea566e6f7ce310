"""Sprig's functions on maps, and those that take whatever is there."""

from __future__ import annotations

from typing import Any, cast

from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.printing import to_text
from compozy.template.values import (
    MAX_PRINTED_DEPTH,
    GoError,
    LimitError,
    NilMap,
    StringMap,
    Strings,
    copy_data,
    deep_equal,
    is_map,
    kind_name,
    type_name,
)


@function("dict", "any...", counted=True)
def make_dict(budget: Budget, *items: Any) -> dict[str, Any]:
    """Return a map of the arguments: key, value, key, value; a key without a value gets "" ."""
    padded = [*items, ""] if len(items) % 2 else items
    for key in padded[::2]:
        budget.visit(key)
    return {to_text(key): value for key, value in zip(padded[::2], padded[1::2], strict=True)}


@function("get", "map string")
def get(table: dict[str, Any], key: str) -> Any:
    """Return the value at the key, "" when there is none."""
    return table.get(key, "")


@function("set", "map string any", mutates=True)
def put(table: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Put a value at the key and return the map."""
    if isinstance(table, NilMap):
        raise GoError("assignment to entry in nil map")
    table[key] = value
    return table


@function("unset", "map string", mutates=True)
def remove(table: dict[str, Any], key: str) -> dict[str, Any]:
    """Take the key out of the map and return the map."""
    table.pop(key, None)
    return table


@function("hasKey", "map string")
def has_key(table: dict[str, Any], key: str) -> bool:
    """Return whether the map has the key."""
    return key in table


@function("pluck", "string map...")
def pluck(key: str, *tables: dict[str, Any]) -> list[Any]:
    """Return the values that the maps have at the key."""
    return [table[key] for table in tables if key in table]


@function("keys", "map...")
def keys(*tables: dict[str, Any]) -> Strings:
    """Return the keys of the maps. Go's order is by chance; here it is sorted."""
    return Strings(key for table in tables for key in sorted(table))


@function("values", "map")
def values(table: dict[str, Any]) -> list[Any]:
    """Return the values of the map. Go's order is by chance; here it is that of the sorted keys."""
    return [table[key] for key in sorted(table)]


@function("pick", "map string...")
def pick(table: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """Return a map of only the wanted keys."""
    return {key: table[key] for key in wanted if key in table}


@function("omit", "map string...")
def omit(table: dict[str, Any], *unwanted: str) -> dict[str, Any]:
    """Return a map without the unwanted keys."""
    return {key: value for key, value in table.items() if key not in unwanted}


@function("merge mustMerge", "map map...", mutates=True, counted=True)
def merge(budget: Budget, target: dict[str, Any], *sources: dict[str, Any]) -> dict[str, Any]:
    """Put what the sources have and the first map lacks into the first map, and return it."""
    for source in sources:
        target = _merge(budget, target, source, overwrites=False, depth=0)
    return target


@function("mergeOverwrite mustMergeOverwrite", "map map...", mutates=True, counted=True)
def merge_overwrite(budget: Budget, target: dict[str, Any], *sources: dict[str, Any]) -> dict[str, Any]:
    """Put what the sources have into the first map, the last source winning, and return it."""
    for source in sources:
        target = _merge(budget, target, source, overwrites=True, depth=0)
    return target


def _merge(
    budget: Budget, target: dict[str, Any], source: dict[str, Any], *, overwrites: bool, depth: int
) -> dict[str, Any]:
    if depth > MAX_PRINTED_DEPTH:
        raise LimitError(f"a value is nested more than {MAX_PRINTED_DEPTH} levels deep")
    if isinstance(target, NilMap) and not isinstance(source, NilMap):
        target = {}
    budget.build_items(len(source))
    for key, value in source.items():
        old = target.get(key)
        if is_map(value) and is_map(old) and not isinstance(old, NilMap):
            _merge(budget, cast("Any", old), cast("Any", value), overwrites=overwrites, depth=depth + 1)
        if _is_taken(value, old, overwrites=overwrites):
            target[key] = value
    return target


def _is_taken(value: Any, old: Any, *, overwrites: bool) -> bool:
    """Return whether a value of a source replaces the old one: a map never replaces a map that is not empty."""
    if value is None:
        return overwrites
    return not old or (overwrites and not is_map(value))


@function("deepCopy mustDeepCopy", "any", walks=True)
def deep_copy(value: Any) -> Any:
    """Return a copy of the value, of which changes do not show in the original."""
    if value is None:
        raise GoError("reflect: call of reflect.Value.Type on zero Value")
    return copy_data(value)


@function("dig", "any...")
def dig(*args: Any) -> Any:
    """Return the value at a path of keys in the map that is the last argument, or the default before it."""
    if len(args) < 3:
        raise GoError("dig needs at least three arguments")
    *path, default, table = args
    _need_map(table)
    for key in path:
        if not isinstance(key, str):
            raise GoError(f"interface conversion: interface {{}} is {_shown_type(key)}, not string")
    for index, key in enumerate(path):
        if key not in table:
            return default
        table = table[key]
        if index < len(path) - 1:
            _need_map(table)
    return table


def _need_map(value: Any) -> None:
    if not is_map(value) or isinstance(value, StringMap):
        raise GoError(f"interface conversion: interface {{}} is {_shown_type(value)}, not map[string]interface {{}}")


def _shown_type(value: Any) -> str:
    return "nil" if value is None else type_name(value)


@function("default", "any any...")
def default(fallback: Any, *given: Any) -> Any:
    """Return the value given, or the fallback when that is empty."""
    return given[0] if given and given[0] else fallback


@function("empty", "any")
def empty(value: Any) -> bool:
    """Return whether the value is empty: null, false, 0, "" or a collection without items."""
    return not value


@function("coalesce", "any...")
def coalesce(*given: Any) -> Any:
    """Return the first value that is not empty."""
    return next((value for value in given if value), None)


@function("all", "any...")
def every(*given: Any) -> bool:
    """Return whether no value is empty."""
    return all(given)


@function("any", "any...")
def some(*given: Any) -> bool:
    """Return whether some value is not empty."""
    return any(given)


@function("ternary", "any any bool")
def ternary(yes: Any, no: Any, test: bool) -> Any:
    """Return the first value when the test holds, else the second."""
    return yes if test else no


@function("fail", "string")
def fail(message: str) -> str:
    """End the rendering with a message."""
    raise GoError(message)


@function("typeOf", "any")
def type_of(value: Any) -> str:
    """Return the name of the value's Go type."""
    return type_name(value)


@function("typeIs", "string any")
def type_is(name: str, value: Any) -> bool:
    """Return whether the value's Go type has the name."""
    return name == type_name(value)


@function("typeIsLike", "string any")
def type_is_like(name: str, value: Any) -> bool:
    """Return whether the value's Go type, or what it points to, has the name."""
    return type_name(value) in (name, "*" + name)


@function("kindOf", "any")
def kind_of(value: Any) -> str:
    """Return the name of the value's kind: string, int, float64, bool, slice, map, invalid and others."""
    return kind_name(value)


@function("kindIs", "string any")
def kind_is(name: str, value: Any) -> bool:
    """Return whether the value is of the kind."""
    return name == kind_name(value)


@function("deepEqual", "any any", counted=True)
def are_equal(budget: Budget, left: Any, right: Any) -> bool:
    """Return whether two values have the same type and content."""
    return deep_equal(left, right, budget.visit_one)
