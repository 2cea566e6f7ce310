"""The HTTP connections to model providers: our timeouts, and a limit on what an answer may weigh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import httpx2

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""The longest answer that is read from a provider; a larger one is a mistake or an attack."""
_CONNECT_TIMEOUT_S = 10.0


class AnswerTooLargeError(Exception):
    """A provider sent more than `MAX_ANSWER_BYTES`. It reaches the caller as the cause of a connection error."""


def new_http_client(timeout_s: float) -> httpx2.AsyncClient:
    """Return the client of one provider; `timeout_s` bounds each wait on the wire.

    The proxies of the environment are honoured. Nothing is retried here: retries are ours (`model/limits.py`).
    """
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
        event_hooks={"response": [limit_answer]},
        follow_redirects=False,
    )


async def limit_answer(response: Any) -> None:
    """Make reading `response` fail beyond `MAX_ANSWER_BYTES`; a response hook of httpx and of httpx2.

    A hook and no transport of our own: a client with its own transport ignores the proxies of the environment.
    """
    response.stream = _LimitedStream(response.stream)


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
