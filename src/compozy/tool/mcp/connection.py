"""The connection to one MCP server: it opens with the first request, again after a loss, and closes when idle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import structlog
from mcp import Client, MCPError
from mcp_types import (
    HEADER_MISMATCH,
    CallToolResult,
    InputRequiredResult,
    InputResponses,
    RequestParamsMeta,
    Tool,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from compozy.clock import monotonic_s
from compozy.ids import jitter
from compozy.tool.mcp.session import Endpoint, GoneError, Session, list_all_tools

_log = structlog.get_logger(__name__)

_IDLE_S = 300.0
_CHECK_S = 15.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_END_S = 8.0
_CANCEL_S = 1.0
_MAX_PAGES = 100
_T = TypeVar("_T")


def mode_of(proto: str | None) -> str:
    """Return how the SDK negotiates a version of the protocol.

    Raises:
        ValueError: the version is not known.
    """
    if proto is None:
        return "auto"
    if proto in HANDSHAKE_PROTOCOL_VERSIONS:
        return "legacy"
    if proto in MODERN_PROTOCOL_VERSIONS:
        return proto
    known = ", ".join([*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS])
    raise ValueError(f"protocol version {proto} is not one of {known}")


class Connection:
    """The connection to one server. It opens with the first request, again after it was lost, and closes when idle."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._not_before_s = 0.0

    async def list_tools(self) -> list[Tool]:
        """Return all tools of the server.

        Raises:
            GoneError: the server cannot be reached.
            RequestError: the server offers no tools, or more than 500.
        """
        session = await self._opened()
        return await session.request(list_all_tools, self._endpoint.start_timeout_s)

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any],
        timeout_s: float,
        responses: InputResponses | None = None,
        state: str | None = None,
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Args:
            name: of the tool at the server.
            arguments: JSON.
            meta: `_meta` of the request.
            timeout_s: time limit, in seconds; it includes the opening of the connection.
            responses: answers to questions that the server asked in its last result.
            state: what the server sent with the questions.

        Raises:
            GoneError: the connection was lost, or could not be opened.
            RequestError: the server answered with an error, or with something else than a result.
            TimeoutError: the time is over; the server is informed.
        """
        async with asyncio.timeout(timeout_s):
            session = await self._opened()

            async def send(client: Client) -> CallToolResult | InputRequiredResult:
                for is_last in (False, True):
                    try:
                        return await client.session.call_tool(
                            name,
                            dict(arguments),
                            meta=cast("RequestParamsMeta", dict(meta)),
                            input_responses=responses,
                            request_state=state,
                            allow_input_required=True,
                        )
                    except MCPError as error:
                        # Refused before it was executed: the headers come from the schema that was listed last.
                        if is_last or error.code != HEADER_MISMATCH:
                            raise
                        await list_all_tools(client, is_fresh=True)
                raise AssertionError("unreachable")

            return await session.request(send, None)

    @property
    def protocol_version(self) -> str:
        """The negotiated version, "" without a session."""
        client = self._session.client if self._session is not None else None
        return client.protocol_version if client is not None else ""

    @property
    def title(self) -> str:
        """The name and version that the server reports; "" if it reports none."""
        info = self._session.client.server_info if self._session is not None and self._session.client else None
        return f"{info.name} {info.version}".strip() if info is not None else ""

    async def aclose(self) -> None:
        """Close the connection; a later request opens it again."""
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> Session:
        """Return the open session, after a pause if the last attempts to open one failed.

        Raises:
            GoneError: it cannot be opened.
        """
        async with self._lock:
            if self._session is not None and not self._session.gone.is_set():
                return self._session
            await asyncio.sleep(max(0.0, self._not_before_s - monotonic_s()))
            session = Session(self._endpoint)
            try:
                await session.start()
            except GoneError:
                pause_s = min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
                self._failures = min(self._failures + 1, 16)
                self._not_before_s = monotonic_s() + jitter(pause_s)
                raise
            self._failures, self._not_before_s = 0, 0.0
            self._session = session
            return session
