"""One session with an MCP server: a task that holds it, and requests that outlive neither it nor a crash.

The session of the SDK ends with an error in the task that entered it, and cancels or never answers what waits in other
tasks. Here one task holds the session, and a request ends with its answer, with its time limit, or with `GoneError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
    ElicitRequestParams,
    ErrorData,
    Implementation,
    Tool,
)
from pydantic import ValidationError

from compozy import __version__
from compozy.clock import monotonic_s
from compozy.tool.mcp.limits import LOST, MAX_TOOLS, NOT_SENT, REFUSED

_log = structlog.get_logger(__name__)

_IDLE_S = 300.0
_CHECK_S = 15.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_END_S = 8.0
_CANCEL_S = 1.0
_MAX_PAGES = 100
_T = TypeVar("_T")


class GoneError(Exception):
    """The connection is lost, or could not be opened.

    Attributes:
        message: what happened.
        is_sent: whether the server may have received the request.
        is_final: whether another attempt would fail in the same way.
    """

    def __init__(self, message: str, *, is_sent: bool, is_final: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_sent = is_sent
        self.is_final = is_final


class RequestError(Exception):
    """The server, or the transport, answered a request with an error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How a session with a server is opened.

    Attributes:
        server: ID of the server.
        open: returns the transport.
        mode: `auto`, `legacy`, or a version of the protocol.
        start_timeout_s: time limit of the opening.
        explain: returns what is known about the end of the server, "" if nothing.
        has_one_stream: whether all requests share one stream, whose end is the end of the session.
    """

    server: str
    open: Callable[[], AbstractAsyncContextManager[Any]]
    mode: str
    start_timeout_s: float
    explain: Callable[[], str]
    has_one_stream: bool


class Session:
    """One session, and the task that holds it. `gone` is set when it has ended."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._active = 0
        self._used_s = monotonic_s()
        self.client: Client | None = None
        self.gone = asyncio.Event()

    async def start(self) -> None:
        """Open the session.

        Raises:
            GoneError: it cannot be opened.
        """
        # Without the context of the run that needs it first: the session serves others, too.
        self._task = asyncio.create_task(self._hold(), context=Context())
        limit_s = self._endpoint.start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                self.client = await asyncio.shield(self._ready)
        except TimeoutError as error:
            why = f"it did not answer within {limit_s:g} s"
            await self.close()
            raise GoneError(self._words(why), is_sent=False) from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _hold(self) -> None:
        try:
            async with Client(
                self._endpoint.open(),
                mode=self._endpoint.mode,
                client_info=Implementation(name="compozy", version=__version__),
                elicitation_callback=_refuse,
            ) as client:
                await list_all_tools(client)
                self._ready.set_result(client)
                while not self._closing.is_set() and not self._is_idle():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._closing.wait(), _CHECK_S)
        except BaseException as error:  # noqa: BLE001 - requests receive whatever ended the session
            if not self._ready.done():
                self._ready.set_exception(self._failure(error))
                # The caller may no longer wait for it.
                self._ready.exception()
            elif not self._closing.is_set():
                _log.warning("connection to an MCP server lost", server=self._endpoint.server, error=_reason(error))
        finally:
            self.gone.set()

    def _is_idle(self) -> bool:
        return not self._active and monotonic_s() - self._used_s > _IDLE_S

    def _failure(self, error: BaseException) -> GoneError:
        return GoneError(self._words(_reason(error)), is_sent=False, is_final=_is_final(error))

    def _words(self, why: str) -> str:
        known = self._endpoint.explain()
        return f"{why} ({known})" if known else why

    async def request(self, send: Callable[[Client], Awaitable[_T]], timeout_s: float | None) -> _T:
        """Return what `send` returns.

        Raises:
            GoneError: the session has ended, or ended before the answer came.
            RequestError: the server answered with an error.
            TimeoutError: the time is over.
        """
        if self.client is None or self.gone.is_set():
            raise GoneError("the connection was closed", is_sent=False)
        self._active += 1
        work = asyncio.ensure_future(send(self.client))
        end = asyncio.ensure_future(self.gone.wait())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return await self._result_of(work)
            raise GoneError(self._words("the connection was lost"), is_sent=True)
        finally:
            self._active -= 1
            self._used_s = monotonic_s()
            work.cancel()
            end.cancel()
            # The SDK informs the server.
            await asyncio.wait({work, end}, timeout=_CANCEL_S)
            if work.done() and not work.cancelled():
                work.exception()

    async def _result_of(self, work: asyncio.Future[_T]) -> _T:
        if work.cancelled():
            raise GoneError(self._words("the connection was lost"), is_sent=True)
        try:
            return work.result()
        except MCPError as error:
            raise await self._error_of(error) from error
        except ValidationError as error:
            raise RequestError("the answer does not follow the protocol") from error
        except RuntimeError as error:
            # A result that does not match the schema that the server gave.
            raise RequestError(str(error)) from error

    async def _error_of(self, error: MCPError) -> Exception:
        if error.code == CONNECTION_CLOSED and self._endpoint.has_one_stream:
            # The SDK leaves the session open. When it is closed, it is known how the server ended.
            await self.close()
        if error.code in {CONNECTION_CLOSED, LOST, PARSE_ERROR}:
            return GoneError(self._words(error.message), is_sent=True)
        if error.code == NOT_SENT:
            return GoneError(error.message, is_sent=False)
        if error.code == INVALID_REQUEST and error.message == "Session terminated":
            # The server does not know the session any more, and has not executed the request.
            await self.close()
            return GoneError("the server ended the session", is_sent=False)
        return RequestError(error.message)

    async def close(self) -> None:
        """End the session and, with it, a server that was started for it."""
        self._closing.set()
        self.gone.set()
        task = self._task
        if task is None:
            return
        if self.client is None:
            task.cancel()
        await asyncio.wait({task}, timeout=_END_S)
        task.cancel()
        await asyncio.wait({task}, timeout=_END_S)


async def list_all_tools(client: Client, *, is_fresh: bool = False) -> list[Tool]:
    """Return the tools on all pages.

    Raises:
        RequestError: there are none, or more than 500.
    """
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh" if is_fresh else "use")
        tools += page.tools
        cursor = page.next_cursor
        if len(tools) > MAX_TOOLS:
            break
        if cursor is None:
            return tools
    raise RequestError(f"the server has more than {MAX_TOOLS} tools")


async def _refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ErrorData:  # noqa: ARG001 - its signature
    """Refuse a question in the middle of a call, which only versions of the protocol with a handshake have.

    A person answers after minutes or days; no connection stays open for so long.
    """
    return ErrorData(code=INVALID_REQUEST, message="questions are only answered with the protocol of 2026-07-28")


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group of errors, which task groups raise."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    error = _first(error)
    if isinstance(error, MCPError):
        if error.code == UNSUPPORTED_PROTOCOL_VERSION:
            return f"it has no protocol version that Compozy supports: {error.message}"
        if error.code == METHOD_NOT_FOUND:
            return f"it does not offer tools, or is not an MCP server: {error.message}"
        return error.message
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        return f"its answer does not follow the protocol: {path}: {first['msg']}"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} was not found"
    if isinstance(error, OSError):
        return f"it cannot be started: {error.strerror or error}"
    if isinstance(error, asyncio.CancelledError):
        return "the connection was closed"
    return str(error) or type(error).__name__


def _is_final(error: BaseException) -> bool:
    """Return whether another attempt would fail in the same way."""
    error = _first(error)
    if isinstance(error, MCPError):
        return error.code in {UNSUPPORTED_PROTOCOL_VERSION, METHOD_NOT_FOUND, REFUSED}
    return isinstance(error, (FileNotFoundError, PermissionError, RequestError))
