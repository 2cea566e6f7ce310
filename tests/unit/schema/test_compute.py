"""Computations of runs: short ones on the event loop, long ones in a worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from compozy import template
from compozy.clock import VirtualClock, by_clock, now_ms
from compozy.errors import ExpressionError
from compozy.expression import evaluate, evaluate_condition
from compozy.schema import worker
from compozy.schema.worker import compute

NUMBERS = {"numbers": list(range(150))}
STEPS = "numbers.all(a, numbers.all(b, a + b >= 0))"
PATTERN = "text.matches('^(a|a)+$') || true"
TEXT = {"text": "a" * 60 + "!"}
ROWS = [{"id": number} for number in range(5_000)]
LOOPS = "{{ range until 300 }}{{ range until 300 }}{{ end }}{{ end }}x"


def render(text: str, data: Any) -> Any:
    """Return the value of a template."""
    return template.compile(text, dialect="compozy").evaluate(data)


LONG: dict[str, Callable[[], Any]] = {
    "steps": partial(evaluate_condition, STEPS, NUMBERS),
    "pattern": partial(evaluate_condition, PATTERN, TEXT),
    "large pattern": partial(evaluate_condition, "'a'.matches('[a-z]{1,1000}b|a')", {}),
    "large list": partial(evaluate, "size(a + a)", {"a": list(range(60_000))}),
    "loops": partial(render, LOOPS, {}),
    "large value": partial(render, "{{ .rows }}", {"rows": ROWS}),
    "changed value": partial(render, '{{ $_ := set . "a" 1 }}x', {"rows": ROWS}),
    "JSON": partial(render, "{{ fromJson .text }}", {"text": "[" + "1," * 40_000 + "1]"}),
}


@pytest.mark.parametrize("name", list(LONG))
async def test_a_long_computation_is_repeated_in_a_worker(name: str) -> None:
    threads: list[str] = []

    def call() -> Any:
        threads.append(threading.current_thread().name)
        return LONG[name]()

    assert await compute(call) == LONG[name]()
    assert len(threads) == 2
    assert threads[1].startswith("compozy-compute")


async def test_others_run_on_the_event_loop_meanwhile() -> None:
    work = asyncio.create_task(compute(LONG["pattern"]))
    rounds = 0
    while not work.done():
        await asyncio.sleep(0.001)
        rounds += 1
    assert work.result() is True
    assert rounds > 20


async def test_a_short_computation_stays_on_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def call() -> tuple[bool, str]:
        threads.append(threading.current_thread())
        is_between = evaluate_condition("n > 1 && text.matches('^[a-z]+$')", {"n": 5, "text": "a"})
        return is_between, render("{{ .a | upper }}", {"a": "x"})

    assert await compute(call) == (True, "X")
    assert threads == [threading.current_thread()]


async def test_an_error_is_the_same_in_a_worker() -> None:
    with pytest.raises(ExpressionError, match="takes too long"):
        await compute(partial(evaluate_condition, "text.matches('^(a|a)+$')", TEXT))
    with pytest.raises(ExpressionError, match="250000 steps"):
        await compute(partial(evaluate_condition, STEPS, {"numbers": list(range(1000))}))


async def test_a_worker_has_the_clock_of_the_run() -> None:
    with by_clock(VirtualClock(1234, lambda: None)):
        assert await compute(lambda: (LONG["steps"](), now_ms())[1]) == 1234


async def test_parts_that_are_computed_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WORKER_S", 0.05)
    with pytest.raises(ExpressionError, match=r"take longer than 0.05 s"):
        await compute(lambda: [evaluate_condition(STEPS, NUMBERS) for _ in range(100)])


async def test_a_canceled_computation_frees_its_thread() -> None:
    ended = threading.Event()
    began = threading.Event()

    def call() -> None:
        try:
            for _ in range(10_000):
                evaluate_condition(STEPS, NUMBERS)
                began.set()
        finally:
            if began.is_set():
                ended.set()

    work = asyncio.create_task(compute(call))
    assert await asyncio.to_thread(began.wait, 30)
    work.cancel()
    assert await asyncio.to_thread(ended.wait, 30)
