"""The agent of a task: what it is asked, what it answered, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, cast

from compozy.agent.answer import AnswerSchema
from compozy.agent.attachment.content import Attached
from compozy.agent.attachment.results import Load
from compozy.agent.budget import Admit, admit_all
from compozy.agent.checkpoint import Checkpoint, CheckpointedModel, OpenText, RecordedAnswer
from compozy.agent.config import AgentConfig
from compozy.agent.loop import Conversation
from compozy.agent.remember import History, remember
from compozy.agent.settings import ToolRules
from compozy.agent.tools import ToolBelt
from compozy.boundary import OutsideRequest, exchange, is_within_boundary
from compozy.errors import KnowledgeError
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.passages import find_passages, sources_of, with_passages
from compozy.knowledge.tokens import estimate_tokens
from compozy.memory.session import MemorySession
from compozy.model.call import CallPosition
from compozy.model.catalog import ModelCatalog
from compozy.model.cost import Quote, quote_named, quote_of
from compozy.model.failover import Attempt, Failover
from compozy.model.params import to_settings

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.knowledge.config import KnowledgeBinding

# Room for an answer without a configured limit.
_ANSWER_TOKENS = 512


class AgentUsage(TypedDict):
    """The cost of a task: tokens of all its requests, and the models that answered."""

    input_tokens: int
    output_tokens: int
    requests: int
    provider: str
    model: str


@dataclass(frozen=True, kw_only=True)
class AgentRequest:
    """The request to an agent.

    Attributes:
        task_id: as it is written in the workflow; a scripted model finds its answers by it.
        path: the task's place in the run, which names its steps.
        first_run_index: how many model requests the run has made before; see `AgentUsage.requests`.
        first_task_index: how many of them the task has made, in attempts that failed.
        config: which model answers and how; None for the defaults of the first provider.
        prompt: rendered text; it is sent as it is.
        instructions: rendered text, or None.
        output_schema: JSON Schema that the answer must fit, None for free text.
        rules: limits of the conversation.
        attached: files to send with the prompt, None for none.
        load: returns the bytes of a file in the result of a tool by their SHA-256.
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
    rules: ToolRules = field(default_factory=ToolRules)
    attached: Attached | None = None
    load: Load | None = None


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """The answer of an agent.

    Attributes:
        text: the last answer as the model wrote it.
        output: the value that matches `output_schema`; without one, `{"text": text, "response": text}`. Where knowledge
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
    request: AgentRequest,
    catalog: ModelCatalog,
    *,
    checkpoint: Checkpoint,
    knowledge: KnowledgeCatalog | None = None,
    belt: ToolBelt | None = None,
    open_text: OpenText | None = None,
    memory: MemorySession | None = None,
    admit: Admit = admit_all,
) -> AgentResult:
    """Return the agent's answer to `request`. Every model request is one step of `checkpoint`.

    Args:
        request: what is asked.
        catalog: the models.
        checkpoint: records each request.
        knowledge: the knowledge bases.
        belt: the tools that the model can call, None for none.
        open_text: returns where an answer is shown while it is written, None to show none.
        memory: the conversations that the agent remembers; the caller stores what is added. None for none.
        admit: admits each request, by the budgets around it.

    Raises:
        ModelError: the provider refused, broke or is not set up, or no answer fitted the schema.
        ToolError: the model calls tools without progress.
        KnowledgeError: a knowledge base cannot be asked.
        ConversationError: an answer cannot be remembered.
        BudgetError: a budget is spent, and not raised.
    """
    question = request.prompt
    if memory is not None:
        await memory.read(checkpoint, lambda: _window(request, catalog))
        await memory.find(checkpoint, knowledge, question)
    model = _checkpointed_model(request, catalog, checkpoint, open_text, memory, admit)
    more: dict[str, JsonValue] = {}
    if request.config is not None and request.config.knowledge:
        passages = await _find_passages(request, request.config.knowledge, catalog, checkpoint, knowledge, memory)
        request = replace(request, prompt=with_passages(request.prompt, passages))
        more["sources"] = cast("JsonValue", sources_of(passages))
    schema = AnswerSchema(request.output_schema) if request.output_schema is not None else None
    conversation = _conversation(request, model, schema, belt, memory)
    text, value = await conversation.run()
    if memory is not None:
        await remember(memory, model, to_settings(request.config), question=question, answer=text)
    if schema is None:
        return _result(text, {"text": text, "response": text, **more}, model.answers)
    if isinstance(value, dict) and "sources" not in schema.properties:
        value = {**value, **more}
    return _result(text, value, model.answers)


def _conversation(
    request: AgentRequest,
    model: CheckpointedModel,
    schema: AnswerSchema | None,
    belt: ToolBelt | None,
    memory: MemorySession | None,
) -> Conversation:
    return Conversation(
        model=model,
        prompt=request.prompt,
        instructions=request.instructions,
        settings=to_settings(request.config),
        schema=schema,
        rules=request.rules,
        belt=belt,
        first_request=request.first_task_index,
        remembered=memory.tokens if memory is not None else 0,
    )


async def _find_passages(
    request: AgentRequest,
    bindings: Sequence[KnowledgeBinding],
    catalog: ModelCatalog,
    checkpoint: Checkpoint,
    knowledge: KnowledgeCatalog | None,
    memory: MemorySession | None,
) -> list[dict[str, Any]]:
    name = f"{request.path}.retrieve"

    async def find() -> JsonValue:
        if knowledge is None:
            raise KnowledgeError("the project has no knowledge base", hint="add a store to `knowledge.vector_dbs`")
        config = request.config
        window = _window(request, catalog)
        told = estimate_tokens(request.prompt) + estimate_tokens(request.instructions or "")
        told += memory.tokens if memory is not None else 0
        answer = (config.max_tokens if config else None) or _ANSWER_TOKENS
        found = await find_passages(knowledge, bindings, request.prompt, room=window - told - answer)
        return cast("JsonValue", found)

    def describe() -> OutsideRequest:
        bases = [binding.model_dump(mode="json", exclude_unset=True) for binding in bindings]
        content = {"knowledge": bases, "query": request.prompt}
        return OutsideRequest(kind="knowledge", path=request.path, content=content, step=name)

    return cast("list[dict[str, Any]]", await checkpoint(name, partial(exchange, describe, find)))


def _window(request: AgentRequest, catalog: ModelCatalog) -> int:
    """Return how many tokens the model accepts."""
    config = request.config
    return catalog.resolve(config.llm if config else None, config.model if config else None).window


def plain_model(
    request: AgentRequest, catalog: ModelCatalog, *, checkpoint: Checkpoint, admit: Admit = admit_all
) -> CheckpointedModel:
    """Return the model of a single request, such as that for a summary."""
    return _checkpointed_model(request, catalog, checkpoint, None, None, admit)


def _checkpointed_model(
    request: AgentRequest,
    catalog: ModelCatalog,
    checkpoint: Checkpoint,
    open_text: OpenText | None,
    memory: MemorySession | None,
    admit: Admit,
) -> CheckpointedModel:
    position = CallPosition(
        execution_id=request.execution_id,
        task_id=request.task_id,
        path=request.path,
        run_index=request.first_run_index,
        task_index=request.first_task_index,
    )
    failover = Failover(*(request.config or AgentConfig()).models)
    return CheckpointedModel(
        failover=failover,
        resolve=lambda attempt: attempt.resolve(catalog),
        name=lambda attempt: catalog.describe(attempt.choice.llm, attempt.choice.model),
        checkpoint=checkpoint,
        position=position,
        attached=request.attached,
        load=request.load,
        open_text=open_text,
        history=History(session=memory).messages if memory is not None else None,
        remembered=memory.tokens if memory is not None else 0,
        admit=admit,
        quote=partial(_quote, catalog),
    )


def _quote(catalog: ModelCatalog, attempt: Attempt) -> Quote:
    """Return what the model costs. In a test it is the one that the files name, whichever keys are set."""
    if is_within_boundary():
        return quote_named(catalog.named(attempt.choice.llm, attempt.choice.model))
    return quote_of(attempt.resolve(catalog))


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
