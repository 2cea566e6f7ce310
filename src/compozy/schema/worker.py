"""Validation in separate threads: it may take seconds, and neither the event loop nor the database waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from compozy.schema.validate import apply_defaults, validate_value

_Result = TypeVar("_Result")
# More would not be faster, because most of validation holds the interpreter's lock; others wait for a thread.
_THREADS = 4
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="compozy-validate")


async def validate_in_worker(call: Callable[[], _Result]) -> _Result:
    """Return what `call` returns, which validates values within the limits of `bounded`."""
    return await asyncio.get_running_loop().run_in_executor(_pool, call)


async def fit_value(schema: dict[str, Any], value: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Return `value` with the defaults of `schema`, and what in it does not match."""
    return await validate_in_worker(partial(_fit, schema, value))


def _fit(schema: dict[str, Any], value: Any) -> tuple[Any, list[tuple[str, str]]]:
    fitted = apply_defaults(schema, value)
    return fitted, validate_value(schema, fitted)
