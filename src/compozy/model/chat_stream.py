"""Chat completions that a server sends piece by piece: what is recorded is made from the pieces put together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Any, cast

from openai import APIError
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIStreamedResponse
from pydantic_ai.settings import ModelSettings

from compozy.model.call import AnswerText, current_text
from compozy.model.completion import status_of_error
from compozy.model.failure import ErrorInAnswer

_TEXTS = ("content", "refusal", "reasoning", "reasoning_content")
_FACTS = ("id", "created", "model", "usage", "service_tier", "error")
# How servers refuse a request only because it asks for a stream.
_REFUSED_STATUSES = frozenset({400, 405, 415, 422, 501})
_NOT_A_STREAM = (UnexpectedModelBehavior, AttributeError, IndexError, KeyError, TypeError, ValueError)


class StreamedChatModel(OpenAIChatModel):
    """A chat model whose answer can be read while it is written."""

    writes_text = True
    # Whether the server sent something else where a stream was asked for.
    _has_no_streams = False

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _KeptStream

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer; a server that sends no streams is asked for the whole answer."""
        text = current_text()
        if text is not None and not self._has_no_streams:
            try:
                return await self._request_streamed(messages, model_settings, model_request_parameters, text)
            except ModelHTTPError as error:
                if error.status_code not in _REFUSED_STATUSES or "stream" not in str(error.body).lower():
                    raise
            except _NOT_A_STREAM:
                pass
            self._has_no_streams = True
            text.start()
        return await super().request(messages, model_settings, model_request_parameters)

    async def _request_streamed(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        text: AnswerText,
    ) -> ModelResponse:
        try:
            async with self.request_stream(messages, settings, parameters) as stream:
                if not isinstance(stream, _KeptStream):
                    return stream.get()
                stream.pieces = pieces = _Pieces(text)
                async for _ in stream:
                    pass
        except ModelAPIError as error:
            if (meant := _explain(error, self.model_name)) is None:
                raise
            raise meant from error
        return self._process_response(self._completion(pieces.document()))

    def _completion(self, document: dict[str, Any]) -> ChatCompletion:
        return ChatCompletion.model_validate(document)


class _KeptStream(OpenAIStreamedResponse):
    """Keeps the pieces as they came."""

    pieces: _Pieces | None = None

    def _validate_response(self) -> AsyncIterable[ChatCompletionChunk]:
        return self._keep(super()._validate_response())

    async def _keep(self, chunks: AsyncIterable[ChatCompletionChunk]) -> AsyncIterable[ChatCompletionChunk]:
        async for chunk in chunks:
            if self.pieces is not None:
                self.pieces.add(chunk)
            yield chunk


class _Pieces:
    """Puts the chunks of one answer together."""

    def __init__(self, text: AnswerText) -> None:
        self._text = text
        self._facts: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[Any, dict[str, Any]] = {}
        self._finish_reason: Any = None

    def add(self, chunk: ChatCompletionChunk) -> None:
        document: dict[str, Any] = json.loads(json.dumps(chunk.model_dump(warnings=False), default=str))
        for name in _FACTS:
            if document.get(name) is not None:
                self._facts[name] = document[name]
        for choice in cast("list[dict[str, Any]]", document.get("choices") or [])[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._facts["error"] = choice.get("error") or self._facts.get("error")
            self._add_delta(choice.get("delta") or choice.get("message") or {})

    def _add_delta(self, delta: dict[str, Any]) -> None:
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                self._texts.setdefault(name, []).append(delta[name])
        if isinstance(content := delta.get("content"), str):
            self._text.write(content)
        elif content is not None:
            raise UnexpectedModelBehavior("its stream holds text in parts")
        for number, call in enumerate(cast("list[dict[str, Any]]", delta.get("tool_calls") or [])):
            self._add_call(call, number)

    def _add_call(self, piece: dict[str, Any], number: int) -> None:
        index = piece.get("index")
        call = self._calls.setdefault(number if index is None else index, {"id": "", "name": "", "arguments": []})
        function: dict[str, Any] = piece.get("function") or {}
        call["id"] = call["id"] or piece.get("id") or ""
        call["name"] = call["name"] or function.get("name") or ""
        arguments = function.get("arguments") or ""
        call["arguments"].append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def document(self) -> dict[str, Any]:
        """Return the whole completion.

        Raises:
            UnexpectedModelBehavior: the stream held no answer, or only the start of one.
        """
        # Without a reason for its end, nothing shows that an answer is whole.
        if not self._finish_reason and not self._facts.get("error"):
            raise UnexpectedModelBehavior("its stream has no end")
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
                }
                for call in self._calls.values()
            ]
        choice = {"index": 0, "finish_reason": self._finish_reason, "message": message}
        facts = {name: value for name, value in self._facts.items() if value is not None}
        return {"id": "", "created": 0, "model": "", "object": "chat.completion", **facts, "choices": [choice]}


def _explain(error: ModelAPIError, model_name: str) -> Exception | None:
    """Return what an error in a stream means, None for one of the request or of the connection.

    An error that the server sent is the same as in a whole answer.
    """
    if isinstance(error, (ModelHTTPError, ModelConnectionError, ModelTimeoutError)) and not error.in_stream:
        return None
    cause = error.__cause__
    if type(cause) is APIError and cause.body:
        return ErrorInAnswer(status_of_error(cause.body), model_name, body=cause.body)
    return UnexpectedModelBehavior(error.message)
