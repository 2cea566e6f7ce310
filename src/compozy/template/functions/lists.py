"""Sprig's functions on lists. None changes the list that it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from compozy.template.functions.conversions import as_int
from compozy.template.functions.registry import function
from compozy.template.limits import Budget
from compozy.template.literals import to_bytes
from compozy.template.printing import to_strings, to_text
from compozy.template.values import (
    INVALID,
    GoError,
    Lists,
    NilList,
    StringMap,
    Strings,
    deep_equal,
    is_list,
    kind_name,
)

_NIL = "runtime error: invalid memory address or nil pointer dereference"


def _need_list(value: Any, message: str) -> list[Any]:
    """Return the list; raises GoError with Go's message for anything else."""
    if is_list(value):
        return value
    if value is None or value is INVALID:
        raise GoError(_NIL)
    raise GoError(message.format(kind_name(value)))


@function("list tuple", "any...")
def make_list(*items: Any) -> list[Any]:
    """Return a list of the arguments."""
    return list(items)


@function("first mustFirst", "any")
def first(items: Any) -> Any:
    """Return the first item, null of an empty list."""
    found = _need_list(items, "Cannot find first on type {}")
    return found[0] if found else None


@function("last mustLast", "any")
def last(items: Any) -> Any:
    """Return the last item, null of an empty list."""
    found = _need_list(items, "Cannot find last on type {}")
    return found[-1] if found else None


@function("rest mustRest", "any")
def rest(items: Any) -> list[Any]:
    """Return all items but the first."""
    found = _need_list(items, "Cannot find rest on type {}")
    return found[1:] if type(found) is list and found else list(found[1:]) if found else NilList()


@function("initial mustInitial", "any")
def initial(items: Any) -> list[Any]:
    """Return all items but the last."""
    found = _need_list(items, "Cannot find initial on type {}")
    return list(found[:-1]) if found else NilList()


@function("append push mustAppend mustPush", "any any", counted=True)
def append(budget: Budget, items: Any, item: Any) -> list[Any]:
    """Return the list with the item at its end."""
    found = _need_list(items, "Cannot push on type {}")
    budget.build_items(len(found) + 1)
    return [*found, item]


@function("prepend mustPrepend", "any any", counted=True)
def prepend(budget: Budget, items: Any, item: Any) -> list[Any]:
    """Return the list with the item at its beginning."""
    found = _need_list(items, "Cannot prepend on type {}")
    budget.build_items(len(found) + 1)
    return [item, *found]


@function("concat", "any...", counted=True)
def concat(budget: Budget, *lists: Any) -> list[Any]:
    """Return one list of the items of all."""
    joined: list[Any] = NilList()
    for items in lists:
        found = _need_list(items, "Cannot concat type {} as list")
        budget.build_items(len(joined) + len(found))
        joined = [*joined, *found] if found else joined
    return joined


@function("reverse mustReverse", "any")
def reverse(items: Any) -> list[Any]:
    """Return the items in reverse order."""
    return list(reversed(_need_list(items, "Cannot find reverse on type {}")))


@function("uniq mustUniq", "any", counted=True)
def unique(budget: Budget, items: Any) -> list[Any]:
    """Return each item once."""
    kept: list[Any] = []
    for item in _need_list(items, "Cannot find uniq on type {}"):
        budget.build(len(kept))
        if not _holds(budget, kept, item):
            kept.append(item)
    return kept


def _holds(budget: Budget, items: Sequence[Any], item: Any) -> bool:
    return any(deep_equal(item, each, budget.visit_one) for each in items)


@function("without mustWithout", "any any...", counted=True)
def without(budget: Budget, items: Any, *omitted: Any) -> list[Any]:
    """Return the items that are none of the others given."""
    found = _need_list(items, "Cannot find without on type {}")
    kept: list[Any] = []
    for item in found:
        budget.build(len(omitted))
        if not _holds(budget, omitted, item):
            kept.append(item)
    return kept


@function("has mustHas", "any any", counted=True)
def has(budget: Budget, item: Any, items: Any) -> bool:
    """Return whether the list has the item, of the same type."""
    if items is None:
        return False
    found = _need_list(items, "Cannot find has on type {}")
    budget.build_items(len(found))
    return _holds(budget, found, item)


@function("compact mustCompact", "any")
def compact(items: Any) -> list[Any]:
    """Return the items that are not empty."""
    return [item for item in _need_list(items, "Cannot compact on type {}") if item]


@function("slice mustSlice", "any any...")
def cut(items: Any, *bounds: Any) -> Any:
    """Return the items from one index to before another."""
    found = _need_list(items, "list should be type of slice or array but {}")
    if not found:
        return None
    start = as_int(bounds[0]) if bounds else 0
    end = as_int(bounds[1]) if len(bounds) > 1 else len(found)
    if not 0 <= start <= end <= len(found):
        raise GoError("reflect.Value.Slice: slice index out of bounds")
    return type(found)(found[start:end])


@function("chunk mustChunk", "int any", counted=True)
def chunk(budget: Budget, size: int, items: Any) -> Lists:
    """Return the list cut into lists of `size` items."""
    found = _need_list(items, "Cannot chunk type {}")
    budget.build_items(len(found))
    if size == 0:
        raise GoError("runtime error: makeslice: len out of range")
    if size < 0:
        if math.floor((len(found) - 1) / size) + 1 <= 0:
            return Lists()
        raise GoError("runtime error: makeslice: len out of range")
    return Lists(list(found[start : start + size]) for start in range(0, len(found), size))


@function("sortAlpha", "any", walks=True)
def sort_alpha(items: Any) -> Strings:
    """Return the items as text, in the order of their bytes."""
    if not is_list(items):
        return Strings([to_text(items)])
    return Strings(sorted(to_strings(items), key=to_bytes))


@function("join", "string any", counted=True, walks=True)
def join(budget: Budget, separator: str, items: Any) -> str:
    """Return the items as one text with a separator between them."""
    texts = to_strings(items)
    budget.build(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _split(separator: str, text: str, count: int) -> list[str]:
    """Return the parts of a text as Go does: without a separator, its characters; never more than `count` parts."""
    if count == 0:
        return []
    if separator:
        return text.split(separator, count - 1 if count > 0 else -1)
    if count < 0 or count >= len(text):
        return list(text)
    return [*text[: count - 1], text[count - 1 :]]


@function("splitList", "string string", counted=True)
def split_list(budget: Budget, separator: str, text: str) -> Strings:
    """Return the parts of a text between the separators."""
    budget.build_items(text.count(separator) + 1)
    return Strings(_split(separator, text, -1))


@function("split", "string string", counted=True)
def split(budget: Budget, separator: str, text: str) -> StringMap:
    """Return the parts of a text as a map with the keys _0, _1 and so on."""
    return split_n(budget, separator, -1, text)


@function("splitn", "string int string", counted=True)
def split_n(budget: Budget, separator: str, count: int, text: str) -> StringMap:
    """Return at most `count` parts of a text as a map with the keys _0, _1 and so on."""
    budget.build_items(text.count(separator) + 1)
    return StringMap((f"_{index}", part) for index, part in enumerate(_split(separator, text, count)))
