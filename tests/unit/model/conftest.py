"""Fixtures of the model tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness.chatserver import ChatServer, serve_chat


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """Return a server with OpenAI's chat format."""
    with serve_chat() as server:
        yield server
