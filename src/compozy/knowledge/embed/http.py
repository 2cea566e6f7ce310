"""Embedders that are asked over HTTP: batches, timeouts, tries, and answers that are checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx2

from compozy.errors import EmbedderError
from compozy.ids import jitter
from compozy.jsoninput import parse_json
from compozy.knowledge.embed.protocol import TextRefusedError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.tokens import estimate_tokens
from compozy.model.http import (
    AnswerTooLargeError,
    NotAModelServerError,
    mask_secrets,
    new_http_client,
    safe_url,
)
from compozy.model.retry import (
    DEFAULT_ATTEMPTS,
    MAX_RETRY_AFTER_S,
    backoff_s,
    is_retried,
    read_retry_after_s,
    waits_too_long,
)

if TYPE_CHECKING:
    from compozy.knowledge.embed.protocol import Vectors

_TIMEOUT_S = 60.0
# Answers of servers to a batch of too many texts, or a text that is too long.
_TOO_MUCH = frozenset({400, 413, 422})
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

    def __init__(
        self,
        wire: Wire,
        *,
        name: str,
        window: int,
        batch_size: int,
        secret: str | None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.window = window
        self.batch_size = batch_size
        self._wire = wire
        self._secret = secret
        self._sleep = sleep
        self._client: httpx2.AsyncClient | None = None
        self._dimension: int | None = None

    def count_tokens(self, text: str) -> int:
        """Return an estimate."""
        return estimate_tokens(text)

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector per text.

        A batch that fails for a while is sent again; one that is refused as too large is halved, and the size that the
        server accepts is kept.
        """
        import_numpy(self.name)
        import numpy as np

        found: list[Vectors] = []
        start, largest = 0, self.batch_size
        while start < len(texts):
            batch = texts[start : start + self.batch_size]
            try:
                found.append(await self._batch(batch, is_query=is_query))
            except _TooMuchError as error:
                if len(batch) == 1:
                    # It was this text, not the number of texts.
                    self.batch_size = largest
                    raise self._too_long(error, start) from error
                self.batch_size = (len(batch) + 1) // 2
                continue
            start += len(batch)
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

    def _too_long(self, error: _TooMuchError, index: int) -> TextRefusedError:
        return TextRefusedError(
            index=index,
            message=f"embedder {self.name} {error}, for a single text",
            hint="if the text is too long for it, lower `window` of the embedder or `chunking.size` of the knowledge "
            "base; otherwise check its `model` and `base_url`",
        )

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        attempt = 1
        while True:
            try:
                return await self._post(body)
            except _TryAgainError as error:
                if attempt == DEFAULT_ATTEMPTS or waits_too_long(error.retry_after_s):
                    raise self._give_up(error, attempt) from error
                await self._sleep(max(jitter(backoff_s(attempt)), error.retry_after_s or 0.0))
            attempt += 1

    def _give_up(self, error: _TryAgainError, attempts: int) -> EmbedderError:
        tries = f" (tried {attempts} times)" if attempts > 1 else ""
        if waits_too_long(error.retry_after_s):
            return EmbedderError(
                f"embedder {self.name} {error}; it asks to wait {error.retry_after_s:g} s, longer than the "
                f"{MAX_RETRY_AFTER_S:g} s that a request waits{tries}",
                hint="run the command again later; documents that were embedded are kept",
            )
        hint = f"is {safe_url(self._wire.url)} the address of its server? " if error.is_unreachable else ""
        return EmbedderError(f"embedder {self.name} {error}{tries}", hint=f"{hint}run the command again to continue")

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        client = self._client = self._client or new_http_client(_TIMEOUT_S)
        try:
            response = await client.post(self._wire.url, json=body, headers=self._wire.headers)
        except NotAModelServerError as error:
            hint = f"check its `base_url` ({safe_url(self._wire.url)}): is it the address of the API?"
            if error.location:
                hint = f"set its `base_url` to {error.location.removesuffix('/embeddings')}"
            raise EmbedderError(f"embedder {self.name} {error}", hint=hint) from error
        except httpx2.TimeoutException as error:
            raise _TryAgainError("did not answer in time", is_unreachable=True) from error
        except (httpx2.HTTPError, AnswerTooLargeError) as error:
            words = f"cannot be reached: {self._mask(str(error) or 'the connection broke')}"
            raise _TryAgainError(words, is_unreachable=True) from error
        if response.status_code != 200:
            raise self._refusal(response)
        return self._read(response)

    def _read(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            document = parse_json(response.content, lenient=True)
        except ValueError as error:
            raise EmbedderError(f"embedder {self.name} answered no JSON: {error}") from error
        if not isinstance(document, dict):
            raise EmbedderError(f"embedder {self.name} answered in a shape that is not understood")
        fields = cast("dict[str, Any]", document)
        if fields.get("error"):
            raise _TryAgainError(f"answered 200 with the error: {self._excerpt(response)}")
        return fields

    def _refusal(self, response: httpx2.Response) -> Exception:
        """Return the error of a status other than 200."""
        status = response.status_code
        words = f"answered {status}: {self._excerpt(response)}"
        if is_retried(status):
            return _TryAgainError(words, retry_after_s=read_retry_after_s(response.headers))
        if status in _TOO_MUCH:
            return _TooMuchError(words)
        hint = "check its `api_key`" if status in {401, 403} else "check its `model` and `base_url`"
        return EmbedderError(f"embedder {self.name} {words}", hint=hint)

    def _excerpt(self, response: httpx2.Response) -> str:
        text = response.text
        try:
            error = parse_json(text, lenient=True)["error"]
            text = error if isinstance(error, str) else str(error["message"])
        except (ValueError, KeyError, TypeError):
            pass
        return self._mask(" ".join(text.split()))[:_MAX_EXCERPT]

    def _mask(self, text: str) -> str:
        return mask_secrets(text, self._secret)


class _TryAgainError(Exception):
    def __init__(self, words: str, *, retry_after_s: float | None = None, is_unreachable: bool = False) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s
        self.is_unreachable = is_unreachable


class _TooMuchError(Exception):
    """A batch was refused; fewer texts may be accepted."""


def import_numpy(who: str) -> None:
    """See that numpy is there.

    Raises:
        EmbedderError: it is not installed.
    """
    try:
        import_module("numpy")
    except ImportError as error:
        raise missing_package(EmbedderError, f"embedder {who}", error, extra="knowledge") from error
