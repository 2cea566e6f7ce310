"""Parameters of models: what a request can say about the answer besides the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from compozy.config.settings import Section

if TYPE_CHECKING:
    from pydantic_ai.settings import ModelSettings

_MAX_STOPS = 16
ThinkingTokens = Annotated[int, Field(ge=1024, le=1_000_000)]


class ModelParams(Section):
    """Parameters of the model. Which of them a model accepts depends on its provider."""

    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int | None = Field(default=None, ge=1, description="Maximum length of the answer, in tokens.")
    top_p: float | None = Field(
        default=None, ge=0, le=1, description="Sample from the most likely tokens that have this probability together."
    )
    top_k: int | None = Field(default=None, ge=1, description="Sample from this number of the most likely tokens.")
    seed: int | None = Field(default=None, description="Seed for sampling, for answers that can be repeated.")
    stop: tuple[str, ...] | None = Field(
        default=None, min_length=1, max_length=_MAX_STOPS, description="Texts that end the answer."
    )
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty for tokens by how often they occurred."
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty for tokens that occurred at all."
    )
    repetition_penalty: float | None = Field(
        default=None, ge=0.1, le=2, description="Factor against repeated tokens; 1 is none."
    )
    thinking: bool | Literal["off", "minimal", "low", "medium", "high"] | ThinkingTokens | None = Field(
        default=None,
        description="Reasoning before the answer: `off`, its amount, or its tokens. Default: that of the model.",
    )
    cache: bool | Literal["5m", "30m", "1h", "12h"] | None = Field(
        default=None, description="Prompt caching by the provider: `true`, or how long the prompt is kept."
    )


PARAMS = tuple(ModelParams.model_fields)
"""The names of all parameters."""
COMMON_PARAMS = frozenset({"temperature", "max_tokens", "top_p", "stop"})
"""Parameters that each kind of provider accepts."""
OPENAI_PARAMS = COMMON_PARAMS | {"seed", "frequency_penalty", "presence_penalty"}
"""Parameters of OpenAI's chat format."""
# Parameters that Pydantic AI calls otherwise.
_NAMES = {"stop": "stop_sequences"}


def to_settings(params: ModelParams | None) -> ModelSettings:
    """Return the parameters that are set, as Pydantic AI takes them; `repetition_penalty` is our addition."""
    written = params.model_dump(include=set(PARAMS), exclude_none=True) if params is not None else {}
    settings: dict[str, Any] = {_NAMES.get(name, name): written[name] for name in PARAMS if name in written}
    if "stop_sequences" in settings:
        settings["stop_sequences"] = list(settings["stop_sequences"])
    if settings.get("thinking") == "off":
        settings["thinking"] = False
    return cast("ModelSettings", settings)
