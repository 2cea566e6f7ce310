"""A project whose embedder is a test server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.knowledge import write_knowledge_project


@pytest.fixture
def embeddings() -> Iterator[tuple[str, Embeddings]]:
    with serve_embeddings() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, embeddings: tuple[str, Embeddings]) -> Path:
    return write_knowledge_project(tmp_path, embeddings[0])
