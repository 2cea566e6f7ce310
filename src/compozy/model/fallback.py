"""`fallback`: the models that are asked when the model of an agent fails."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compozy.config.reference import OrId
from compozy.config.settings import Section
from compozy.model.params import ModelParams

MAX_FALLBACKS = 10
"""The highest number of models in one `fallback`."""

FailureKind = Literal["rate_limit", "timeout", "server_error"]
"""Why a model failed, where another model may still answer."""
FAILURE_KINDS: tuple[FailureKind, ...] = ("rate_limit", "timeout", "server_error")


class _ModelName(Section):
    """The name of a model."""

    llm: str | None = Field(default=None, min_length=1, description="Provider ID. Default: that of the failed model.")
    model: str | None = Field(default=None, min_length=1, description="Model name. Default: that of the provider.")


class FallbackModel(ModelParams, _ModelName):
    """One model of a `fallback`. Parameters of the agent apply, unless the model has its own."""


class Fallback(Section):
    """Which models are asked, in order, when a model fails."""

    models: tuple[Annotated[FallbackModel, OrId("a provider, or `provider:model`")], ...] = Field(
        min_length=1, max_length=MAX_FALLBACKS, description="Models to ask, in order."
    )
    on: tuple[FailureKind, ...] = Field(
        default=FAILURE_KINDS,
        min_length=1,
        description="Failures after which the next model is asked: `rate_limit` (also no credit), `timeout`, "
        "`server_error` (also unreachable servers). Default is all.",
    )
