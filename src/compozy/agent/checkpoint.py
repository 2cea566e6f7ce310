"""A model whose every request is a durable step: what was answered once is never bought again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Protocol, cast

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from compozy.agent.attachment.content import Attached
from compozy.agent.attachment.results import Load, add_files, estimate_files
from compozy.agent.budget import Admit, Amounts, Estimate, admit_all
from compozy.agent.compaction import estimate_messages
from compozy.agent.described import describe_request
from compozy.agent.metering import metered
from compozy.agent.steps import request_step
from compozy.boundary import OutsideRequest, exchange
from compozy.errors import InternalError, ModelError
from compozy.model.call import AnswerText, CallPosition, at_position
from compozy.model.catalog import ResolvedModel
from compozy.model.cost import Cost, Quote, quote_of
from compozy.model.failover import Attempt, Failover
from compozy.model.thinking import fit_thinking
from compozy.model.unpriced import UnpricedModel

ANSWER_TOOL = "compozy_answer"
"""Tool whose argument is the answer, for models that do not accept an answer schema together with tools."""
# Tokens of an answer without a limit, for estimates.
_ANSWER_TOKENS = 512
# Why an answer ended before its end; other reasons are not stored.
_CUT_OFF = ("length", "content_filter")
_RESPONSE: TypeAdapter[ModelResponse] = TypeAdapter(ModelResponse)


class Checkpoint(Protocol):
    """A durable step: returns what `call` returns, or, on a replay, what it returned the first time."""

    async def __call__(self, name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        """Run the step `name`."""
        ...


def usage_of(recorded: JsonValue) -> dict[str, Any]:
    """Return what a request cost, by what its step recorded: token counts, who answered, and instead of whom.

    `finish_reason` is set where something cut the answer off.
    """
    answer = _from_json(recorded)
    usage = answer.response.usage
    return {
        "provider": answer.provider,
        "model": answer.model,
        "fell_back_from": answer.fell_back_from,
        "reason": answer.reason,
        "finish_reason": reason if (reason := answer.response.finish_reason) in _CUT_OFF else None,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "requests": 1,
        "cost_micros": answer.cost.micros or 0,
        "unpriced_requests": int(answer.cost.micros is None),
    }


@dataclass(frozen=True, kw_only=True)
class RecordedAnswer:
    """The recorded result of one model request: the answer and the model that gave it.

    `window` is the number of tokens that the model accepts, None in answers that were recorded without it. The price
    in `cost` is that of the day of the request.
    """

    response: ModelResponse
    provider: str
    model: str
    fell_back_from: str | None
    reason: str | None
    window: int | None
    cost: Cost = field(default_factory=Cost)


class ShownText(AnswerText, Protocol):
    """The text of one answer, shown while the model writes it."""

    async def end(self, text: str) -> None:
        """Show the rest of the answer when it is recorded."""
        ...

    def close(self) -> None:
        """Take the text back; called at the end of each request."""
        ...


NamedModel = tuple[Mapping[str, Any], ModelSettings]
OpenText = Callable[[CallPosition], Awaitable[ShownText | None]]


class CheckpointedModel(UnpricedModel):
    """Sends each request through a checkpoint, and keeps what was answered in `answers`.

    The model behind it is chosen inside the step. A replay therefore needs no key, no package and no model file.

    Args:
        failover: the models that can answer; each that is asked is a step.
        resolve: builds the model; called once per request that is really made.
        name: returns how the files name the model, and the parameters of its provider.
        checkpoint: the durable step.
        position: where the first request stands; the following ones count on from it.
        attached: the attachments of the first prompt, None for none.
        load: returns the bytes of a file in the result of a tool by their SHA-256; None if tools give no files.
        open_text: returns where an answer is shown while it is written; None if it is not.
        admit: admits each request that is not recorded, by the budgets around it.
        history: messages to send before those of each request, None for none.
        remembered: about how many tokens `history` has.
        quote: returns what a model costs, for `admit`.
    """

    def __init__(
        self,
        *,
        failover: Failover,
        resolve: Callable[[Attempt], ResolvedModel],
        name: Callable[[Attempt], NamedModel],
        checkpoint: Checkpoint,
        position: CallPosition,
        attached: Attached | None = None,
        load: Load | None = None,
        open_text: OpenText | None = None,
        admit: Admit = admit_all,
        history: Callable[[], Awaitable[list[ModelMessage]]] | None = None,
        remembered: int = 0,
        quote: Callable[[Attempt], Quote] | None = None,
    ) -> None:
        # The real model is not known on a replay, so this one promises everything and each request is fitted to the
        # real one inside the step.
        super().__init__(profile=ModelProfile(supports_json_schema_output=True, supports_json_object_output=True))
        self.answers: list[RecordedAnswer] = []
        self._failover = failover
        self._resolve = resolve
        self._name = name
        self._checkpoint = checkpoint
        self._next = position
        self._attached = attached
        self._load = load
        self._open_text = open_text
        self._admit = admit
        self._history = history
        self._remembered = remembered
        self._quote: Callable[[Attempt], Quote] = quote or partial(_quote_resolved, resolve)

    @property
    def model_name(self) -> str:
        """Return the name of the model that answered last, "" before the first answer."""
        return self.answers[-1].model if self.answers else ""

    @property
    def system(self) -> str:
        """Return the provider that answered last, "" before the first answer."""
        return self.answers[-1].provider if self.answers else ""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the model's answer, from the journal when it is there.

        Raises:
            ModelError: the provider refused, broke or is not set up.
        """
        return await self._request(messages, model_settings, model_request_parameters)

    async def request_summary(
        self, messages: list[ModelMessage], settings: ModelSettings, *, llm: str | None = None, model: str | None = None
    ) -> ModelResponse:
        """Return the answer to a separate request without tools and attachments, of another model if one is named.

        Raises:
            ModelError: as for `request`.
        """
        failover = self._failover.instead(llm, model)
        # Parameters of the agent may be unknown to another model.
        given = settings if failover is self._failover else ModelSettings()
        return await self._request(messages, given, ModelRequestParameters(), summarizes=failover)

    async def _request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        *,
        summarizes: Failover | None = None,
    ) -> ModelResponse:
        position = self._next
        self._next = replace(position, run_index=position.run_index + 1, task_index=position.task_index + 1)
        text: ShownText | None = None
        is_summary = summarizes is not None
        open_text, attached = (None, None) if is_summary else (self._open_text, self._attached)

        async def ask(attempt: Attempt) -> RecordedAnswer:
            async def call() -> JsonValue:
                before = [] if is_summary else await self._said_before()
                return await exchange(partial(describe, attempt, before), partial(perform, attempt, before))

            name = request_step(position.path, attempt.number)
            async with self._admit(name, lambda: self._estimate(attempt, messages, model_settings, is_summary)):
                return _from_json(await self._checkpoint(name, call))

        def describe(attempt: Attempt, before: list[ModelMessage]) -> OutsideRequest:
            model, defaults = self._name(attempt)
            settings = {**defaults, **attempt.settings(model_settings)}
            sent, step = [*before, *messages], request_step(position.path, attempt.number)
            return describe_request(step, position.path, model, sent, settings, model_request_parameters, attached)

        async def perform(attempt: Attempt, before: list[ModelMessage]) -> JsonValue:
            nonlocal text
            if text is None and open_text is not None:
                text = await open_text(position)
            resolved = self._resolve(attempt)
            settings = fit_thinking(resolved, attempt.settings(model_settings))
            parameters = _fit_parameters(resolved, model_request_parameters)
            _check_thinking(resolved, settings)
            sent = await self._with_files(messages, attached, resolved)
            with at_position(position, text):
                return await _send(resolved, [*before, *sent], settings, parameters)

        try:
            answer = await (summarizes or self._failover).ask(ask)
            if text is not None:
                await text.end(answer_text(answer.response))
        finally:
            if text is not None:
                text.close()
        self.answers.append(answer)
        return answer.response

    async def _with_files(
        self, messages: list[ModelMessage], attached: Attached | None, resolved: ResolvedModel
    ) -> list[ModelMessage]:
        sent = messages if attached is None else await attached.add_to(messages, resolved)
        return sent if self._load is None else await add_files(sent, resolved, self._load)

    def _estimate(
        self, attempt: Attempt, messages: list[ModelMessage], settings: ModelSettings | None, is_summary: bool
    ) -> Estimate:
        """Return what a request will spend if its answer is as long as it may be, or 512 tokens without a limit."""
        quote = self._quote(attempt)
        rate = quote.rate
        sent = estimate_messages(messages) + estimate_files(messages)
        if not is_summary:
            sent += self._remembered + (self._attached.tokens if self._attached is not None else 0)
        written = attempt.settings(settings).get("max_tokens") or _ANSWER_TOKENS
        cost = 0 if rate is None else rate.micros(sent, written)
        amounts = Amounts(cost_micros=cost, tokens=sent + written, requests=1)
        return Estimate(amounts=amounts, has_price=rate is not None, model=quote.model)

    async def _said_before(self) -> list[ModelMessage]:
        return [] if self._history is None else await self._history()


def _quote_resolved(resolve: Callable[[Attempt], ResolvedModel], attempt: Attempt) -> Quote:
    return quote_of(resolve(attempt))


async def _send(
    resolved: ResolvedModel,
    messages: list[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
) -> JsonValue:
    """Send one request, and return its answer with its cost as it is recorded."""
    request = partial(
        model_request, resolved.model, messages, model_settings=settings, model_request_parameters=parameters
    )
    response, cost = await metered(resolved, request)
    return _to_json(resolved, response, cost)


def answer_text(response: ModelResponse) -> str:
    """Return the text of an answer, or the arguments of the tool that gives it."""
    for part in response.parts:
        if isinstance(part, ToolCallPart) and part.tool_name == ANSWER_TOOL:
            return part.args if isinstance(part.args, str) else json.dumps(part.args or {}, ensure_ascii=False)
    return response.text or ""


def _fit_parameters(resolved: ResolvedModel, parameters: ModelRequestParameters) -> ModelRequestParameters:
    """Return `parameters` as the model can take them.

    The schema of the answer becomes the argument of a tool where the model takes no schema beside tools, and words
    where it takes none at all.

    Raises:
        ModelError: the model cannot call tools.
    """
    profile = cast("Mapping[str, Any]", resolved.model.profile)
    if parameters.function_tools and not profile.get("supports_tools", True):
        raise ModelError(
            f"model {resolved.model_name!r} of provider {resolved.provider_id!r} cannot call tools",
            hint="choose a model that can, or remove `tools`",
            details={"provider": resolved.provider_id, "model": resolved.model_name},
        )
    if parameters.output_mode != "native" or parameters.output_object is None:
        return parameters
    takes_schema = profile.get("supports_json_schema_output", False)
    if not parameters.function_tools:
        return parameters if takes_schema else replace(parameters, output_mode="prompted")
    # Only the models of Google say whether they take both; those of other providers that take a schema do.
    if takes_schema and profile.get("google_supports_tool_combination", True):
        return parameters
    answer = ToolDefinition(
        name=ANSWER_TOOL,
        description="Gives the final answer.",
        parameters_json_schema=parameters.output_object.json_schema,
        kind="output",
    )
    return replace(parameters, output_mode="tool", output_object=None, output_tools=[answer], allow_text_output=False)


def _check_thinking(resolved: ResolvedModel, settings: ModelSettings | None) -> None:
    """Refuse a request for reasoning that the model would not get: the package leaves it out.

    Raises:
        ModelError: names the model.
    """
    profile = cast("Mapping[str, Any]", resolved.model.profile)
    can_think = profile.get("supports_thinking") or getattr(resolved.model, "sends_thinking", False)
    if (settings or {}).get("thinking") and not can_think:
        raise ModelError(
            f"model {resolved.model_name!r} of provider {resolved.provider_id!r} does not reason before it answers",
            hint="choose a model that does, or remove `thinking`",
            details={"provider": resolved.provider_id, "model": resolved.model_name},
        )


def _to_json(resolved: ResolvedModel, response: ModelResponse, cost: Cost) -> JsonValue:
    return {
        "provider": resolved.provider_id,
        "model": resolved.model_name,
        "fell_back_from": resolved.fell_back_from,
        "reason": resolved.reason,
        "window": cast("Mapping[str, Any]", resolved.model.profile).get("context_window") or resolved.window,
        "cost": asdict(cost),  # pyrefly: ignore[bad-assignment]
        "response": _RESPONSE.dump_python(response, mode="json", exclude_none=True),
    }


def _from_json(recorded: JsonValue) -> RecordedAnswer:
    fields = cast("dict[str, Any]", recorded)
    try:
        return RecordedAnswer(
            response=_RESPONSE.validate_python(fields["response"]),
            provider=fields["provider"],
            model=fields["model"],
            fell_back_from=fields["fell_back_from"],
            reason=fields["reason"],
            window=fields.get("window"),
            cost=Cost(**fields.get("cost", {})),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InternalError("the journal holds a model answer that this version cannot read") from error
