"""An embedder and a vector store that exist only in this file: one record each, registered in one line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from compozy.config.nodes import MappingNode, place_at
from compozy.errors import Diagnostic
from compozy.knowledge.embed.kind import EmbedderKind
from compozy.knowledge.embed.registry import EMBEDDERS
from compozy.knowledge.embed.registry import register as register_embedder
from compozy.knowledge.embed.spec import EmbedderSpec
from compozy.knowledge.store.filesystem import FilesystemStore
from compozy.knowledge.store.kind import StoreKind
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.store.registry import STORES
from compozy.knowledge.store.registry import register as register_store
from compozy.knowledge.store.spec import StoreSpec
from compozy.project.jsonschema import project_schema
from tests.conftest import RunCli
from tests.harness.embeddings import vector_of
from tests.harness.knowledge import write_documents
from tests.harness.projects import write_project

if TYPE_CHECKING:
    from compozy.knowledge.embed.protocol import Vectors
    from compozy.knowledge.store.protocol import Vector


class Words:
    """Embeds by the words of a text."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self.name, self.window, self.batch_size = spec.name, spec.window, spec.batch_size

    def count_tokens(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    async def embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        """Return one vector per text."""
        return np.asarray([vector_of(text, 32) for text in texts], dtype=np.float32)

    async def aclose(self) -> None:
        """Do nothing."""


class Shelf:
    """Forwards every call to a store of files, in the folder of the collection."""

    def __init__(self, spec: StoreSpec) -> None:
        self._files = FilesystemStore(spec.root / "shelf" / spec.collection)

    async def facts(self) -> Facts | None:
        """Return the properties of the collection."""
        return await self._files.facts()

    async def reset(self, facts: Facts | None) -> None:
        """Delete the collection, and create an empty one."""
        await self._files.reset(facts)

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks."""
        await self._files.upsert(chunks)

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return stored vectors by key."""
        return await self._files.vectors(keys)

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the other chunks of documents."""
        await self._files.prune(keep)

    async def settle(self) -> None:
        """Free space."""
        await self._files.settle()

    async def search(self, search: Search) -> list[Match]:
        """Return the best matches."""
        return await self._files.search(search)

    async def aclose(self) -> None:
        """Close the files."""
        await self._files.aclose()


build_embedder = Words
build_store = Shelf


def check(store: MappingNode) -> Iterable[Diagnostic]:
    """Refuse a store with a path."""
    if store.entry("path"):
        yield Diagnostic(location=place_at(store, ("path",)), message="a shelf has no path", code="knowledge")


EMBEDDER = EmbedderKind(
    name="words", builder=__name__, default_model="w1", window=128, dimensions={"w1": 32}, needs_key=False
)
STORE = StoreKind(
    name="shelf",
    title="the shelf",
    builder=__name__,
    keys=frozenset({"path", "url"}),
    check_address=lambda _: "a shelf has no address",
    check=check,
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register both kinds, and remove them again."""
    register_embedder(EMBEDDER)
    register_store(STORE)
    yield
    del EMBEDDERS[EMBEDDER.name], STORES[STORE.name]


def write(folder: Path, *, store: dict[str, Any] | None = None, embedder: dict[str, Any] | None = None) -> None:
    write_documents(folder)
    write_project(
        folder,
        knowledge={
            "vector_dbs": [{"id": "main", "provider": "shelf", **(store or {})}],
            "embedders": [{"id": "e", "provider": "words", **(embedder or {})}],
        },
    )


def test_documents_are_stored_and_found(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)
    done = cli("knowledge", "ingest", "./knowledge")
    assert (done.status, done.err) == (0, "note: embeddings by words/w1\n")
    assert "✓ Embeddings stored in the shelf" in done.out
    assert (tmp_path / "shelf/compozy_demo_main").is_dir(), "a shared store has the project in its collections"
    found = json.loads(cli("knowledge", "query", "apples on trees", "--format", "json").out)
    assert found["matches"][0]["document"] == "knowledge/apples.md"
    [base] = json.loads(cli("knowledge", "list", "--format", "json").out)["knowledge_bases"]
    assert (base["provider"], base["embedder"], base["dimension"]) == ("shelf", "words/w1", 32)


@pytest.mark.parametrize(
    ("store", "embedder", "message"),
    [
        ({"provider": "shlef"}, {}, "pgvector, qdrant, redis, filesystem or shelf, got 'shlef'"),
        ({}, {"provider": "wrods"}, "openai, ollama, google, local or words, got 'wrods'"),
        ({"api_key": "k"}, {}, "'api_key' means nothing to a shelf store"),
        ({"path": "x"}, {}, "a shelf has no path"),
        ({"url": "http://x"}, {}, "url: a shelf has no address"),
        ({"index": {"type": "hnsw"}}, {}, "a shelf store has no hnsw index"),
    ],
)
def test_their_errors_are_reported(
    cli: RunCli, tmp_path: Path, store: dict[str, Any], embedder: dict[str, Any], message: str
) -> None:
    write(tmp_path, store=store, embedder=embedder)
    done = cli("config", "validate")
    assert done.status != 0
    assert message in done.err


@pytest.mark.parametrize("key", ["provider", "type"])
def test_a_store_that_needs_postgresql_is_refused_on_sqlite(cli: RunCli, tmp_path: Path, key: str) -> None:
    register_store(replace(STORE, needs_postgres=True))
    write_project(tmp_path, knowledge={"vector_dbs": [{"id": "main", key: "shelf"}]})
    done = cli("config", "validate")
    assert done.status != 0
    assert "shelf provider is incompatible with SQLite driver (use qdrant, redis or filesystem)" in done.err


def test_they_are_in_the_json_schema() -> None:
    schemas = project_schema()["$defs"]
    for model, registry in (("VectorDBSettings", STORES), ("EmbedderSettings", EMBEDDERS)):
        described = schemas[model]["properties"]["provider"]
        assert described["anyOf"][0] == {"enum": list(registry), "type": "string"}
