"""HTTP requests to hosts that data names, sent so that no data makes them reach the network of this machine.

A name is resolved here, its addresses are judged, and the connection goes to the very address that was judged: a name
that resolves otherwise a moment later changes nothing. Each redirect is judged again. Proxies of the environment are
not used, because they would resolve names by themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import httpx2

from compozy.outbound.rules import (
    PORTS,
    SAFE_METHODS,
    Address,
    OutboundError,
    OutboundPolicy,
    OutboundRequest,
    OutboundResponse,
    bracketed,
    header_problem,
    is_listed,
    is_public,
    show_url,
)

MAX_REDIRECTS = 5
_CONNECT_S = 10.0
_MAX_ADDRESSES = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Headers that another host receives; every other header can hold a secret.
_FOR_EVERY_HOST = frozenset({"accept", "accept-language", "user-agent"})
_OF_BODIES = frozenset({"content-type", "content-language", "idempotency-key"})
_ZLIB_OR_GZIP = 47

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a request goes: `netloc` is what the header `Host` says, `addresses` are judged."""

    host: str
    netloc: str
    port: int | None
    addresses: Sequence[Address]
    parts: SplitResult


def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system resolves it.

    Raises:
        OSError: it has none.
    """
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def send(
    request: OutboundRequest, policy: OutboundPolicy, *, resolve: Resolve = resolve_host
) -> OutboundResponse:
    """Send a request, follow its redirects, and return the answer.

    A redirect to another host gets no headers that could hold a secret, and is refused if it would send a body again.

    Raises:
        OutboundError: the request is refused, or the server does not answer, or its answer cannot be read.
    """
    exchange = _Exchange(policy, resolve)
    try:
        async with asyncio.timeout(policy.total_s):
            return await exchange.run(request)
    except TimeoutError as error:
        message = f"{show_url(request.url)} did not answer within {policy.total_s:g} s"
        raise OutboundError(message, is_sent=exchange.is_sent) from error
    except OutboundError as error:
        error.is_sent = exchange.is_sent
        raise


class _Exchange:
    """A request with its redirects. `is_sent` is set when the first of them begins to be sent."""

    def __init__(self, policy: OutboundPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self.is_sent = False

    async def run(self, request: OutboundRequest) -> OutboundResponse:
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._send_once(request)
            if isinstance(found, OutboundResponse):
                return found
            request = found
        raise OutboundError(f"the URL redirects more than {MAX_REDIRECTS} times")

    async def _send_once(self, request: OutboundRequest) -> OutboundResponse | OutboundRequest:
        """Return the answer, or the request that it redirects to."""
        _check_headers(request.headers)
        target = await judge(request.url, self._policy, self._resolve)
        timeout = httpx2.Timeout(self._policy.total_s, connect=_CONNECT_S)
        async with httpx2.AsyncClient(
            timeout=timeout, follow_redirects=False, trust_env=False, verify=certificates()
        ) as client:
            try:
                response = await self._first_answer(client, request, target)
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    return _redirected(request, response.status_code, response.headers["location"])
                body, is_cut = await _read(response, self._policy, request.url)
            except httpx2.HTTPError as error:
                words = str(error) or "the connection was closed"
                raise OutboundError(f"failed to read {show_url(request.url)}: {words}") from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return OutboundResponse(
            status=response.status_code,
            reason=response.reason_phrase,
            headers=headers,
            body=body,
            is_cut=is_cut,
            url=request.url,
        )

    async def _first_answer(
        self, client: httpx2.AsyncClient, request: OutboundRequest, target: Target
    ) -> httpx2.Response:
        """Return the answer of the first address that accepts a connection."""
        for address in target.addresses[:-1]:
            try:
                return await self._connect(client, request, target, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._connect(client, request, target, target.addresses[-1])

    async def _connect(
        self, client: httpx2.AsyncClient, request: OutboundRequest, target: Target, address: Address
    ) -> httpx2.Response:
        async def trace(event: str, info: object) -> None:  # noqa: ARG001 - its signature
            if event.endswith("send_request_headers.started"):
                self.is_sent = True

        pinned = bracketed(str(address)) + (f":{target.port}" if target.port is not None else "")
        parts = target.parts
        headers = {"User-Agent": "compozy", **request.headers, "Host": target.netloc, "Accept-Encoding": "gzip"}
        try:
            built = client.build_request(
                request.method,
                urlunsplit((parts.scheme, pinned, parts.path or "/", parts.query, "")),
                headers=headers,
                content=request.body,
                extensions={"sni_hostname": target.host, "trace": trace},
            )
        except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
            raise OutboundError(f"{show_url(request.url)!r} is not a URL") from error
        return await client.send(built, stream=True)


@lru_cache(maxsize=1)
def certificates() -> ssl.SSLContext:
    """Return what certificates are checked with: reading the known authorities takes longer than most requests."""
    return httpx2.create_ssl_context(trust_env=False)


def _redirected(request: OutboundRequest, status: int, location: str) -> OutboundRequest:
    """Return the request that an answer redirects to."""
    try:
        url = urljoin(request.url, location)
        is_same = _is_same_host(urlsplit(request.url), urlsplit(url))
    except ValueError as error:
        raise OutboundError(f"{show_url(request.url)} redirects to something that is not a URL") from error
    method, body, headers = request.method, request.body, request.headers
    if (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST"):
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if name.lower() not in _OF_BODIES}
    if not is_same:
        if method not in SAFE_METHODS:
            raise OutboundError(
                f"{show_url(request.url)} answered {status} and redirects to another host, {show_url(url)}, "
                f"to which a {method} request is not sent again"
            )
        headers = {name: value for name, value in headers.items() if name.lower() in _FOR_EVERY_HOST}
    return replace(request, method=method, url=url, body=body, headers=headers)


def _is_same_host(before: SplitResult, after: SplitResult) -> bool:
    """Return whether a redirect stays where it is, or only turns to TLS."""
    if (before.hostname or "").lower() != (after.hostname or "").lower():
        return False
    ports = before.port or PORTS.get(before.scheme), after.port or PORTS.get(after.scheme)
    if before.scheme == after.scheme:
        return ports[0] == ports[1]
    return (before.scheme, after.scheme, *ports) == ("http", "https", 80, 443)


async def _read(response: httpx2.Response, policy: OutboundPolicy, url: str) -> tuple[bytes, bool]:
    """Return the body of an answer, and whether it was cut off; unpacked no further than the limit."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise OutboundError(f"{show_url(url)} answered with the content encoding {encoding!r}, which is not supported")
    unpacker = zlib.decompressobj(wbits=_ZLIB_OR_GZIP) if encoding not in {"", "identity"} else None
    data = bytearray()
    async for block in response.aiter_raw():
        try:
            # One byte more than allowed shows that it is too large.
            data += unpacker.decompress(block, policy.max_bytes - len(data) + 1) if unpacker is not None else block
        except zlib.error as error:
            raise OutboundError(f"{show_url(url)} answered with damaged compressed data") from error
        if len(data) > policy.max_bytes:
            if policy.cuts:
                return bytes(data[: policy.max_bytes]), True
            raise OutboundError(f"the answer of {show_url(url)} is larger than {policy.max_bytes // 2**20} MiB")
    return bytes(data), False


async def judge(url: str, policy: OutboundPolicy, resolve: Resolve) -> Target:
    """Return where a request to a URL goes, after its host and all its addresses have been accepted.

    Raises:
        OutboundError: the URL, its host or one of its addresses is refused.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode("ascii").lower(), parts.port
    except ValueError as error:
        raise OutboundError(f"{url!r:.200} is not a URL") from error
    if parts.scheme not in PORTS or not host:
        raise OutboundError(f"{show_url(url)!r} is not a URL of the web")
    if parts.username is not None or parts.password is not None:
        raise OutboundError("a URL with a user or a password is not requested")
    if policy.hosts is not None and not is_listed(policy.hosts, host, port, scheme=parts.scheme):
        raise OutboundError(f"the host of {show_url(url)} is not one of the allowed hosts, {', '.join(policy.hosts)}")
    try:
        found = await asyncio.to_thread(resolve, host, port or PORTS[parts.scheme])
    except (OSError, UnicodeError) as error:
        raise OutboundError(f"the host {host!r} is not known") from error
    addresses = _accept(host, found, policy)
    netloc = bracketed(host) + (f":{port}" if port is not None else "")
    return Target(host=host, netloc=netloc, port=port, addresses=addresses[:_MAX_ADDRESSES], parts=parts)


def _accept(host: str, found: Sequence[str], policy: OutboundPolicy) -> list[Address]:
    """Return the addresses of a host, each once; one bad one among several condemns it."""
    addresses = list(dict.fromkeys(ipaddress.ip_address(address.partition("%")[0]) for address in found))
    if not addresses:
        raise OutboundError(f"the host {host!r} has no address")
    if host not in policy.private_hosts:
        for address in addresses:
            if not is_public(address):
                raise OutboundError(
                    f"the host {host!r} is at {address}, which is not in the public network", is_private=True
                )
    return addresses


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        problem = header_problem(name, value)
        if problem:
            raise OutboundError(problem)
