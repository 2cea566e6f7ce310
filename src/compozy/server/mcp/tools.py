"""The MCP server of the SDK, whose tools start, follow, answer and cancel runs. It serves every transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    InputResponses,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from compozy import __version__
from compozy.database.executions import execution_not_found, is_execution_id
from compozy.errors import CompozyError, ConflictError, IdempotencyError, NotFoundError, SchemaMismatchError
from compozy.project.loaded import LoadedProject
from compozy.schema import apply_defaults, validate_value
from compozy.server.mcp.offers import Offer, offers_of
from compozy.server.mcp.questions import AskedState, Question, open_questions
from compozy.server.mcp.results import (
    result_of_document,
    result_of_error,
    result_of_run,
    result_of_text,
)
from compozy.server.mcp.run_tools import RUN_TOOLS
from compozy.server.mcp.runs import Document, Runs, digest_of, id_of_key, settle
from compozy.tool.mcp.call import KEY
from compozy.trigger.kinds.mcp import ANSWER, CANCEL, DEFAULT_WAIT_S, GET, WAIT

Context = ServerRequestContext[Any, Any]
Result = CallToolResult | InputRequiredResult
_MAX_KEY = 255
_INSTRUCTIONS = (
    "Tools that start a workflow return its output. If the run takes longer, or waits for a person, the result names "
    f"the run: use `{WAIT}`, `{GET}`, `{ANSWER}` and `{CANCEL}` with its `run_id`. Runs continue when the connection "
    "is lost."
)


def new_server(project: LoadedProject, runs: Runs) -> Server[Any]:
    """Return the MCP server of a project."""
    tools = WorkflowTools(offers=offers_of(project), runs=runs)
    return Server(
        project.name,
        version=project.version or __version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call,
        # Nothing of a schema is sent in headers.
        get_tool_input_schema=_no_schema,
    )


def _no_schema(_: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call of a tool that can be answered with questions.

    Attributes:
        can_ask: whether the client can put questions to a person, and return the answers.
        digest: hash of the tool and its arguments.
        responses: answers to questions of an earlier result, None for none.
        state: what that result contained.
        present: returns the result for the document of a run.
    """

    can_ask: bool
    digest: str
    responses: InputResponses | None
    state: AskedState | None
    present: Callable[[Document], CallToolResult]


@dataclass(frozen=True, kw_only=True)
class WorkflowTools:
    """The tools of a project: one for each offer, and those for runs of the offered workflows."""

    offers: Mapping[str, Offer]
    runs: Runs
    _tools: list[Tool] = field(default_factory=list[Tool])

    def __post_init__(self) -> None:
        """Describe the tools once."""
        self._tools.extend(_tool_of(offer) for offer in self.offers.values())
        self._tools.extend(RUN_TOOLS.values())

    async def list_tools(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        """Return all tools."""
        return ListToolsResult(tools=self._tools)

    async def call(self, context: Context, params: CallToolRequestParams) -> Result:
        """Call a tool; errors that a model can correct are results.

        Raises:
            MCPError: the tool does not exist, or the request is malformed.
        """
        offer = self.offers.get(params.name)
        if offer is None and params.name not in RUN_TOOLS:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:200]}")
        given = params.arguments or {}
        try:
            if offer is not None:
                return await self._call_workflow(offer, given, context, params)
            return await self._call_run_tool(params.name, given, context, params)
        except CompozyError as error:
            return result_of_error(error)

    async def _call_workflow(
        self, offer: Offer, given: Document, context: Context, params: CallToolRequestParams
    ) -> Result:
        call = _call_of(context, params, result_of_run)
        if call.state is not None:
            run = await self._run(call.state.execution_id, offer.workflow_id)
            return await self._follow(run, offer.wait_s, call)
        key = _key_of(context)
        run = await self._start(offer, given, key)
        if not offer.wait_s:
            return call.present(run)
        return await self._follow(run, offer.wait_s, call)

    async def _start(self, offer: Offer, given: Document, key: str | None) -> Document:
        execution_id = None if key is None else id_of_key(offer.workflow_id, key)
        try:
            return await self.runs.start(offer.workflow_id, given, execution_id)
        except ConflictError as error:
            if key is None:
                raise
            raise IdempotencyError(
                f"the idempotency key {key!r} was used for a call with other arguments",
                hint="use a new key for a new call",
            ) from error

    async def _call_run_tool(
        self, name: str, given: Document, context: Context, params: CallToolRequestParams
    ) -> Result:
        arguments = _checked(RUN_TOOLS[name], given)
        run = await self._run(arguments["run_id"])
        run_id: str = run["execution_id"]
        match name:
            case _ if name == WAIT:
                call = _call_of(context, params, result_of_document)
                if call.state is not None and call.state.execution_id != run_id:
                    raise _foreign_state()
                return await self._follow(run, arguments.get("timeout_s", DEFAULT_WAIT_S), call)
            case _ if name == ANSWER:
                await self.runs.answer(run_id, arguments["answer"], arguments.get("task"))
                return result_of_document(await self.runs.get(run_id))
            case _ if name == CANCEL:
                return result_of_document(await self.runs.cancel(run_id, arguments["reason"]))
            case _:
                return result_of_document(run)

    async def _run(self, run_id: str, workflow_id: str | None = None) -> Document:
        """Return a run of an offered workflow, or of the one that is given.

        Raises:
            NotFoundError: the ID is unknown, or belongs to a run of another workflow.
        """
        workflows = {offer.workflow_id for offer in self.offers.values()} if workflow_id is None else {workflow_id}
        document = await self.runs.get(run_id) if is_execution_id(run_id) else None
        if document is None or document["workflow_id"] not in workflows:
            raise NotFoundError(execution_not_found(run_id[:200]).message)
        return document

    async def _follow(self, run: Document, wait_s: float, call: _Call) -> Result:
        """Pass on the answers that the client brought, and wait for the end of the run or for further questions."""
        sent = _Sent()
        if call.state is not None:
            sent = await self._answer(run, call.state, call.responses or {})
        if sent.is_declined:
            return result_of_text("The person did not answer.", await self.runs.get(run["execution_id"]))

        def has_questions(document: Document) -> bool:
            return bool(_unanswered(document, sent))

        document = await settle(self.runs, run["execution_id"], wait_s, has_questions)
        questions = _unanswered(document, sent)
        if call.can_ask and questions and all(question.fields is not None for question in questions):
            return _ask(document, questions, call, sent.problems)
        return call.present(document)

    async def _answer(self, run: Document, state: AskedState, responses: InputResponses) -> _Sent:
        """Send answers to the questions that were asked, unless they are answered already."""
        waiting = {question.task: question.digest for question in open_questions(run)}
        sent = _Sent()
        for task, digest in state.asked.items():
            response = responses.get(task)
            if waiting.get(task) != digest or not isinstance(response, ElicitResult):
                continue
            if response.action != "accept":
                sent.is_declined = True
                continue
            try:
                await self.runs.answer(run["execution_id"], cast("Document", response.content or {}), task)
                sent.digests[task] = digest
            except SchemaMismatchError as error:
                sent.problems.append(error.message)
            except (ConflictError, NotFoundError):
                # Another client, or a call that was repeated, answered it meanwhile.
                sent.digests[task] = digest
        return sent


@dataclass(kw_only=True)
class _Sent:
    """Answers that were sent: digests of their questions by task, and why others were not."""

    digests: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[str] = field(default_factory=list[str])
    is_declined: bool = False


def _unanswered(document: Document, sent: _Sent) -> list[Question]:
    """Return the questions that wait, without those whose answer is on its way."""
    return [question for question in open_questions(document) if sent.digests.get(question.task) != question.digest]


def _ask(document: Document, questions: list[Question], call: _Call, problems: list[str]) -> InputRequiredResult:
    state = AskedState(
        execution_id=document["execution_id"],
        call=call.digest,
        asked={question.task: question.digest for question in questions},
    )
    above = "".join(f"{problem}\n" for problem in problems)
    requests = {
        question.task: ElicitRequest(
            params=ElicitRequestFormParams(message=f"{above}{question.message}", requested_schema=question.fields or {})
        )
        for question in questions
    }
    return InputRequiredResult(input_requests=dict(requests), request_state=state.encode())


def _call_of(context: Context, params: CallToolRequestParams, present: Callable[[Document], CallToolResult]) -> _Call:
    """Return a call with its state.

    Raises:
        MCPError: the state is not that of an earlier result of the same call.
    """
    digest = digest_of([params.name, params.arguments or {}])
    state = None
    if params.request_state is not None:
        try:
            state = AskedState.decode(params.request_state)
        except ValueError as error:
            raise _foreign_state() from error
        if state.call != digest:
            raise _foreign_state()
    return _Call(
        can_ask=_can_ask(context), digest=digest, responses=params.input_responses, state=state, present=present
    )


def _foreign_state() -> MCPError:
    return MCPError(INVALID_PARAMS, "Invalid requestState: it does not belong to this call")


def _can_ask(context: Context) -> bool:
    """Return whether the client shows forms and calls again with the answers, which older protocols cannot."""
    capabilities = context.session.client_capabilities
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS or capabilities is None:
        return False
    elicitation = capabilities.elicitation
    # Without a mode, it is the form.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _key_of(context: Context) -> str | None:
    """Return the idempotency key of a call.

    Raises:
        MCPError: it is not a text of 1 to 255 characters.
    """
    key = cast("Mapping[str, Any]", context.meta or {}).get(KEY)
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= _MAX_KEY or not key.isprintable():
        raise MCPError(INVALID_PARAMS, f"_meta.{KEY} must be a text of 1 to {_MAX_KEY} printable characters")
    return key


def _checked(tool: Tool, given: Document) -> Document:
    """Return the arguments of a tool for runs with their defaults.

    Raises:
        SchemaMismatchError: they do not match its schema.
    """
    arguments = apply_defaults(tool.input_schema, given)
    problems = validate_value(tool.input_schema, arguments)
    if problems:
        lines = "".join(f"\n  {path or 'arguments'}: {message}" for path, message in problems)
        raise SchemaMismatchError(f"the arguments do not match the schema of tool {tool.name!r}:{lines}")
    return arguments


def _tool_of(offer: Offer) -> Tool:
    return Tool(name=offer.name, title=offer.title, description=offer.description, input_schema=offer.schema)
