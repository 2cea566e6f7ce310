"""One task's conversation with a model: ask, check the answer, ask for a better one, done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, cast

from compozy.agent.answer import Answer, AnswerSchema
from compozy.agent.checkpoint import Checkpoint, CheckpointedModel, RecordedAnswer
from compozy.agent.config import AgentConfig
from compozy.agent.prompt import first_messages, repair_messages
from compozy.errors import KnowledgeError, ModelError
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.passages import find_passages, sources_of, with_passages
from compozy.knowledge.tokens import estimate_tokens
from compozy.model.call import CallPosition
from compozy.model.catalog import ModelCatalog
from compozy.model.failover import Failover
from compozy.model.params import to_settings
from compozy.schema.worker import validate_in_worker

if TYPE_CHECKING:
    from pydantic import JsonValue
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import ModelRequestParameters

    from compozy.knowledge.config import KnowledgeBinding

MAX_REPAIRS = 2
"""How often a model is asked again when its answer does not fit the schema."""
_MAX_EXCERPT = 300
# Room that is left for an answer whose length nobody limits.
_ANSWER_TOKENS = 512


class AgentUsage(TypedDict):
    """What a task cost: tokens of all its requests, and who answered."""

    input_tokens: int
    output_tokens: int
    requests: int
    provider: str
    model: str


@dataclass(frozen=True, kw_only=True)
class AgentRequest:
    """What an agent is asked.

    Attributes:
        task_id: as it is written in the workflow; a scripted model finds its answers by it.
        path: the task's place in the run, which names its steps.
        first_run_index: how many model requests the run has made before; see `AgentUsage.requests`.
        first_task_index: how many of them the task has made, in attempts that failed.
        config: which model answers and how; None for the defaults of the first provider.
        prompt: rendered text; it is sent as it is.
        instructions: rendered text, or None.
        output_schema: JSON Schema that the answer must fit, None for free text.
    """

    execution_id: str
    task_id: str
    path: str
    first_run_index: int
    first_task_index: int = 0
    config: AgentConfig | None
    prompt: str
    instructions: str | None = None
    output_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """What an agent answered.

    Attributes:
        text: the last answer as the model wrote it.
        output: the value that fits `output_schema`; without one, `{"text": text, "response": text}`. Where knowledge
            bases were asked it has `sources` as well, if it is an object and the schema means no other thing by it.
        fell_back_from: id of the provider that was asked for, when another one answered.
        reason: why that provider did not answer.
    """

    text: str
    output: JsonValue
    usage: AgentUsage
    fell_back_from: str | None = None
    reason: str | None = None


async def run_agent(
    request: AgentRequest, catalog: ModelCatalog, *, checkpoint: Checkpoint, knowledge: KnowledgeCatalog | None = None
) -> AgentResult:
    """Return the agent's answer to `request`. Every model request is one step of `checkpoint`.

    What its knowledge bases say is a step of its own before.

    Raises:
        ModelError: the provider refused, broke or is not set up, or no answer fitted the schema.
        KnowledgeError: a knowledge base cannot be asked.
    """
    model = _checkpointed_model(request, catalog, checkpoint)
    more: dict[str, JsonValue] = {}
    if request.config is not None and request.config.knowledge:
        passages = await _find_passages(request, request.config.knowledge, catalog, checkpoint, knowledge)
        request = replace(request, prompt=with_passages(request.prompt, passages))
        more["sources"] = cast("JsonValue", sources_of(passages))
    if request.output_schema is None:
        text = await _ask_for_text(request, model)
        return _result(text, {"text": text, "response": text, **more}, model.answers)
    schema = AnswerSchema(request.output_schema)
    text, value = await _ask_for_value(request, schema, model)
    if isinstance(value, dict) and "sources" not in schema.properties:
        value = {**value, **more}
    return _result(text, value, model.answers)


async def _find_passages(
    request: AgentRequest,
    bindings: Sequence[KnowledgeBinding],
    catalog: ModelCatalog,
    checkpoint: Checkpoint,
    knowledge: KnowledgeCatalog | None,
) -> list[dict[str, Any]]:
    async def find() -> JsonValue:
        if knowledge is None:
            raise KnowledgeError("the project has no knowledge base", hint="add a store to `knowledge.vector_dbs`")
        config = request.config
        window = catalog.resolve(config.llm if config else None, config.model if config else None).window
        told = estimate_tokens(request.prompt) + estimate_tokens(request.instructions or "")
        answer = (config.max_tokens if config else None) or _ANSWER_TOKENS
        found = await find_passages(knowledge, bindings, request.prompt, room=window - told - answer)
        return cast("JsonValue", found)

    return cast("list[dict[str, Any]]", await checkpoint(f"{request.path}.retrieve", find))


def _checkpointed_model(request: AgentRequest, catalog: ModelCatalog, checkpoint: Checkpoint) -> CheckpointedModel:
    position = CallPosition(
        execution_id=request.execution_id,
        task_id=request.task_id,
        path=request.path,
        run_index=request.first_run_index,
        task_index=request.first_task_index,
    )
    failover = Failover(*(request.config or AgentConfig()).models)
    return CheckpointedModel(
        failover=failover, resolve=lambda attempt: attempt.resolve(catalog), checkpoint=checkpoint, position=position
    )


async def _ask_for_text(request: AgentRequest, model: CheckpointedModel) -> str:
    from pydantic_ai.models import ModelRequestParameters

    messages = first_messages(request.prompt, request.instructions)
    response = await model.request(messages, to_settings(request.config), ModelRequestParameters())
    _refuse_blocked(response, model)
    text = response.text or ""
    if not text and response.finish_reason == "length":
        raise _error(model, "spent all its tokens before it wrote an answer", hint="raise `max_tokens`")
    if not text and response.thinking:
        raise _error(model, "wrote its reasoning but no answer", hint="raise `max_tokens`, or ask it not to reason")
    if not text and response.finish_reason != "stop":
        raise _error(model, "answered nothing")
    return text


async def _ask_for_value(
    request: AgentRequest, schema: AnswerSchema, model: CheckpointedModel
) -> tuple[str, JsonValue]:
    messages = first_messages(request.prompt, request.instructions)
    parameters = _schema_parameters(schema)
    for repairs_left in range(MAX_REPAIRS, -1, -1):
        response = await model.request(messages, to_settings(request.config), parameters)
        _refuse_blocked(response, model)
        text = response.text or ""
        read = partial(schema.read, text, is_cut_off=response.finish_reason == "length")
        answer = await validate_in_worker(read)
        if not answer.problems:
            return text, answer.value
        if not repairs_left:
            raise _unfit(model, response, answer)
        messages = repair_messages(
            messages, response, answer.problems, schema=schema.request_schema, instructions=request.instructions
        )
    raise AssertionError("unreachable: the last turn of the loop returns or raises")


def _schema_parameters(schema: AnswerSchema) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition

    output = OutputObjectDefinition(json_schema=schema.request_schema, name="answer")
    return ModelRequestParameters(output_mode="native", output_object=output)


def _refuse_blocked(response: ModelResponse, model: CheckpointedModel) -> None:
    if response.finish_reason == "content_filter" and not response.text:
        refusal = (response.provider_details or {}).get("refusal")
        raise _error(model, "refused to answer" + (f": {str(refusal)[:_MAX_EXCERPT]}" if refusal else ""))


def _unfit(model: CheckpointedModel, response: ModelResponse, answer: Answer) -> ModelError:
    text = (response.text or "")[:_MAX_EXCERPT]
    cut = response.finish_reason == "length"
    return _error(
        model,
        f"gave no answer that fits the task's `output` schema in {MAX_REPAIRS + 1} tries; the last one: "
        f"{'; '.join(answer.problems)}; it began {text!r}",
        hint="its answers were cut off: raise `max_tokens`" if cut else "simplify the schema or take a larger model",
        problems=answer.problems,
    )


def _error(model: CheckpointedModel, words: str, *, hint: str = "", problems: Sequence[str] = ()) -> ModelError:
    last = model.answers[-1]
    details: dict[str, Any] = {"provider": last.provider, "model": last.model}
    if problems:
        details["problems"] = list(problems)
    return ModelError(f"model {last.model!r} of provider {last.provider!r} {words}", hint=hint, details=details)


def _result(text: str, output: JsonValue, answers: Sequence[RecordedAnswer]) -> AgentResult:
    last, usage = answers[-1], _usage(answers)
    return AgentResult(text=text, output=output, usage=usage, fell_back_from=last.fell_back_from, reason=last.reason)


def _usage(answers: Sequence[RecordedAnswer]) -> AgentUsage:
    return AgentUsage(
        input_tokens=sum(answer.response.usage.input_tokens for answer in answers),
        output_tokens=sum(answer.response.usage.output_tokens for answer in answers),
        requests=len(answers),
        provider=answers[-1].provider,
        model=answers[-1].model,
    )
