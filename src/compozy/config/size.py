"""A size in bytes as a field of a model: a number, or a text such as `512MB`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_MAX = 1024**5


def parse_size_b(value: Any) -> int:
    """Return a size in bytes: `512MB` and `512MiB` are 512 * 1024 * 1024.

    Raises:
        ValueError: it is not a size, or not between 1 byte and 1 PiB.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("expected a size such as 512MB")  # noqa: TRY004 - Pydantic reports ValueError
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"expected a size such as 512MB, got {str(value)[:40]!r}")
    size = int(float(found[1]) * _FACTORS[found[2].lower()])
    if not 1 <= size <= _MAX:
        raise ValueError("a size is between 1 byte and 1 PiB")
    return size


SizeB = Annotated[
    int,
    BeforeValidator(parse_size_b),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["512MB"]}, {"type": "integer", "minimum": 1}]}, mode="validation"
    ),
]
