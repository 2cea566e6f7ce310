"""The scripted model: answers that are written in compozy.yaml, for tests, examples and dry runs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence

from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from compozy.errors import ModelError
from compozy.model.call import AnswerText, CallPosition, current_position, current_text
from compozy.model.config import ProviderConfig, ScriptedResponse
from compozy.model.provider import BuiltModel, ModelSpec
from compozy.model.unpriced import UnpricedModel
from compozy.template import has_actions

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")
# Parts into which an answer is divided at most.
_PIECES = 50


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the scripted model that the provider's `responses` describe."""
    return BuiltModel(model=ScriptedModel(spec.config, spec.model_name))


class ScriptedModel(UnpricedModel):
    """Answers by the position of the request alone, so that a replay finds the same answer again.

    A list of responses is read in turn over a whole run, a map by task id in turn over each task; every run starts
    from the beginning. A task of a collection whose id is a template is found by the id it gets, else as it is written.
    """

    writes_text = True

    def __init__(self, config: ProviderConfig, model_name: str) -> None:
        super().__init__(profile=ModelProfile(supports_json_schema_output=True, supports_json_object_output=True))
        self._config = config
        self._model_name = model_name

    @property
    def model_name(self) -> str:
        """Return the name of the model."""
        return self._model_name

    @property
    def system(self) -> str:
        """Return the kind of provider."""
        return "scripted"

    async def request(
        self,
        messages: list[ModelMessage],  # noqa: ARG002 - the script does not listen
        model_settings: ModelSettings | None,  # noqa: ARG002 - the script does not listen
        model_request_parameters: ModelRequestParameters,  # noqa: ARG002 - the script does not listen
    ) -> ModelResponse:
        """Return the scripted answer of the current position.

        Raises:
            ModelError: the script has no answer left, or the answer is an `error`.
        """
        scripted = self._find_response(current_position())
        await _write(scripted, current_text())
        if scripted.error is not None:
            raise ModelError(
                f"provider {self._config.id!r} answered with its scripted error: {scripted.error}",
                details={
                    "provider": self._config.id,
                    "model": self._model_name,
                    **({"failure": scripted.failure} if scripted.failure else {}),
                },
            )
        return _to_response(scripted, self._model_name)

    def _find_response(self, position: CallPosition) -> ScriptedResponse:
        responses = self._config.responses
        if isinstance(responses, dict):
            own = position.path.rpartition("/")[2] if has_actions(position.task_id) else position.task_id
            entry = responses.get(own) or responses.get(position.task_id)
            if entry is None:
                raise self._no_entry(position, sorted(responses))
            turns, turn = _as_sequence(entry), position.task_index
        else:
            turns, turn = responses or (), position.run_index
        if turn >= len(turns):
            raise self._used_up(position, turn, len(turns), by_task=isinstance(responses, dict))
        return turns[turn]

    def _no_entry(self, position: CallPosition, known: Sequence[str]) -> ModelError:
        named = ", ".join(repr(task_id) for task_id in known) or "none"
        return self._fault(position, f"has no response for task {position.task_id!r}; its `responses` name: {named}")

    def _used_up(self, position: CallPosition, turn: int, count: int, *, by_task: bool) -> ModelError:
        what = f"for task {position.task_id!r}" if by_task else "in all"
        words = f"has {count} response{'' if count == 1 else 's'} {what}"
        return self._fault(position, f"{words}, and task {position.task_id!r} asked for number {turn + 1}")

    def _fault(self, position: CallPosition, words: str) -> ModelError:
        return ModelError(
            f"the scripted provider {self._config.id!r} {words}",
            hint="add a response to `responses`",
            details={"provider": self._config.id, "model": self._model_name, "task": position.task_id},
        )


def _as_sequence(entry: ScriptedResponse | tuple[ScriptedResponse, ...]) -> tuple[ScriptedResponse, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


async def _write(scripted: ScriptedResponse, text: AnswerText | None) -> None:
    """Take the time that the script names; an answer that is read meanwhile arrives word by word."""
    words = _WORD.findall(_text_of(scripted) or "") if text is not None and scripted.error is None else []
    # A pause for each of many thousand words would take longer than the script says.
    size = max(1, -(-len(words) // _PIECES))
    pieces = ["".join(words[start : start + size]) for start in range(0, len(words), size)] or [""]
    for piece in pieces:
        if scripted.delay_ms:
            await asyncio.sleep(scripted.delay_ms / 1000 / len(pieces))
        if text is not None and piece:
            text.write(piece)


def _text_of(scripted: ScriptedResponse) -> str | None:
    if scripted.text is not None or scripted.tool_calls is not None:
        return scripted.text
    return json.dumps(scripted.json_, ensure_ascii=False)


def _to_response(scripted: ScriptedResponse, model_name: str) -> ModelResponse:
    parts: list[ModelResponsePart] = []
    if (text := _text_of(scripted)) is not None:
        parts.append(TextPart(text))
    # Numbered, not random: the same script gives the same answer.
    for number, call in enumerate(scripted.tool_calls or (), start=1):
        parts.append(ToolCallPart(tool_name=call.tool, args=dict(call.arguments), tool_call_id=f"call-{number}"))
    reason: FinishReason = "tool_call" if scripted.tool_calls else "stop"
    usage = RequestUsage()
    if scripted.usage is not None:
        usage = RequestUsage(**scripted.usage.model_dump())
    return ModelResponse(parts=parts, usage=usage, model_name=model_name, finish_reason=reason)
