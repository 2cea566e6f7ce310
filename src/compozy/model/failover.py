"""Failover: when a model fails, the next model of the agent's `fallback` is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from compozy.errors import ModelError
from compozy.model.catalog import ModelCatalog, ResolvedModel
from compozy.model.fallback import Fallback, FallbackModel
from compozy.model.params import to_settings

if TYPE_CHECKING:
    from pydantic_ai.settings import ModelSettings

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One model asked for one answer.

    Attributes:
        number: ordinal of the model within the request, from 0.
        choice: the model.
        failures: why the models that are preferred to it did not answer.
    """

    number: int
    choice: FallbackModel
    failures: tuple[ModelError, ...] = ()

    def resolve(self, catalog: ModelCatalog) -> ResolvedModel:
        """Return the model, with the reasons for which it is asked in place of another one.

        Raises:
            ModelError: it cannot be used.
        """
        resolved = catalog.resolve(self.choice.llm, self.choice.model)
        if not self.failures:
            return resolved
        reasons = [failure.message for failure in self.failures]
        return replace(resolved, fell_back_from=_name(self.failures[0]), reason="; ".join(reasons))

    def settings(self, common: ModelSettings | None) -> ModelSettings:
        """Return the parameters of the request: `common` ones, and those of the model itself before them."""
        return {**(common or {}), **to_settings(self.choice)}


class Failover:
    """The models that can answer in one conversation.

    A model that has answered stays the first one to be asked until it fails, so that a conversation does not wait for
    the failed one again with each request.

    Args:
        first: the model of the agent.
        fallback: the models after it, None for none.
    """

    def __init__(self, first: FallbackModel, fallback: Fallback | None = None) -> None:
        others = fallback.models if fallback is not None else ()
        self._choices = (first, *(_with_provider(choice, first.llm) for choice in others))
        self._kinds: frozenset[str] = frozenset(fallback.on if fallback is not None else ())
        self._start = 0
        self._failures: dict[int, ModelError] = {}

    def instead(self, llm: str | None, model: str | None) -> Failover:
        """Return the only model for a request of another kind; this one if none is named."""
        if llm is None and model is None:
            return self
        return Failover(_with_provider(FallbackModel(llm=llm, model=model), self._choices[0].llm))

    async def ask(self, call: Callable[[Attempt], Awaitable[_Answer]]) -> _Answer:
        """Return what `call` returns for the first model that does not fail.

        Raises:
            ModelError: all models failed, or one failed in a way that `on` does not name.
        """
        count = len(self._choices)
        tried: list[ModelError] = []
        for number in range(count):
            index = (self._start + number) % count
            failures = tuple(self._failures.values()) if index else ()
            attempt = Attempt(number=number, choice=self._choices[index], failures=failures)
            try:
                answer = await call(attempt)
            except ModelError as error:
                tried.append(error)
                if number == count - 1 or error.details.get("failure") not in self._kinds:
                    raise _summary(tried) from error
                self._failures[index] = error
            else:
                self._start = index
                self._failures.pop(index, None)
                return answer
        raise AssertionError("unreachable: the last turn of the loop returns or raises")


def _with_provider(choice: FallbackModel, llm: str | None) -> FallbackModel:
    """Return `choice` with the provider `llm`, if it names none itself."""
    return choice if choice.llm is not None else choice.model_copy(update={"llm": llm})


def _name(error: ModelError) -> str:
    return f"{error.details.get('provider')}:{error.details.get('model')}"


def _summary(errors: Sequence[ModelError]) -> ModelError:
    last = errors[-1]
    if len(errors) == 1:
        return last
    details: dict[str, Any] = {**last.details, "failed": [error.to_json() for error in errors]}
    message = "; then ".join(error.message for error in errors)
    return ModelError(message, hint=last.hint, details=details)
