"""Requests to MCP servers: judged and pinned like every request of the product, and never an end of the session.

The transport of the SDK ends a whole session, with all its calls, if one request fails to connect. Here a failure is an
answer to its request, which says whether the server can have received it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2

from compozy.outbound.rules import OutboundError, OutboundPolicy, show_url
from compozy.outbound.send import Resolve, Target, certificates, judge, resolve_host
from compozy.tool.mcp.limits import LOST, MAX_MESSAGE, NOT_SENT, REFUSED, TOO_LARGE
from compozy.tool.mcp.oauth import TokenSource

_CONNECT_S = 10.0
_WRITE_S = 60.0
_UNAUTHORIZED = 401
_STATUS = "compozy_status"
_HEAD = 1000
# Answers that are not of MCP: whether the server can have executed the request.
_REFUSALS = {401: REFUSED, 403: REFUSED, 429: NOT_SENT, 500: LOST, 502: LOST, 503: NOT_SENT, 504: LOST}
_PLAIN = frozenset({"", "identity"})


def new_client(policy: OutboundPolicy, headers: dict[str, str], tokens: TokenSource | None) -> httpx2.AsyncClient:
    """Return a client for the requests of one server. Calls have their own time limits."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(policy, tokens),
        headers={"User-Agent": "compozy", **headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(None, connect=_CONNECT_S, write=_WRITE_S),
        follow_redirects=False,
        trust_env=False,
    )


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to addresses that the rules accept, and turns failures into answers with a JSON-RPC error."""

    def __init__(
        self, policy: OutboundPolicy, tokens: TokenSource | None = None, *, resolve: Resolve = resolve_host
    ) -> None:
        self._policy = policy
        self._tokens = tokens
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, or the error in place of it."""
        try:
            target = await judge(str(request.url), self._policy, self._resolve)
        except OutboundError as error:
            return self._failed(REFUSED, error.message)
        try:
            token = await self._tokens.token() if self._tokens is not None else ""
            answer = await self._send(request, target, token)
            if answer.extensions.get(_STATUS) == _UNAUTHORIZED and self._tokens is not None:
                # It may have been withdrawn before its time.
                answer = await self._send(request, target, await self._tokens.token(refused=token))
        except OutboundError as error:
            return self._failed(REFUSED, error.message)
        return answer

    async def _send(self, request: httpx2.Request, target: Target, token: str) -> httpx2.Response:
        where = show_url(str(request.url))
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        try:
            response = await self._first_answer(request, target)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return self._failed(NOT_SENT, f"{where} does not accept connections ({str(error) or 'it did not answer'})")
        except httpx2.TransportError as error:
            words = str(error) or "the connection was closed"
            return self._failed(LOST, f"the connection to {where} was lost: {words}")
        return await self._answer(response, where)

    async def _answer(self, response: httpx2.Response, where: str) -> httpx2.Response:
        """Return an answer: a stream of events as it comes, anything else after it was read whole."""
        if response.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
            await response.aclose()
            return self._failed(LOST, f"{where} sent an answer with a content encoding")
        if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            return _replaced(response, _Events(response))
        try:
            body = await _read(response)
        except httpx2.TransportError as error:
            words = str(error) or "the connection was closed"
            return self._failed(LOST, f"the connection to {where} was lost: {words}")
        if body is None:
            return self._failed(TOO_LARGE, f"the answer is larger than {MAX_MESSAGE // 2**20} MiB")
        if response.status_code in _REFUSALS and b'"jsonrpc"' not in body[:_HEAD]:
            reason = response.reason_phrase
            words = f"{where} answered {response.status_code} {reason}"
            return self._failed(_REFUSALS[response.status_code], words, response.status_code)
        return _replaced(response, httpx2.ByteStream(body))

    async def _first_answer(self, request: httpx2.Request, target: Target) -> httpx2.Response:
        """Return the answer of the first address that accepts a connection."""
        for address in target.addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, str(address), target))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_pinned(request, str(target.addresses[-1]), target))

    @staticmethod
    def _failed(code: int, message: str, status: int = 0) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
        return httpx2.Response(
            502,
            headers={"content-type": "application/json"},
            content=json.dumps(body).encode(),
            extensions={_STATUS: status},
        )

    async def aclose(self) -> None:
        """Close its connections."""
        await self._inner.aclose()


def _pinned(request: httpx2.Request, address: str, target: Target) -> httpx2.Request:
    """Return the request to an address; the header `Host` keeps the name."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": target.host},
    )


async def _read(response: httpx2.Response) -> bytes | None:
    """Return the body of an answer, None if it is over the limit."""
    body = bytearray()
    try:
        async for block in response.aiter_raw():
            body += block
            if len(body) > MAX_MESSAGE:
                return None
        return bytes(body)
    finally:
        await response.aclose()


def _replaced(response: httpx2.Response, stream: httpx2.AsyncByteStream) -> httpx2.Response:
    return httpx2.Response(
        response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
    )


class _Events(httpx2.AsyncByteStream):
    """A stream of events, which ends where the connection is lost. The SDK limits each event."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with suppress(httpx2.TransportError):
            async for block in self._response.aiter_raw():
                yield block

    async def aclose(self) -> None:
        """Close the connection."""
        await self._response.aclose()
