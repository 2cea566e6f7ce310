"""Embedders over HTTP: they are retried like chat models, and batches are adapted to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest
from tests.harness.chatserver import ChatServer, Reply, Seen, error_reply, json_reply, serve_chat

from compozy.clock import now_ms
from compozy.errors import EmbedderError
from compozy.knowledge.embed.http import HttpEmbedder
from compozy.knowledge.embed.openai import OpenAIWire
from compozy.knowledge.embed.spec import EmbedderSpec

_KEY = "sk-the-users-own-key-1234567890"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serve_chat() as server:
        yield server


def vectors(body: dict[str, Any]) -> Reply:
    return json_reply({"data": [{"index": at, "embedding": [len(text), 1.0]} for at, text in enumerate(body["input"])]})


def answer_by(server: ChatServer, choose: Callable[[dict[str, Any]], Reply]) -> None:
    """Let `server` send the replies in `replies` first, then those of `choose`."""

    def next_reply(seen: Seen) -> Reply:
        server.seen.append(seen)
        return server.replies.pop(0) if server.replies else choose(seen.body)

    server.next_reply = next_reply


class Asker:
    """One embedder, whose waits take no time."""

    def __init__(self, url: str) -> None:
        self.slept_s: list[float] = []
        spec = EmbedderSpec(
            kind="openai", model="e", base_url=url, api_key=_KEY, dimension=None, window=512, batch_size=64
        )
        self.embedder = HttpEmbedder(
            OpenAIWire(spec), name=spec.name, window=512, batch_size=64, secret=_KEY, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)

    async def embed(self, count: int = 1) -> list[float]:
        """Return the first number of each vector."""
        try:
            found = await self.embedder.embed(["x" * (at + 1) for at in range(count)], is_query=False)
            return [float(row[0]) for row in found]
        finally:
            await self.embedder.aclose()

    async def fail(self, count: int = 1) -> EmbedderError:
        with pytest.raises(EmbedderError) as caught:
            await self.embed(count)
        assert _KEY not in str(caught.value.to_json())
        return caught.value


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("largest", [1, 10, 32])
async def test_a_batch_that_is_too_large_is_halved(server: ChatServer, status: int, largest: int) -> None:
    refused = error_reply(status, f"batch size > maximum allowed batch size {largest}")
    answer_by(server, lambda body: refused if len(body["input"]) > largest else vectors(body))
    asker = Asker(server.url)

    assert await asker.embed(100) == [float(at + 1) for at in range(100)]
    assert asker.embedder.batch_size <= largest
    assert asker.slept_s == []

    before = len(server.seen)
    await asker.embed(1)
    assert len(server.seen) == before + 1, "the size that the server takes is kept"


async def test_a_text_that_is_too_long_names_the_settings(server: ChatServer) -> None:
    answer_by(server, lambda _: error_reply(413, "input is larger than the context"))

    error = await Asker(server.url).fail(5)

    assert error.message == "embedder openai/e answered 413: input is larger than the context, for a single text"
    assert "lower `window` of the embedder or `chunking.size` of the knowledge base" in error.hint


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
@pytest.mark.parametrize(("retry_after", "least_s", "most_s"), [("31", 31, 31), ("60", 60, 60), ("0.5", 0.5, 0.5)])
async def test_it_waits_as_long_as_the_server_asks(
    server: ChatServer, status: int, retry_after: str, least_s: float, most_s: float
) -> None:
    server.replies = [error_reply(status, "later", headers={"Retry-After": retry_after})]
    answer_by(server, vectors)
    asker = Asker(server.url)

    assert await asker.embed() == [1.0]
    assert [least_s <= slept <= most_s for slept in asker.slept_s] == [True]


async def test_retry_after_as_a_date(server: ChatServer) -> None:
    soon = formatdate(now_ms() / 1000 + 30, usegmt=True)
    server.replies = [error_reply(429, "later", headers={"Retry-After": soon})]
    answer_by(server, vectors)
    asker = Asker(server.url)

    await asker.embed()
    assert 20 < asker.slept_s[0] <= 30


async def test_a_wait_that_is_too_long(server: ChatServer) -> None:
    answer_by(server, lambda _: error_reply(429, "later", headers={"Retry-After": "900"}))

    error = await Asker(server.url).fail()

    assert error.message == (
        "embedder openai/e answered 429: later; it asks to wait 900 s, longer than the 60 s that a request waits"
    )
    assert "address" not in error.hint


async def test_five_tries(server: ChatServer) -> None:
    answer_by(server, lambda _: error_reply(500, "oops"))
    asker = Asker(server.url)

    error = await asker.fail()

    assert error.message == "embedder openai/e answered 500: oops (tried 5 times)"
    assert len(asker.slept_s) == 4


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), "answered a web page", "address of the API"),
        (
            Reply(status=308, headers={"Location": "https://e.example/v1/embeddings"}),
            "answered 308, a redirect to https://e.example/v1/embeddings",
            "set its `base_url` to https://e.example/v1",
        ),
        (json_reply({"error": {"message": "busy"}}), "answered 200 with the error: busy", "run the command again"),
        (Reply(body=b'{"data": NaN}'), "answered no JSON: NaN is not a JSON value", ""),
        (Reply(body=b"[" * 100_000), "answered no JSON: nested too deeply", ""),
        (error_reply(401, f"bad key {_KEY}"), "answered 401: bad key ***", "check its `api_key`"),
    ],
)
async def test_an_invalid_answer(server: ChatServer, reply: Reply, message: str, hint: str) -> None:
    answer_by(server, lambda _: reply)

    error = await Asker(server.url).fail(3)

    assert message in error.message
    assert hint in error.hint
