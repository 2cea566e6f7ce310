"""Embedders that are asked over HTTP: batches, timeouts, tries, and answers that are checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import httpx2

from compozy.errors import EmbedderError
from compozy.ids import jitter
from compozy.knowledge.extras import missing_package
from compozy.knowledge.tokens import estimate_tokens
from compozy.model.http import AnswerTooLargeError, new_http_client

if TYPE_CHECKING:
    from compozy.knowledge.embed.protocol import Vectors

MAX_ATTEMPTS = 5
_TIMEOUT_S = 60.0
_FIRST_DELAY_S = 0.25
_MAX_DELAY_S = 30.0
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MAX_EXCERPT = 300


class Wire(Protocol):
    """How one kind of server is asked."""

    url: str
    headers: Mapping[str, str]

    def request(self, texts: Sequence[str], *, is_query: bool) -> dict[str, Any]:
        """Return the body that asks for the vectors of `texts`."""
        ...

    def read(self, answer: dict[str, Any]) -> list[list[float]]:
        """Return the vectors in an answer, in the order of the texts; whatever is wrong with it may be raised."""
        ...


class HttpEmbedder:
    """Sends batches of texts to a server that speaks a `wire`."""

    def __init__(self, wire: Wire, *, name: str, window: int, batch_size: int, secret: str | None) -> None:
        self.name = name
        self.window = window
        self.batch_size = batch_size
        self._wire = wire
        self._secret = secret
        self._client: httpx2.AsyncClient | None = None
        self._dimension: int | None = None

    def count_tokens(self, text: str) -> int:
        """Return an estimate."""
        return estimate_tokens(text)

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector per text; a batch that fails for a while is sent again, `MAX_ATTEMPTS` times in all."""
        import_numpy(self.name)
        import numpy as np

        batches = [texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size)]
        found = [await self._batch(batch, is_query=is_query) for batch in batches]
        vectors: Vectors = np.concatenate(found) if found else np.empty((0, self._dimension or 0), dtype=np.float32)
        return vectors

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _batch(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        answer = await self._ask(self._wire.request(texts, is_query=is_query))
        return self._check(answer, len(texts))

    def _check(self, answer: dict[str, Any], count: int) -> Vectors:
        import numpy as np

        try:
            vectors: Vectors = np.asarray(self._wire.read(answer), dtype=np.float32)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise EmbedderError(f"embedder {self.name} answered in a shape that is not understood") from error
        if vectors.ndim != 2 or vectors.shape[0] != count or vectors.shape[1] == 0:
            raise EmbedderError(f"embedder {self.name} answered {vectors.shape} for {count} texts")
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"embedder {self.name} answered numbers that are none")
        if self._dimension not in {None, vectors.shape[1]}:
            raise EmbedderError(
                f"embedder {self.name} answered {vectors.shape[1]} dimensions after some of {self._dimension}"
            )
        self._dimension = int(vectors.shape[1])
        return vectors

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        delay_s = _FIRST_DELAY_S
        for attempt in range(1, MAX_ATTEMPTS + 1):
            wait_s, failure = delay_s, ""
            try:
                return await self._post(body)
            except _TryAgainError as error:
                failure, wait_s = str(error), max(delay_s, error.retry_after_s)
            if attempt == MAX_ATTEMPTS or wait_s > _MAX_DELAY_S:
                raise EmbedderError(
                    f"embedder {self.name} {failure} (tried {attempt} times)",
                    hint=f"is {_safe(self._wire.url)} the address of its server? run the command again to go on",
                )
            await asyncio.sleep(jitter(wait_s))
            delay_s = min(delay_s * 2, _MAX_DELAY_S)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        client = self._client = self._client or new_http_client(_TIMEOUT_S)
        try:
            response = await client.post(self._wire.url, json=body, headers=self._wire.headers)
        except httpx2.TimeoutException as error:
            raise _TryAgainError("did not answer in time") from error
        except (httpx2.HTTPError, AnswerTooLargeError) as error:
            raise _TryAgainError(f"cannot be reached: {self._mask(str(error) or 'the connection broke')}") from error
        if response.status_code in _RETRIED:
            words = f"answered {response.status_code}: {self._excerpt(response)}"
            raise _TryAgainError(words, retry_after_s=_retry_after(response))
        if response.status_code != 200:
            raise EmbedderError(
                f"embedder {self.name} answered {response.status_code}: {self._excerpt(response)}",
                hint="check its `api_key`"
                if response.status_code in {401, 403}
                else "check its `model` and `base_url`",
            )
        try:
            document = response.json()
        except ValueError as error:
            raise EmbedderError(f"embedder {self.name} answered no JSON") from error
        if not isinstance(document, dict):
            raise EmbedderError(f"embedder {self.name} answered in a shape that is not understood")
        return cast("dict[str, Any]", document)

    def _excerpt(self, response: httpx2.Response) -> str:
        text = response.text
        try:
            error = json.loads(text)["error"]
            text = error if isinstance(error, str) else str(error["message"])
        except (ValueError, KeyError, TypeError):
            pass
        return self._mask(" ".join(text.split()))[:_MAX_EXCERPT]

    def _mask(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text


class _TryAgainError(Exception):
    def __init__(self, words: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


def import_numpy(who: str) -> None:
    """See that numpy is there.

    Raises:
        EmbedderError: it is not installed.
    """
    try:
        import_module("numpy")
    except ImportError as error:
        raise missing_package(EmbedderError, f"embedder {who}", error, extra="knowledge") from error


def _retry_after(response: httpx2.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _safe(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
