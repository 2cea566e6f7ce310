"""The conversation of one task: ask, run the tools that the model calls, check the answer, ask for a better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from compozy.agent.answer import Answer, AnswerSchema
from compozy.agent.checkpoint import ANSWER_TOOL, CheckpointedModel, answer_text
from compozy.agent.compaction import compacted, is_due, summary_messages
from compozy.agent.prompt import first_messages, repair_messages, tool_messages
from compozy.agent.settings import ToolRules
from compozy.agent.tools import ToolBelt
from compozy.errors import ModelError
from compozy.schema.worker import validate_in_worker

if TYPE_CHECKING:
    from pydantic import JsonValue

_MAX_EXCERPT = 300


@dataclass(kw_only=True)
class Conversation:
    """A conversation with a model that ends with an answer.

    Args:
        model: every request is a durable step.
        prompt: rendered text.
        instructions: rendered text, or None.
        settings: of the requests, without `tool_choice`.
        schema: of the answer, None for free text.
        rules: limits.
        belt: the tools that the model can call, None for none.
        first_request: requests of the task in attempts before this one.
        remembered: tokens that the model is sent before the prompt.
    """

    model: CheckpointedModel
    prompt: str
    instructions: str | None
    settings: ModelSettings
    schema: AnswerSchema | None
    rules: ToolRules
    belt: ToolBelt | None = None
    first_request: int = 0
    remembered: int = 0

    async def run(self) -> tuple[str, JsonValue]:
        """Return the answer as the model wrote it, and its value under the schema (None without one).

        Raises:
            ModelError: the provider failed, no answer matches the schema, or the model only calls tools.
            ToolError: the calls make no progress.
        """
        messages = first_messages(self.prompt, self.instructions)
        repairs_left = self.rules.output_retries
        turn = 0
        while True:
            is_last = self.belt is not None and turn >= self.rules.max_iterations
            response = await self._ask(messages, turn, is_last=is_last)
            turn += 1
            calls = self._calls(response)
            if calls and not is_last:
                messages = await self._use_tools(messages, response, calls, turn)
                messages = await self._compact(messages, response)
                continue
            text = answer_text(response)
            if self.schema is None:
                self._refuse_empty(response)
                return text, None
            answer = await self._read(self.schema, text, response)
            if not answer.problems:
                return text, answer.value
            if not repairs_left:
                self._refuse_unfit(response, answer)
            repairs_left -= 1
            messages = repair_messages(
                messages,
                response,
                answer.problems,
                schema=self.schema.request_schema,
                instructions=self.instructions,
            )

    async def _ask(self, messages: list[ModelMessage], turn: int, *, is_last: bool) -> ModelResponse:
        settings: ModelSettings = {**self.settings}
        if self.belt is not None:
            choice = "none" if is_last else self.rules.tool_choice if turn == 0 else "auto"
            settings["tool_choice"] = _choice(choice)
        response = await self.model.request(messages, settings, self._parameters())
        if response.finish_reason == "content_filter" and not response.text:
            refusal = (response.provider_details or {}).get("refusal")
            raise self._error("refused to answer" + (f": {str(refusal)[:_MAX_EXCERPT]}" if refusal else ""))
        return response

    def _parameters(self) -> ModelRequestParameters:
        tools = self.belt.definitions if self.belt is not None else []
        if self.schema is None:
            return ModelRequestParameters(function_tools=tools)
        output = OutputObjectDefinition(json_schema=self.schema.request_schema, name="answer")
        return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=output)

    def _calls(self, response: ModelResponse) -> list[ToolCallPart]:
        """Return the calls of tools in an answer; none if it also gives the final answer."""
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        is_final = any(call.tool_name == ANSWER_TOOL for call in calls)
        return [] if is_final or self.belt is None else calls

    async def _use_tools(
        self, messages: list[ModelMessage], response: ModelResponse, calls: list[ToolCallPart], turn: int
    ) -> list[ModelMessage]:
        assert self.belt is not None  # noqa: S101 - calls come from a belt
        if turn >= self.rules.max_iterations and self.rules.on_limit == "fail":
            raise self._error(
                f"still called tools in request {turn} of `max_iterations`, {self.rules.max_iterations}",
                hint="raise `max_iterations`, or write `on_limit: answer`",
            )
        returns = await self.belt.answer(calls, self.first_request + turn - 1)
        return tool_messages(messages, response, returns, instructions=self.instructions)

    async def _compact(self, messages: list[ModelMessage], response: ModelResponse) -> list[ModelMessage]:
        """Return the conversation, with a summary in place of its old turns if it has become too long.

        Everything that decides is recorded, so that a replay decides the same.
        """
        compaction = self.rules.compaction
        window = self.model.answers[-1].window
        if compaction is None or not is_due(compaction, messages, response, window, before=self.remembered):
            return messages
        request = summary_messages(compaction, messages)
        named = {"llm": compaction.llm, "model": compaction.model}
        summary = await self.model.request_summary(request, {**self.settings}, **named)
        # Without a summary the turns stay: the model may accept them.
        return compacted(compaction, messages, summary.text) if summary.text else messages

    async def _read(self, schema: AnswerSchema, text: str, response: ModelResponse) -> Answer:
        return await validate_in_worker(partial(schema.read, text, is_cut_off=response.finish_reason == "length"))

    def _refuse_empty(self, response: ModelResponse) -> None:
        if response.text:
            return
        if response.finish_reason == "length":
            raise self._error("spent all its tokens before it wrote an answer", hint="raise `max_tokens`")
        if response.thinking:
            hint = "raise `max_tokens`, or ask it not to reason"
            raise self._error("wrote its reasoning but no answer", hint=hint)
        if response.finish_reason != "stop" or self._is_only_calls(response):
            raise self._error("answered nothing")

    def _is_only_calls(self, response: ModelResponse) -> bool:
        return any(isinstance(part, ToolCallPart) for part in response.parts)

    def _refuse_unfit(self, response: ModelResponse, answer: Answer) -> NoReturn:
        text = answer_text(response)[:_MAX_EXCERPT]
        cut = response.finish_reason == "length"
        tries = self.rules.output_retries + 1
        raise self._error(
            f"gave no answer that matches the task's `output` schema in {tries} tries; the last one: "
            f"{'; '.join(answer.problems)}; it began {text!r}",
            hint="its answers were cut off: raise `max_tokens`"
            if cut
            else "simplify the schema or take a larger model",
            problems=answer.problems,
        )

    def _error(self, words: str, *, hint: str = "", problems: Sequence[str] = ()) -> ModelError:
        last = self.model.answers[-1]
        details: dict[str, Any] = {"provider": last.provider, "model": last.model}
        if problems:
            details["problems"] = list(problems)
        return ModelError(f"model {last.model!r} of provider {last.provider!r} {words}", hint=hint, details=details)


def _choice(choice: str) -> Literal["auto", "none", "required"] | list[str]:
    return choice if choice in {"auto", "none", "required"} else [choice]  # pyright: ignore[reportReturnType]
