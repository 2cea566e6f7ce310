"""Documents at addresses, asked so that nobody can be made to look into the network that this machine is in.

The name is resolved here, its addresses are judged, and the connection goes to the very address that was judged: a name
that resolves otherwise a moment later changes nothing. Each redirect is judged anew. Proxies of the environment are not
used, because they would resolve names by themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from compozy.errors import DocumentError

MAX_REDIRECTS = 5
_TIMEOUT_S = 30.0
_TOTAL_S = 120.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ACCEPTED = "text/markdown, text/html, text/plain, application/pdf, application/json, text/csv, */*;q=0.1"

Resolve = Callable[[str, int], Sequence[str]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, kw_only=True)
class WebDocument:
    """What an address gave: its bytes, and their media type."""

    data: bytes
    media_type: str


@dataclass(frozen=True, kw_only=True)
class WebPolicy:
    """What may be asked: `private_hosts` are names whose addresses may be private."""

    max_bytes: int
    private_hosts: frozenset[str] = frozenset()


def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system resolves it.

    Raises:
        OSError: it has none.
    """
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def fetch(url: str, policy: WebPolicy, *, resolve: Resolve = resolve_host) -> WebDocument:
    """Return the document at an address, redirects followed.

    Raises:
        DocumentError: it may not be asked, does not answer, is too large, or is not there.
    """
    try:
        async with asyncio.timeout(_TOTAL_S):
            for _ in range(MAX_REDIRECTS + 1):
                found, following = await _fetch_once(url, policy, resolve)
                if found is not None:
                    return found
                url = following
    except TimeoutError as error:
        raise DocumentError(f"{_shown(url)} did not answer in {_TOTAL_S:g} s") from error
    raise DocumentError(f"the address redirects more than {MAX_REDIRECTS} times")


async def _fetch_once(url: str, policy: WebPolicy, resolve: Resolve) -> tuple[WebDocument | None, str]:
    """Return the document, or None and where it is said to be."""
    host, port, pinned = await _judge(url, policy, resolve)
    headers = {"Host": host if port is None else f"{host}:{port}", "Accept": _ACCEPTED, "User-Agent": "compozy"}
    timeout = httpx2.Timeout(_TIMEOUT_S, connect=10.0)
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as client:
        request = client.build_request("GET", pinned, headers=headers, extensions={"sni_hostname": host})
        try:
            response = await client.send(request, stream=True)
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return None, urljoin(url, response.headers["location"])
            if response.status_code != 200:
                raise DocumentError(f"{_shown(url)} answered {response.status_code}")
            data = await _read(response.aiter_bytes(), policy.max_bytes, url)
        except httpx2.HTTPError as error:
            raise DocumentError(f"{_shown(url)} cannot be read: {str(error) or 'the connection broke'}") from error
        except (UnicodeError, ValueError) as error:
            raise DocumentError(f"{_shown(url)} redirects to what is no address") from error
    return WebDocument(data=data, media_type=response.headers.get("content-type", "")), url


async def _read(blocks: AsyncIterator[bytes], max_bytes: int, url: str) -> bytes:
    data = bytearray()
    async for block in blocks:
        data += block
        # Counted as unpacked: what is small on the wire may be large.
        if len(data) > max_bytes:
            raise DocumentError(f"{_shown(url)} is larger than {max_bytes // 2**20} MiB")
    return bytes(data)


async def _judge(url: str, policy: WebPolicy, resolve: Resolve) -> tuple[str, int | None, str]:
    """Return the host and port of a URL, and the same URL with an address that may be asked instead of the name."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except (ValueError, UnicodeError) as error:
        raise DocumentError(f"{url!r:.200} is no address") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise DocumentError(f"{_shown(url)} is no address of a web page")
    if parts.username is not None or parts.password is not None:
        raise DocumentError("an address with a user or a password in it is not asked")
    try:
        addresses = await asyncio.to_thread(resolve, host, port or (443 if parts.scheme == "https" else 80))
    except OSError as error:
        raise DocumentError(f"the host {host!r} is not known") from error
    chosen = _choose(host, addresses, policy)
    netloc = f"[{chosen}]" if chosen.version == 6 else str(chosen)
    if port is not None:
        netloc = f"{netloc}:{port}"
    return host, port, urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def _choose(host: str, addresses: Sequence[str], policy: WebPolicy) -> _Address:
    """Return an address of the host; one bad one among several condemns it."""
    found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    if not found:
        raise DocumentError(f"the host {host!r} has no address")
    if host not in policy.private_hosts:
        for address in found:
            if not is_public(address):
                raise DocumentError(
                    f"the host {host!r} is at {address}, which is not in the public network",
                    hint="name the host in `knowledge.access.private_hosts` if that is meant",
                )
    return found[0]


def is_public(address: _Address) -> bool:
    """Return whether an address belongs to the public network, also when it wraps another one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _shown(url: str) -> str:
    """Return an address without a user, a password or a query, which may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"[:200]
    except ValueError:
        return "the address"
