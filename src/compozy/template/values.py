"""Go's view of the values of a template: types, kinds, equality, and what to hand back to Python.

JSON data stands for itself: a dict is a `map[string]interface {}`, a list a `[]interface {}`, an int a Go `int`. The
classes here are the few other Go types that functions return. Nothing here ever reads an attribute of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard, cast

from compozy.template.literals import MAX_INT, MAX_UINT, MIN_INT, quote, valid_text

MAX_PRINTED_DEPTH = 100  # A template can put a map into itself with `set`.
MAX_WALKED_DEPTH = 200
_LOOK_EVERY = 256


class GoError(Exception):
    """A function refuses its arguments. `message` is Go's; `hint` is for dialect compozy."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LimitError(Exception):
    """The template asks for more than it may have: output, loops, time or depth."""


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether the value is a map of any kind."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether the value is a list of any kind."""
    return isinstance(value, list)


class Invalid:
    """No value at all: what a missing key gives. Null, which is a value, is None."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<no value>"


INVALID = Invalid()


class Int64(int):
    """Go's int64, the result of the integer functions of Sprig."""


class Uint8(int):
    """Go's uint8, a byte of a string."""


class Uint64(int):
    """Go's uint64, a part of a version."""


class Strings(list[Any]):
    """Go's []string."""


class Ints(list[Any]):
    """Go's []int."""


class Lists(list[Any]):
    """Go's [][]interface {}."""


class NilList(list[Any]):
    """A []interface {} that is nil: prints as an empty list, and is null in JSON."""


class NilStrings(Strings):
    """A []string that is nil."""


class StringMap(dict[str, Any]):
    """Go's map[string]string."""


class NilMap(dict[str, Any]):
    """A map[string]interface {} that is nil."""


class GoValue:
    """A Go struct, such as a time or a version, which JSON does not have."""

    go_type = "struct"
    go_kind = "struct"

    def show(self) -> str:
        """Return the text that Go prints for the value."""
        raise NotImplementedError

    def to_json(self) -> Any:
        """Return the value for `toJson`."""
        return self.show()

    def call_method(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return what the method gives; raises LookupError when the type has no such method."""
        raise LookupError(name, args)


_TYPES: dict[type, tuple[str, str]] = {
    type(None): ("<nil>", "invalid"),
    Invalid: ("<nil>", "invalid"),
    str: ("string", "string"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    float: ("float64", "float64"),
    complex: ("complex128", "complex128"),
    dict: ("map[string]interface {}", "map"),
    list: ("[]interface {}", "slice"),
    Int64: ("int64", "int64"),
    Uint8: ("uint8", "uint8"),
    Uint64: ("uint64", "uint64"),
    Strings: ("[]string", "slice"),
    Ints: ("[]int", "slice"),
    Lists: ("[][]interface {}", "slice"),
    NilList: ("[]interface {}", "slice"),
    NilStrings: ("[]string", "slice"),
    StringMap: ("map[string]string", "map"),
    NilMap: ("map[string]interface {}", "map"),
}


def type_name(value: Any) -> str:
    """Return the name of the value's Go type, as `%T` prints it."""
    return "float64" if _is_huge(value) else _type_of(value)[0]


def kind_name(value: Any) -> str:
    """Return the name of the value's Go kind."""
    return "float64" if _is_huge(value) else _type_of(value)[1]


def _is_huge(value: Any) -> bool:
    """Return whether a whole number of the data does not fit into 64 bits: it counts as a float64."""
    return type(value) is int and not MIN_INT <= value <= MAX_INT


def _class_of(value: object) -> type:
    return type(value)


def _type_of(value: object) -> tuple[str, str]:
    known = _TYPES.get(type(value))
    if known:
        return known
    if isinstance(value, GoValue):
        return value.go_type, value.go_kind
    for base in (bool, int, float, str, dict, list):
        if isinstance(value, base):
            return _TYPES[base]
    raise GoError(f"the data holds a Python {type(value).__name__}, which is not a JSON value")


def is_nil_collection(value: Any) -> bool:
    """Return whether the value is a nil slice or a nil map."""
    return isinstance(value, (NilList, NilStrings, NilMap))


def is_int(value: Any) -> bool:
    """Return whether Go has the value as one of its integer types."""
    return isinstance(value, int) and not isinstance(value, bool) and MIN_INT <= value <= MAX_UINT


def weigh(value: Any, look: Callable[[], None]) -> tuple[int, int]:
    """Return how many values a list or map holds at every depth, and how many characters of text.

    What is shared counts as often as it occurs, but is visited once. Raises LimitError for what is nested too deeply.
    `look` is called from time to time.
    """
    return _weigh(value, {}, 0, look)


def _weigh(
    value: list[Any] | dict[str, Any], known: dict[int, tuple[int, int]], depth: int, look: Callable[[], None]
) -> tuple[int, int]:
    if not len(known) % _LOOK_EVERY:
        look()
    if depth > MAX_WALKED_DEPTH:
        raise LimitError(f"a value is nested more than {MAX_WALKED_DEPTH} levels deep")
    count, characters = 1, 0
    if isinstance(value, dict):
        characters += sum(map(len, value))
        items: Any = value.values()
    else:
        items = value
    for item in items:
        if isinstance(item, str):
            count += 1
            characters += len(item)
        elif isinstance(item, (list, dict)):
            key = id(cast("Any", item))
            weight = known.get(key)
            if weight is None:
                weight = known[key] = _weigh(cast("Any", item), known, depth + 1, look)
            count += weight[0]
            characters += weight[1]
        else:
            count += 1
    return count, characters


def deep_equal(left: Any, right: Any, count: Callable[[], None]) -> bool:
    """Return whether `reflect.DeepEqual` holds: same type and content. `count` is called for each pair of values."""
    count()
    kind = _class_of(left)
    if kind in _SCALARS and kind is type(right):
        return bool(left == right)
    if type_name(left) != type_name(right) or is_nil_collection(left) != is_nil_collection(right):
        return False
    if is_map(left):
        return len(left) == len(right) and all(
            key in right and deep_equal(value, right[key], count) for key, value in left.items()
        )
    if is_list(left):
        return len(left) == len(right) and all(
            deep_equal(one, other, count) for one, other in zip(left, right, strict=True)
        )
    return bool(left == right)


_SCALARS = (str, int, bool, float, Int64)


def wrap_int(number: int) -> Int64:
    """Return the number cut to 64 bits with a sign, as Go's arithmetic does."""
    if MIN_INT <= number <= MAX_INT:
        return Int64(number)
    return Int64((number - MIN_INT) % (MAX_UINT + 1) + MIN_INT)


def to_python(value: Any) -> Any:
    """Return the value as plain JSON data."""
    if value is None or value is INVALID:
        return None
    kind = _class_of(value)
    if kind in (bool, int, float):
        return value
    if isinstance(value, str):
        return valid_text(value)
    if is_map(value):
        return {valid_text(key): to_python(item) for key, item in value.items()}
    if is_list(value):
        return [to_python(item) for item in value]
    if isinstance(value, int):
        return int(value)
    return value.to_json() if isinstance(value, GoValue) else str(value)


def copy_data(value: Any) -> Any:
    """Return a copy of the data of which the template may change each map and list."""
    if is_map(value):
        return type(value)((key, copy_data(item)) for key, item in value.items())
    if is_list(value):
        return type(value)(copy_data(item) for item in value)
    return value


def holds_null(value: Any, depth: int = 0) -> bool:
    """Return whether the value is null or holds null at any depth, as far as values are printed."""
    if value is None or value is INVALID:
        return True
    if depth > MAX_PRINTED_DEPTH:
        return False
    if is_map(value):
        return any(holds_null(item, depth + 1) for item in value.values())
    return is_list(value) and any(holds_null(item, depth + 1) for item in value)


def describe_key_type(value: Any) -> str:
    """Return the message of a map that is indexed with something else than a string."""
    return f"value has type {type_name(value)}; should be string"


def quote_key(key: str) -> str:
    """Return a key as messages quote it."""
    return quote(key)
