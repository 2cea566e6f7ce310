"""JSON as written to and read from the database, the same on every driver."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa


def dump_json(value: Any) -> str:
    """Return `value` as compact JSON text; keys keep their order, and non-ASCII characters are not escaped.

    Raises:
        ValueError: `value` contains NaN, an infinity, or a type that JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # An unpaired surrogate: valid in JSON as an escape, but not in UTF-8.
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def load_json(text: str) -> Any:
    """Return the value that `dump_json` wrote."""
    return json.loads(text)


class JsonText(sa.types.TypeDecorator[Any]):
    """A column of JSON stored as text. NULL means "no value"; JSON null is the text `null` and is read as None too."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Write a value; None becomes NULL."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Read a value back."""
        return None if value is None else load_json(value)
