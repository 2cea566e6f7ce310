"""CEL's functions. Each takes the budget and its arguments; the value before the dot is the first argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import regex

from compozy.expression.limits import Budget
from compozy.expression.values import (
    Fail,
    Type,
    checked,
    is_list,
    is_map,
    is_number,
    show,
    show_duration,
    show_time,
    type_name,
    type_words,
)
from compozy.template.re2 import PatternError, compile_pattern

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = regex.compile(r"-?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = regex.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_TIME = regex.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")


def call(function: str, args: list[Any], budget: Budget) -> Any:
    """Call `function`, a name in FUNCTIONS or METHODS; raises Fail."""
    return _CALLS[function](budget, *args)


def _size(budget: Budget, value: Any) -> int:
    del budget
    if isinstance(value, (str, bytes)) or is_list(value) or is_map(value):
        return len(value)
    raise _wrong("size", "text, a list or a map", value)


def _text_test(name: str, test: Callable[[str, str], bool]) -> Callable[[Budget, Any, Any], bool]:
    def run(budget: Budget, text: Any, part: Any) -> bool:
        if not isinstance(text, str):
            hint = f"for a list write `{show(part)} in a`" if is_list(text) and name == "contains" else ""
            raise _wrong(name, "a string", text, hint)
        if not isinstance(part, str):
            raise _wrong(name, "a string", part)
        budget.spend(1 + len(text) // 1000)
        return test(text, part)

    return run


def _matches(budget: Budget, text: Any, pattern: Any) -> bool:
    for value in (text, pattern):
        if not isinstance(value, str):
            raise _wrong("matches", "a string", value)
    budget.walk(len(text))
    try:
        return compile_pattern(pattern).search(text, timeout=budget.regex_s()) is not None
    except (PatternError, regex.error, RecursionError, OverflowError) as error:
        raise Fail(f"{show(pattern)} is not a regular expression: {error}") from error
    except TimeoutError as error:
        budget.turn.leave_loop()
        raise Fail(f"the regular expression {show(pattern)} takes too long") from error


def _int(budget: Budget, value: Any) -> int:
    del budget
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong("int", "a number, text or a time", value)
    try:
        # Fractions, blanks and underscores are not accepted: unlike Python, CEL does not allow them.
        is_odd = isinstance(value, str) and not regex.fullmatch(r"[+-]?[0-9]{1,19}", value)
        return int(checked(int(value))) if not is_odd else _refuse(f"int: {show(value)} is not a whole number")
    except (ValueError, OverflowError) as error:
        raise Fail(f"int: {show(value)} is not a whole number") from error


def _uint(budget: Budget, value: Any) -> int:
    found = _int(budget, value)
    return found if found >= 0 else _refuse(f"uint: {show(value)} is less than 0")


def _double(budget: Budget, value: Any) -> float:
    del budget
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong("double", "a number or a string", value)
    try:
        is_odd = isinstance(value, str) and ("_" in value or value != value.strip())
        return float(value) if not is_odd else _refuse(f"double: {show(value)} is not a number")
    except (ValueError, OverflowError) as error:
        raise Fail(f"double: {show(value)} is not a number") from error


def _string(budget: Budget, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)  # pyrefly: ignore[missing-attribute]
    if isinstance(value, bytes):
        budget.build(len(value))
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Fail("string: the bytes are not UTF-8") from error
    if isinstance(value, datetime):
        return show_time(value)
    if isinstance(value, timedelta):
        return show_duration(value)
    raise _wrong("string", "a number, text, true or false, bytes, a time or a duration", value)


def _bool(budget: Budget, value: Any) -> bool:
    del budget
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "True", "TRUE", "t", "1", "false", "False", "FALSE", "f", "0"}:
        return value.lower() in {"true", "t", "1"}
    raise Fail(f"bool: expected 'true' or 'false', got {show(value)}")


def _bytes(budget: Budget, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise _wrong("bytes", "a string", value)
    budget.build(len(value))
    return value.encode("utf-8", "surrogatepass")


def _timestamp(budget: Budget, value: Any) -> datetime:
    del budget
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _TIME.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Fail(f"timestamp: {show(value)} is not a time") from error
    raise Fail(f"timestamp: expected a time such as '2026-01-31T12:00:00Z', got {show(value)}")


def _duration(budget: Budget, value: Any) -> timedelta:
    del budget
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise Fail(f"duration: expected a duration such as '1h30m', got {show(value)}")
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(value))
    try:
        return timedelta(seconds=-seconds if value.startswith("-") else seconds)
    except OverflowError as error:
        raise Fail(f"duration: {show(value)} is too long") from error


def _part_of_time(name: str, read: Callable[[datetime], int], span: float | None) -> Callable[..., int]:
    """Return the function `name`; `span` is the number of seconds in its unit, if it also accepts durations."""

    def run(budget: Budget, value: Any, zone: Any = "UTC") -> int:
        del budget
        if isinstance(value, timedelta) and span is not None:
            return int(value.total_seconds() / span)
        if not isinstance(value, datetime):
            raise _wrong(name, "a time", value, "convert text with timestamp(...)")
        return read(value.astimezone(_zone(zone)))

    return run


def _zone(name: Any) -> tzinfo:
    try:
        found = regex.fullmatch(r"([+-]?)(\d\d):(\d\d)", str(name))
        if found:
            moment = datetime.fromisoformat(f"2000-01-01T00:00:00{found[1] or '+'}{found[2]}:{found[3]}")
            return moment.tzinfo or UTC
        return ZoneInfo(str(name))
    except (ValueError, OSError, LookupError) as error:
        raise Fail(f"unknown time zone {show(name)}") from error


def _dyn(budget: Budget, value: Any) -> Any:
    del budget
    return value


def _type(budget: Budget, value: Any) -> Type:
    del budget
    return Type(type_name(value))


def _wrong(name: str, expected: str, value: Any, hint: str = "") -> Fail:
    return Fail(f"{name}: expected {expected}, got {type_words(value)}", hint=hint)


def _refuse(message: str) -> Any:
    raise Fail(message)


_TIME_PARTS: dict[str, tuple[Callable[[datetime], int], float | None]] = {
    "getFullYear": (lambda time: time.year, None),
    "getMonth": (lambda time: time.month - 1, None),
    "getDate": (lambda time: time.day, None),
    "getDayOfMonth": (lambda time: time.day - 1, None),
    "getDayOfWeek": (lambda time: time.isoweekday() % 7, None),
    "getDayOfYear": (lambda time: time.timetuple().tm_yday - 1, None),
    "getHours": (lambda time: time.hour, 3600),
    "getMinutes": (lambda time: time.minute, 60),
    "getSeconds": (lambda time: time.second, 1),
    "getMilliseconds": (lambda time: time.microsecond // 1000, 0.001),
}
_CALLS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "contains": _text_test("contains", lambda text, part: part in text),
    "startsWith": _text_test("startsWith", str.startswith),
    "endsWith": _text_test("endsWith", str.endswith),
    "matches": _matches,
    "int": _int,
    "uint": _uint,
    "double": _double,
    "string": _string,
    "bool": _bool,
    "bytes": _bytes,
    "timestamp": _timestamp,
    "duration": _duration,
    "dyn": _dyn,
    "type": _type,
    **{name: _part_of_time(name, read, span) for name, (read, span) in _TIME_PARTS.items()},
}

_CONVERSIONS = ("int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration", "dyn", "type")
FUNCTIONS: dict[str, tuple[int, ...]] = {"size": (1,), "matches": (2,), **dict.fromkeys(_CONVERSIONS, (1,))}
"""The number of arguments that a function accepts."""
METHODS: dict[str, tuple[int, ...]] = {
    "size": (0,),
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), (1,)),
    **dict.fromkeys(_TIME_PARTS, (0, 1)),
}
"""The number of arguments that a method accepts."""
