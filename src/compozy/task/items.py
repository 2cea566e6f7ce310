"""Items of a collection: lists, maps, numbers, JSON and JSON Lines; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from compozy.errors import ItemsError
from compozy.jsoninput import parse_json
from compozy.task.kinds.collection import MAX_ITEMS
from compozy.turn import current_turn

_LONGEST_SHOWN = 60
# Larger values leave the event loop before they are parsed.
_LARGE = 50_000


def to_items(value: Any) -> list[Any]:
    """Return the items that `value` stands for.

    A list is itself; a map gives `{"key", "value"}` for each of its entries, in their order; a number N gives 0 to N-1;
    text is JSON, or a JSON value on each line; nothing is no items.

    Raises:
        ItemsError: it is none of these, or there are more than `MAX_ITEMS`.
    """
    if isinstance(value, str):
        value = _parse(value)
    if value is None:
        return []
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value).items()
        return _limited([{"key": key, "value": item} for key, item in entries])
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return _limited(list(cast("Sequence[Any]", value)))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ItemsError(f"`items` is a list, a map, a whole number or JSON, got {_show(value)}")
    return list(range(_check_count(value)))


def _parse(text: str) -> Any:
    if not text.strip():
        return []
    if len(text) > _LARGE:
        current_turn().leave_loop()
    try:
        value = parse_json(text, lenient=True)
    except ValueError as error:
        return _parse_lines(text, error)
    if isinstance(value, str):  # JSON text in JSON text is not a list
        raise ItemsError(f"`items` is a list, a map, a whole number or JSON, got the text {_show(value)}")
    return value


def _parse_lines(text: str, whole: ValueError) -> list[Any]:
    """Return the value of each line; `whole` says why all of the text is not one value."""
    items: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            items.append(parse_json(line, lenient=True))
        except ValueError as error:
            # Where already the first line fails, the text was meant as one value.
            reason = error if items else whole
            raise ItemsError(
                f"`items` is text, and line {number} of it is not JSON ({reason}): {_show(line)}",
                hint="give a list, a map, a number, JSON, or one JSON value on each line",
            ) from error
    return items


def _limited(items: list[Any]) -> list[Any]:
    _check_count(len(items))
    return items


def _check_count(count: int) -> int:
    if count > MAX_ITEMS:
        raise ItemsError(f"a collection runs over at most {MAX_ITEMS} items, got {count}", hint="cut them into parts")
    return count


def _show(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
