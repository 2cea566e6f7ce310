"""Holds the inputs and results of tasks to their JSON Schemas."""

from __future__ import annotations

from typing import Any

from compozy.errors import SchemaMismatchError
from compozy.schema.worker import fit_value


async def fit(schema: dict[str, Any], value: Any, what: str) -> Any:
    """Return `value` with the defaults of `schema`.

    Raises:
        SchemaMismatchError: it does not match the schema; `what` names it in the message.
    """
    value, problems = await fit_value(schema, value)
    if problems:
        lines = "; ".join(f"{path or 'it'}: {message}" for path, message in problems)
        raise SchemaMismatchError(
            f"{what} does not match its schema: {lines}",
            details={"problems": [{"path": path, "message": message} for path, message in problems]},
        )
    return value
