"""The local model: llama.cpp in this process, no server, no key, nothing downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from compozy.errors import ModelError
from compozy.model.call import current_text
from compozy.model.gguf import engine_missing, find_model_file
from compozy.model.grammar import to_grammar_schema
from compozy.model.llama import CONTEXT_TOKENS, LlamaEngine, LlamaError, shared_engine
from compozy.model.local_tools import call_words, offered_tools, read_reply, reply_schema, result_words, tool_words
from compozy.model.provider import BuiltModel, ModelSpec
from compozy.model.unpriced import UnpricedModel

DEFAULT_MAX_TOKENS = 256
"""The default length of an answer: a small model that repeats itself does not stop by itself."""
_FINISH_REASONS: dict[str | None, FinishReason] = {"stop": "stop", "length": "length"}

_PARAMS = {
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop_sequences": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repeat_penalty",
}


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return the model in the provider's file; it is loaded when it is first asked.

    Raises:
        ModelError: llama.cpp or the model is not installed, or the file is no model.
    """
    if find_spec("xllamacpp") is None:
        raise engine_missing(spec)
    return BuiltModel(model=LocalModel(spec, shared_engine(find_model_file(spec))))


class LocalModel(UnpricedModel):
    """A GGUF model on llama.cpp. Its answers are repeatable unless `temperature` is set."""

    writes_text = True

    def __init__(self, spec: ModelSpec, engine: LlamaEngine) -> None:
        profile = ModelProfile(supports_tools=True, supports_json_schema_output=True)
        super().__init__(settings=spec.default_settings(), profile=profile)
        self._spec = spec
        self._engine = engine

    @property
    def model_name(self) -> str:
        """Return the name of the model."""
        return self._spec.model_name

    @property
    def system(self) -> str:
        """Return the kind of provider."""
        return "local"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the model's answer.

        Raises:
            ModelError: the prompt does not fit the window, the schema cannot be followed, or the file is broken.
        """
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        # The model that comes with Compozy is the smallest one.
        is_smallest = self._spec.config.path is None
        body = _body(messages, settings or {}, parameters, answers_after_result=is_smallest)
        # With tools, the model writes JSON that holds the answer.
        text = None if parameters.function_tools else current_text()
        try:
            completion = await self._engine.chat(body, None if text is None else text.write)
        except LlamaError as error:
            raise self._refused(error) from error
        return self._response(completion, is_reply=bool(parameters.function_tools))

    def _response(self, completion: Mapping[str, Any], *, is_reply: bool) -> ModelResponse:
        usage = cast("Mapping[str, int]", completion["usage"])
        return ModelResponse(
            parts=read_reply(completion["text"]) if is_reply else [TextPart(completion["text"])],
            usage=RequestUsage(
                input_tokens=usage.get("prompt_tokens", 0), output_tokens=usage.get("completion_tokens", 0)
            ),
            model_name=self.model_name,
            finish_reason=_FINISH_REASONS.get(completion["finish_reason"]),
        )

    def _refused(self, error: LlamaError) -> ModelError:
        details: dict[str, Any] = {"provider": self._spec.config.id, "model": self.model_name}
        if error.context is None:
            return ModelError(f"the local model {self.model_name!r} cannot answer: {error}", details=details)
        prompt, window = error.context
        return ModelError(
            f"the prompt has {prompt} tokens, and the local model {self.model_name!r} takes {window} with its answer",
            hint="shorten the prompt, or ask a provider with a larger window",
            details={**details, "prompt_tokens": prompt, "context_tokens": window},
        )


def _body(
    messages: Sequence[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    *,
    answers_after_result: bool,
) -> dict[str, Any]:
    tools = offered_tools(messages, settings, parameters, answers_after_result=answers_after_result)
    body: dict[str, Any] = {
        "messages": _chat(messages, tool_words(tools)),
        **{name: value for key, name in _PARAMS.items() if (value := settings.get(key)) is not None},
        "temperature": settings.get("temperature", 0.0),
        "max_tokens": min(settings.get("max_tokens", DEFAULT_MAX_TOKENS), CONTEXT_TOKENS),
        # The cache depends on earlier prompts; without it the same prompt gives the same answer.
        "cache_prompt": False,
    }
    is_native = parameters.output_mode == "native" and parameters.output_object is not None
    schema = parameters.output_object.json_schema if is_native and parameters.output_object is not None else None
    if parameters.function_tools:
        choice = settings.get("tool_choice")
        schema = reply_schema(tools, schema, must_call=choice == "required" or isinstance(choice, list))
    if schema is not None:
        format_ = {"name": "answer", "schema": to_grammar_schema(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": format_}
    return body


def _chat(messages: Sequence[ModelMessage], more: str = "") -> list[dict[str, str]]:
    """Return the conversation in OpenAI's format: the instructions, then the turns."""
    system: list[str] = []
    turns: list[dict[str, str]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            # Where no tool can be called, the model would imitate its calls instead of answering.
            said = call_words(message) if more else message.text or ""
            turns += [{"role": "assistant", "content": said}] if said else []
            continue
        for text in _user_texts(message, can_call=bool(more)):
            if turns and turns[-1]["role"] == "user":
                turns[-1]["content"] += f"\n\n{text}"
            else:
                turns.append({"role": "user", "content": text})
        system.extend(part.content for part in message.parts if isinstance(part, SystemPromptPart))
    instructions = next((m.instructions for m in reversed(messages) if isinstance(m, ModelRequest)), None)
    told = "\n\n".join(text for text in (*system, instructions, more) if text)
    return [{"role": "system", "content": told}, *turns] if told else turns


def _user_texts(message: ModelRequest, *, can_call: bool) -> list[str]:
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, UserPromptPart) and isinstance(part.content, str):
            texts.append(part.content)
        elif isinstance(part, ToolReturnPart):
            texts.append(result_words(part, can_call=can_call))
    return texts
