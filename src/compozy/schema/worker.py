"""Validation, templates and conditions in separate threads, if they take long.

They may take seconds, and neither the event loop nor the database waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from compozy.schema.validate import apply_defaults, validate_value
from compozy.turn import LOOP_S, WORKER_S, Turn, TurnOverError

_Result = TypeVar("_Result")
# More would not be faster, because most of validation holds the interpreter's lock; others wait for a thread.
_THREADS = 4
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="compozy-validate")
# Separate threads: a request is validated although all runs compute.
_runs = ThreadPoolExecutor(_THREADS, thread_name_prefix="compozy-compute")


async def validate_in_worker(call: Callable[[], _Result]) -> _Result:
    """Return what `call` returns, which validates values within the limits of `bounded`, and may render templates.

    Raises:
        ExpressionError: its templates and conditions take longer than a minute of processor time.
    """
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(_take_turn, Turn(WORKER_S), call))


async def compute(call: Callable[[], _Result]) -> _Result:
    """Return what `call` returns, which renders templates or evaluates conditions of a run.

    It runs on the event loop, and again in a worker if it takes longer than 5 ms. It must do the same both times.

    Raises:
        ExpressionError: it takes longer than a minute of processor time.
    """
    try:
        with Turn(LOOP_S, is_on_loop=True).taken():
            return call()
    except TurnOverError:
        pass
    turn = Turn(WORKER_S)
    try:
        work = partial(copy_context().run, partial(_take_turn, turn, call))
        return await asyncio.get_running_loop().run_in_executor(_runs, work)
    finally:
        # Of a computation that was canceled: its thread is free for others.
        turn.end()


def _take_turn(turn: Turn, call: Callable[[], _Result]) -> _Result:
    with turn.taken():
        return call()


async def fit_value(schema: dict[str, Any], value: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Return `value` with the defaults of `schema`, and what in it does not match."""
    return await validate_in_worker(partial(_fit, schema, value))


def _fit(schema: dict[str, Any], value: Any) -> tuple[Any, list[tuple[str, str]]]:
    fitted = apply_defaults(schema, value)
    return fitted, validate_value(schema, fitted)
