"""The HTTP connections to model providers: our timeouts, and a limit on what an answer may weigh."""

from __future__ import annotations

import re
import ssl
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
import httpx2

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""The longest answer that is read from a provider; a longer one is an error or an attack."""
HEADERS = {"Accept-Encoding": "gzip"}
"""Headers of each request: `limit_answer` unpacks no other encoding."""
_CONNECT_TIMEOUT_S = 10.0
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_USER_IN_URL = re.compile(r"(\w://)[^\s/\"'<>]*@")
_TOKEN = re.compile(r"\b(?:sk|gsk|pk|rk|xai|AIza)[-_]?[A-Za-z0-9_\-*]{12,}|(?i:bearer)\s+[^\s\"']{8,}")


class AnswerTooLargeError(Exception):
    """A provider sent more than `MAX_ANSWER_BYTES`. It reaches the caller as the cause of a connection error."""


class NotAModelServerError(Exception):
    """The address is not a model server. The caller receives this as the cause of a connection error.

    Attributes:
        location: where a redirect leads, "" for a web page.
    """

    def __init__(self, words: str, *, location: str = "") -> None:
        super().__init__(words)
        self.location = location


def new_http_client(timeout_s: float) -> httpx2.AsyncClient:
    """Return the client of one provider; `timeout_s` bounds each wait on the wire.

    The proxies of the environment are honoured. Nothing is retried here: retries are ours (`model/limits.py`).
    """
    return httpx2.AsyncClient(
        headers=HEADERS,
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
        event_hooks={"response": [limit_answer, refuse_other_servers]},
        follow_redirects=False,
        verify=_certificates(),
    )


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Return what certificates are checked with: reading the known authorities takes longer than all else."""
    return httpx2.create_ssl_context()


async def limit_answer(response: Any) -> None:
    """Make reading `response` fail beyond `MAX_ANSWER_BYTES` when unpacked; a response hook of httpx and of httpx2.

    A hook and no transport of our own: a client with its own transport ignores the proxies of the environment.

    Raises:
        NotAModelServerError: it is packed in a way that was not asked for.
    """
    encoding = str(response.headers.get("content-encoding") or "identity").strip().lower()
    if encoding in _PACKED:
        # A few bytes can come to gigabytes, so they are not left to the client to unpack.
        del response.headers["content-encoding"]
    elif encoding != "identity":
        raise NotAModelServerError(f"answered with the content encoding {encoding[:40]!r}, which is not supported")
    response.stream = _LimitedStream(response.stream, is_packed=encoding in _PACKED)


async def refuse_other_servers(response: Any) -> None:
    """Fail on redirects, which would carry the prompt and the key elsewhere, and on web pages; a response hook.

    Raises:
        NotAModelServerError: it is one of them.
    """
    status: int = response.status_code
    if 300 <= status < 400:
        location = safe_url(str(response.headers.get("location") or ""))
        raise NotAModelServerError(
            f"answered {status}, a redirect" + (f" to {location}" if location else ""), location=location
        )
    if status == 200 and str(response.headers.get("content-type") or "").lower().startswith("text/html"):
        raise NotAModelServerError("answered a web page")


def mask_secrets(text: str, secret: str | None) -> str:
    """Return `text` without a secret, and without what looks like a key or like a password in a URL."""
    if secret:
        text = text.replace(secret, "***")
    return _TOKEN.sub("***", _USER_IN_URL.sub(r"\1***@", text))


def safe_url(url: str) -> str:
    """Return `url` without a user, a password or a query in it, "" if it is not a URL."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


class _LimitedStream(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, stream: Any, *, is_packed: bool) -> None:
        self._stream = stream
        self._unpacker = zlib.decompressobj(wbits=_ZLIB_OR_GZIP) if is_packed else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in cast("AsyncIterator[bytes]", self._stream):
            unpacked = self._unpack(chunk, MAX_ANSWER_BYTES - read + 1)
            read += len(unpacked)
            if read > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError(f"the answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB")
            yield unpacked

    def _unpack(self, chunk: bytes, most: int) -> bytes:
        if self._unpacker is None:
            return chunk
        try:
            return self._unpacker.decompress(chunk, most)
        except zlib.error as error:
            raise NotAModelServerError("answered with damaged compressed data") from error

    async def aclose(self) -> None:
        await self._stream.aclose()
