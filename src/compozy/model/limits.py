"""Limits of requests to a provider: concurrency, rate, timeout and retries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from compozy.clock import monotonic_s
from compozy.config.timespan import format_duration
from compozy.ids import jitter
from compozy.model.config import ProviderConfig
from compozy.model.failure import Failure, classify, mask, to_model_error
from compozy.model.http import AnswerTooLargeError, NotAModelServerError
from compozy.model.provider import ModelSpec
from compozy.model.registry import PROVIDERS
from compozy.model.retry import MAX_RETRY_AFTER_S, backoff_s, waits_too_long
from compozy.model.thoughts import separate_thoughts
from compozy.model.written import request_written

_WINDOW_S = 60.0
# An answer can be JSON and still not the shape that a provider's own package expects; its code then fails like this.
_MISSHAPEN = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Time and chance, so that tests can hold them."""

    monotonic_s: Callable[[], float] = monotonic_s
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[float], float] = jitter


class ProviderLimits:
    """The limits that all models of one provider share."""

    def __init__(self, config: ProviderConfig, pace: Pace) -> None:
        # Where one request waits for another, waiting here keeps the wait out of the timeout.
        at_once = 1 if PROVIDERS[config.type].is_serial else config.max_concurrent
        self._slots = asyncio.Semaphore(at_once) if at_once else None
        self._window = _Window(config.requests_per_minute, pace) if config.requests_per_minute else None

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Wait for the provider's turn; requests are let through in the order in which they came."""
        if self._slots is None:
            await self._pass_window()
            yield
            return
        async with self._slots:
            await self._pass_window()
            yield

    async def _pass_window(self) -> None:
        if self._window is not None:
            await self._window.enter()


class _Window:
    """Lets `limit` requests start within any minute."""

    def __init__(self, limit: int, pace: Pace) -> None:
        self._limit = limit
        self._pace = pace
        self._starts: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def enter(self) -> None:
        async with self._turn:
            while (wait_s := self._wait_s()) > 0:
                await self._pace.sleep(wait_s)
            self._starts.append(self._pace.monotonic_s())

    def _wait_s(self) -> float:
        now = self._pace.monotonic_s()
        while self._starts and now - self._starts[0] >= _WINDOW_S:
            self._starts.popleft()
        return self._starts[0] + _WINDOW_S - now if len(self._starts) >= self._limit else 0.0


class LimitedModel(WrapperModel):
    """A model behind the limits, the timeout and the retries of its provider."""

    def __init__(self, wrapped: Model, spec: ModelSpec, limits: ProviderLimits, pace: Pace) -> None:
        # Not `super().__init__()`, which loads the price list (see `UnpricedModel`). A model with prices has loaded it.
        self.wrapped = wrapped
        self._spec = spec
        self._limits = limits
        self._pace = pace

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the model's answer.

        Raises:
            ModelError: it refused, or failed in each of `max_attempts` tries.
        """
        attempt = 1
        while True:
            outcome = await self._attempt(messages, model_settings, model_request_parameters)
            if isinstance(outcome, ModelResponse):
                return separate_thoughts(outcome)
            failure = classify(outcome, self._spec)
            delay_s = self._delay_s(failure, attempt)
            if delay_s is None:
                # The cause shows up in tracebacks, so one that quotes the key is left out.
                told = str(outcome) == mask(str(outcome), self._spec)
                raise to_model_error(_give_up(failure), self._spec, attempts=attempt) from (outcome if told else None)
            await self._pace.sleep(delay_s)
            attempt += 1

    async def _attempt(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse | Exception:
        try:
            async with self._limits.slot(), asyncio.timeout(self._spec.config.timeout):
                return await request_written(self.wrapped, messages, model_settings, model_request_parameters)
        except (
            AgentRunError,
            UserError,
            TimeoutError,
            AnswerTooLargeError,
            NotAModelServerError,
            *_MISSHAPEN,
        ) as error:
            return error

    def _delay_s(self, failure: Failure, attempt: int) -> float | None:
        """Return how long to wait before the next try, None when there is none."""
        if not failure.retried or attempt >= self._max_attempts() or waits_too_long(failure.retry_after_s):
            return None
        return max(self._pace.jitter(backoff_s(attempt)), failure.retry_after_s or 0.0)

    def _max_attempts(self) -> int:
        return 1 if PROVIDERS[self._spec.config.type].is_repeatable else self._spec.config.max_attempts


def _give_up(failure: Failure) -> Failure:
    if failure.retry_after_s is None or not waits_too_long(failure.retry_after_s):
        return failure
    asked, most = format_duration(failure.retry_after_s), format_duration(MAX_RETRY_AFTER_S)
    return Failure(
        words=f"{failure.words}; it asks to wait {asked}, longer than the {most} that a task waits",
        hint=f"run again in {asked}",
        kind=failure.kind,
        status=failure.status,
        body=failure.body,
    )
