"""Limits of the runs of a workflow: how many are open at the same time, and how many begin within a period."""

from __future__ import annotations

import hashlib

from pydantic import Field, model_validator

from compozy.config.duration import TimeLimitS
from compozy.config.settings import Section
from compozy.database.admission import Admission
from compozy.database.jsontext import dump_json
from compozy.errors import UsageError
from compozy.task.template_context import TemplateContext, render_value

_MAX_LIMIT = 100_000
_LONGEST_KEY = 200


class ConcurrencyConfig(Section):
    """How many runs of the workflow are open at the same time; the others wait."""

    limit: int = Field(ge=1, le=_MAX_LIMIT, description="Runs that are open at the same time, over all processes.")
    key: str | None = Field(
        default=None,
        description="Runs with the same key share the limit; a template of the input. Default: all runs share it.",
    )


class RateConfig(Section):
    """How many runs of the workflow begin within a period; the others wait."""

    limit: int = Field(ge=1, le=_MAX_LIMIT, description="Runs that begin within the period, over all processes.")
    period: TimeLimitS = Field(description="Length of the period, at least `1s`; it ends now at any time.")

    @model_validator(mode="after")
    def _is_long_enough(self) -> RateConfig:
        if self.period < 1:
            raise ValueError("the period of a rate is at least 1s")
        return self


def admission_of(
    context: TemplateContext, concurrency: ConcurrencyConfig | None, rate: RateConfig | None
) -> Admission | None:
    """Return the limits of a run, whose key is rendered with `context`; None if there are none.

    Raises:
        TemplateError: the template of the key failed.
        UsageError: the key is empty.
    """
    if concurrency is None and rate is None:
        return None
    key = "" if concurrency is None or concurrency.key is None else _key_of(context, concurrency.key)
    return Admission(
        group=f"{context.workflow['id']}/{key}",
        concurrency=None if concurrency is None else concurrency.limit,
        rate=None if rate is None else rate.limit,
        rate_period_ms=None if rate is None else int(rate.period * 1000),
    )


def _key_of(context: TemplateContext, template: str) -> str:
    value = render_value(template, ("concurrency", "key"), context)
    text = value if isinstance(value, str) else dump_json(value)
    if value is None or not text.strip():
        raise UsageError(
            f"concurrency.key of workflow {context.workflow['id']!r} is empty for this input",
            hint=f"the key is {template}; give the input that it reads",
        )
    if len(text) <= _LONGEST_KEY:
        return text
    # Long keys are compared by their digest, and shown by their beginning.
    return f"{text[: _LONGEST_KEY - 65]}~{hashlib.sha256(text.encode()).hexdigest()}"
