"""The HTTP connections to model providers: our timeouts, and a limit on what an answer may weigh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
import httpx2

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""The longest answer that is read from a provider; a larger one is a mistake or an attack."""
_CONNECT_TIMEOUT_S = 10.0


class AnswerTooLargeError(Exception):
    """A provider sent more than `MAX_ANSWER_BYTES`. It reaches the caller as the cause of a connection error."""


class NotAModelServerError(Exception):
    """What answers at the address is not a model server. It reaches the caller as the cause of a connection error.

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
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
        event_hooks={"response": [limit_answer, refuse_other_servers]},
        follow_redirects=False,
    )


async def limit_answer(response: Any) -> None:
    """Make reading `response` fail beyond `MAX_ANSWER_BYTES`; a response hook of httpx and of httpx2.

    A hook and no transport of our own: a client with its own transport ignores the proxies of the environment.
    """
    response.stream = _LimitedStream(response.stream)


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
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in cast("AsyncIterator[bytes]", self._stream):
            read += len(chunk)
            if read > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError(f"the answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
