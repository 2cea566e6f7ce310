"""`thinking` as a number of tokens, in the settings of the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from compozy.errors import ModelError
from compozy.model.registry import PROVIDERS

if TYPE_CHECKING:
    from pydantic_ai.settings import ModelSettings

    from compozy.model.catalog import ResolvedModel


def fit_thinking(resolved: ResolvedModel, settings: ModelSettings | None) -> ModelSettings | None:
    """Return the settings of a request with the tokens for reasoning as the provider takes them.

    Raises:
        ModelError: the model takes no number of tokens, or `max_tokens` leaves none for the answer.
    """
    merged: dict[str, Any] = {**(resolved.model.settings or {}), **(settings or {})}
    tokens = merged.get("thinking")
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        return settings
    to_settings = PROVIDERS[resolved.provider_type].thinking_tokens
    profile = cast("Mapping[str, Any]", resolved.model.profile)
    if to_settings is None or profile.get("anthropic_disallows_budget_thinking"):
        raise _error(
            resolved,
            f"takes levels of `thinking`, not a number of tokens ({tokens})",
            hint="write `thinking: low`, `medium` or `high`",
        )
    limit = merged.get("max_tokens")
    if limit is not None and limit <= tokens:
        raise _error(
            resolved,
            f"gets {limit} `max_tokens`, of which {tokens} `thinking` leaves none for the answer",
            hint="raise `max_tokens` above `thinking`, or lower `thinking`",
        )
    # Replaces the number, which may be the default of the provider.
    return cast("ModelSettings", {**(settings or {}), "thinking": True, **to_settings(tokens)})


def _error(resolved: ResolvedModel, words: str, *, hint: str) -> ModelError:
    return ModelError(
        f"model {resolved.model_name!r} of provider {resolved.provider_id!r} {words}",
        hint=hint,
        details={"provider": resolved.provider_id, "model": resolved.model_name},
    )
