"""Failover: the order of the models, and the messages about those that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from compozy.errors import ModelError
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.failover import Attempt, Failover
from compozy.model.fallback import FailureKind, Fallback, FallbackModel


def failure(name: str, kind: str | None) -> ModelError:
    details = {"provider": name, "model": "m", **({"failure": kind} if kind else {})}
    return ModelError(f"{name} failed", hint=f"mend {name}", details=details)


class Models:
    """Models that fail according to a script."""

    def __init__(self, **failures: str | None) -> None:
        self.failures: dict[str, str | None] = failures
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, attempt: Attempt) -> str:
        name = attempt.choice.llm or ""
        self.asked.append((name, attempt.number))
        if name in self.failures:
            raise failure(name, self.failures[name])
        return f"{name} after {', '.join(error.message for error in attempt.failures) or 'nothing'}"


def failover(*others: str, on: tuple[FailureKind, ...] = ("rate_limit", "timeout", "server_error")) -> Failover:
    models = tuple(FallbackModel(llm=name) for name in others)
    return Failover(FallbackModel(llm="a"), Fallback(models=models, on=on) if others else None)


async def test_the_next_model_is_asked_when_one_fails() -> None:
    models = Models(a="rate_limit", b="timeout")

    assert await failover("b", "c").ask(models) == "c after a failed, b failed"
    assert models.asked == [("a", 0), ("b", 1), ("c", 2)]


async def test_the_model_that_answered_is_asked_first_until_it_fails() -> None:
    chain, models = failover("b"), Models(a="server_error")
    await chain.ask(models)
    models.asked.clear()

    assert await chain.ask(models) == "b after a failed"
    models.failures = {"b": "timeout"}
    assert await chain.ask(models) == "a after nothing"
    assert models.asked == [("b", 0), ("b", 0), ("a", 1)]


@pytest.mark.parametrize("kind", [None, "timeout"])
async def test_other_failures_are_the_end(kind: str | None) -> None:
    models = Models(a=kind)

    with pytest.raises(ModelError) as caught:
        await failover("b", on=("rate_limit",)).ask(models)

    assert caught.value.message == "a failed"
    assert models.asked == [("a", 0)]


async def test_an_error_of_all_models_names_each() -> None:
    with pytest.raises(ModelError) as caught:
        await failover("b").ask(Models(a="rate_limit", b=None))

    assert caught.value.message == "a failed; then b failed"
    assert caught.value.hint == "mend b"
    assert [error["details"]["provider"] for error in caught.value.details["failed"]] == ["a", "b"]


async def test_a_model_without_a_provider_is_one_of_the_failed_provider() -> None:
    chain = Failover(FallbackModel(llm="a", model="large"), Fallback(models=(FallbackModel(model="small"),)))
    asked: list[FallbackModel] = []

    async def ask(attempt: Attempt) -> None:
        asked.append(attempt.choice)
        if len(asked) == 1:
            raise failure("a", "rate_limit")

    await chain.ask(ask)

    assert asked == [FallbackModel(llm="a", model="large"), FallbackModel(llm="a", model="small")]


async def test_an_attempt_names_the_model_that_it_replaces() -> None:
    config = ProviderConfig.model_validate({"id": "b", "type": "scripted", "responses": [{"text": "x"}]})
    catalog = ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path())
    attempt = Attempt(number=1, choice=FallbackModel(llm="b"), failures=(failure("a", "rate_limit"),))

    resolved = attempt.resolve(catalog)

    assert (resolved.provider_id, resolved.fell_back_from, resolved.reason) == ("b", "a:m", "a failed")
