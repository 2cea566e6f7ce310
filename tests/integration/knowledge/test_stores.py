"""Requirements for every vector store."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compozy.errors import VectorStoreError
from compozy.knowledge.store.contents import contents_of
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search, VectorStore
from tests.harness.vectorstores import KINDS, build, section_of

DIMENSION = 24
EXACT: dict[str, Any] = {"index": {"type": "exact"}}


def make_id(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def unit(values: Any) -> Any:
    vector = np.asarray(values, dtype=np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def random_chunks(count: int, *, seed: int = 1, dimension: int = DIMENSION, documents: int = 7) -> list[Chunk]:
    chance = np.random.default_rng(seed)
    return [
        Chunk(
            id=make_id(f"{seed}/{number}"),
            key=make_id(f"key {seed}/{number}"),
            document=f"docs/{number % documents}.md",
            title=f"Title {number % documents}",
            ordinal=number,
            text=f"the chunk number{number} speaks of topic{number % 5}",
            metadata={"parity": "even" if number % 2 == 0 else "odd", "folder": "docs"},
            vector=unit(chance.normal(size=dimension)),
        )
        for number in range(count)
    ]


@pytest.fixture(params=KINDS, scope="module")
def section(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with section_of(request.param, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
async def store(section: dict[str, Any]) -> AsyncIterator[VectorStore]:
    made = build(section, **EXACT)
    yield made
    await made.reset(None)
    await made.aclose()


def facts(dimension: int = DIMENSION, **more: Any) -> Facts:
    values: dict[str, Any] = {"embedder": "test/e", "dimension": dimension, "metric": "cosine", **more}
    return Facts(**values)


async def test_an_unknown_collection_is_empty(store: VectorStore) -> None:
    assert await store.facts() is None
    await store.prune({"docs/1.md": ()})
    await store.reset(None)
    assert await store.facts() is None


async def test_it_stores_its_properties(store: VectorStore) -> None:
    await store.reset(facts())
    assert await store.facts() == facts()
    assert await store.search(Search(limit=3, vector=unit(np.ones(DIMENSION)))) == []
    assert await store.search(Search(limit=3, text="anything")) == []
    await store.reset(None)
    assert await store.facts() is None


def modes_of_files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


async def test_a_folder_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    made = build({"provider": "filesystem", "path": str(tmp_path)}, name="notes")
    await made.reset(facts())
    await made.upsert(random_chunks(3))
    modes = modes_of_files(tmp_path)
    assert {name.partition("-")[0] for name in modes} >= {"index.db", "vectors"}
    assert set(modes.values()) == {0o600}
    await made.aclose()


async def test_it_lists_the_chunks_of_each_document(store: VectorStore) -> None:
    assert await store.documents() == {}
    await store.reset(facts())
    assert await store.documents() == {}
    # More than one page of results.
    chunks = random_chunks(700)
    await store.upsert(chunks)
    held = await store.documents()
    assert held == {
        f"docs/{number}.md": contents_of(chunk.id for chunk in chunks if chunk.document == f"docs/{number}.md")
        for number in range(7)
    }
    assert held["docs/0.md"].chunks == 100
    await store.upsert(chunks[:10])
    assert await store.documents() == held
    await store.prune({"docs/0.md": (), "docs/1.md": [chunks[1].id]})
    left = await store.documents()
    assert "docs/0.md" not in left
    assert left["docs/1.md"] == contents_of([chunks[1].id])
    assert left["docs/2.md"] == held["docs/2.md"]


async def test_it_records_its_owner_and_reads_collections_without_one(store: VectorStore) -> None:
    await store.reset(facts(owner="shop/main"))
    found = await store.facts()
    assert found is not None
    assert found.owner == "shop/main"
    await store.reset(facts())
    assert await store.facts() == facts(owner="")


async def test_search_is_exact_and_in_the_order_of_a_full_comparison(store: VectorStore) -> None:
    chunks = random_chunks(400)
    await store.reset(facts())
    await store.upsert(chunks[:150])
    await store.upsert(chunks[150:])
    await store.settle()
    found: list[Match] = []
    for seed in range(10):
        wanted = unit(np.random.default_rng(100 + seed).normal(size=DIMENSION))
        expected = sorted(chunks, key=lambda chunk: -float(chunk.vector @ wanted))[:10]
        found = await store.search(Search(limit=10, vector=wanted))
        assert [match.id for match in found] == [chunk.id for chunk in expected]
        assert [match.score for match in found] == pytest.approx(
            [float(chunk.vector @ wanted) for chunk in expected], abs=2e-6
        )
    first = found[0]
    source = next(chunk for chunk in chunks if chunk.id == first.id)
    assert (first.document, first.title, first.ordinal, first.text, dict(first.metadata)) == (
        source.document,
        source.title,
        source.ordinal,
        source.text,
        dict(source.metadata),
    )


async def test_filters_compare_metadata(store: VectorStore) -> None:
    chunks = random_chunks(60)
    await store.reset(facts())
    await store.upsert(chunks)
    wanted = chunks[0].vector
    found = await store.search(Search(limit=50, vector=wanted, filters={"parity": "odd", "folder": "docs"}))
    assert len(found) == 30
    assert {match.metadata["parity"] for match in found} == {"odd"}
    assert await store.search(Search(limit=5, vector=wanted, filters={"parity": "neither"})) == []
    assert await store.search(Search(limit=5, vector=wanted, filters={"unknown": "x"})) == []
    by_words = await store.search(Search(limit=50, text="topic3", filters={"parity": "even"}))
    assert {match.metadata["parity"] for match in by_words} == {"even"}
    assert len(by_words) == 6


@pytest.mark.parametrize("value", ["a,b", 'quo"te', "it's", "{x}|*", "blank space", "ü 漢字", "a\\b", "$1 %s ?"])
async def test_values_of_filters_and_texts_may_contain_any_character(store: VectorStore, value: str) -> None:
    one, other = random_chunks(2)
    chunk = replace(one, metadata={"key-1.x": value}, document=value, title=value, text=value)
    await store.reset(facts())
    await store.upsert([chunk, other])
    (found,) = await store.search(Search(limit=5, vector=one.vector, filters={"key-1.x": value}))
    assert (found.document, found.title, found.text, dict(found.metadata)) == (value, value, value, {"key-1.x": value})
    await store.search(Search(limit=5, text=f"{value} ) OR * -{value} @x:[1 2] topic1"))
    await store.prune({value: ()})
    assert await store.search(Search(limit=5, vector=one.vector, filters={"key-1.x": value})) == []


async def test_rare_words_rank_higher(store: VectorStore) -> None:
    chunks = random_chunks(50)
    await store.reset(facts())
    await store.upsert(chunks)
    found = await store.search(Search(limit=5, text="What is Number17?"))
    assert found[0].ordinal == 17
    found = await store.search(Search(limit=20, text="chunk topic2"))
    assert {match.ordinal % 5 for match in found[:10]} == {2}
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    assert await store.search(Search(limit=5, text="nowhere")) == []
    assert await store.search(Search(limit=5, text=" ?! ")) == []


async def test_words_are_found_in_another_case_and_without_accents(store: VectorStore) -> None:
    texts = ("Das Café in der Hauptstraße", "AUS İSTANBUL UND ISPARTA", "another text")
    chunks = [replace(chunk, text=text) for chunk, text in zip(random_chunks(3), texts, strict=True)]
    await store.reset(facts())
    await store.upsert(chunks)
    for asked, ordinal in (("cafe", 0), ("CAFÉ", 0), ("HAUPTSTRASSE", 0), ("istanbul", 1), ("ısparta", 1)):
        found = await store.search(Search(limit=5, text=asked))
        assert [match.ordinal for match in found] == [ordinal], asked
        assert found[0].shown_score > 0
    everywhere = await store.search(Search(limit=5, text="text another Café in aus"))
    assert all(match.shown_score > 0 for match in everywhere)


async def test_a_chunk_of_the_same_id_is_replaced(store: VectorStore) -> None:
    chunks = random_chunks(20)
    await store.reset(facts())
    await store.upsert(chunks)
    changed = replace(chunks[3], text="quite another matter", vector=unit(np.eye(DIMENSION)[0]))
    await store.upsert([changed])
    found = await store.search(Search(limit=30, vector=changed.vector))
    assert len(found) == 20
    assert (found[0].id, found[0].text) == (changed.id, "quite another matter")
    assert [match.id for match in await store.search(Search(limit=5, text="matter"))] == [changed.id]
    assert await store.search(Search(limit=5, text="number3")) == []


async def test_vectors_are_returned_unchanged(store: VectorStore) -> None:
    chunks = random_chunks(30)
    await store.reset(facts())
    await store.upsert(chunks)
    found = await store.vectors([chunk.key for chunk in chunks[:5]] + [make_id("nobody")])
    assert set(found) == {chunk.key for chunk in chunks[:5]}
    for chunk in chunks[:5]:
        assert found[chunk.key] == pytest.approx(chunk.vector, abs=1e-6)
    assert await store.vectors([]) == {}


async def test_one_key_of_many_chunks(store: VectorStore) -> None:
    """A text that occurs in every document has one vector, and does not hide the others."""
    chunks = random_chunks(40)
    shared = [replace(chunk, key=chunks[0].key, vector=chunks[0].vector) for chunk in chunks[:35]]
    await store.reset(facts())
    await store.upsert([*shared, *chunks[35:]])
    wanted = {chunks[0].key, chunks[36].key, chunks[39].key}
    found = await store.vectors(wanted)
    assert set(found) == wanted
    assert found[chunks[36].key] == pytest.approx(chunks[36].vector, abs=1e-6)
    for document in {chunk.document for chunk in chunks}:
        await store.prune({document: {chunks[34].id}})
    assert set(await store.vectors(wanted)) == {chunks[0].key}


async def test_prune_keeps_what_is_named(store: VectorStore) -> None:
    chunks = random_chunks(21)
    await store.reset(facts())
    await store.upsert(chunks)
    mine = [chunk for chunk in chunks if chunk.document == "docs/1.md"]
    await store.prune({"docs/1.md": {mine[0].id}})
    left = await store.search(Search(limit=30, vector=chunks[0].vector))
    assert {match.id for match in left} == {c.id for c in chunks} - {c.id for c in mine[1:]}
    await store.prune({"docs/1.md": ()})
    await store.prune({"docs/none.md": ()})
    left = await store.search(Search(limit=30, vector=chunks[0].vector))
    assert len(left) == 18
    assert await store.search(Search(limit=3, text="number1")) == []


@pytest.mark.parametrize("metric", ["ip", "l2"])
async def test_other_metrics(section: dict[str, Any], metric: str) -> None:
    store = build(section, **EXACT, metric=metric)
    chance = np.random.default_rng(5)
    chunks = [
        replace(chunk, vector=chance.normal(size=DIMENSION).astype(np.float32) * (1 + number % 3))
        for number, chunk in enumerate(random_chunks(80))
    ]
    wanted = chance.normal(size=DIMENSION).astype(np.float32)
    try:
        await store.reset(facts(metric=metric))
        await store.upsert(chunks)
        scores = {
            chunk.id: float(chunk.vector @ wanted) if metric == "ip" else -float(np.linalg.norm(chunk.vector - wanted))
            for chunk in chunks
        }
        found = await store.search(Search(limit=10, vector=wanted))
        assert [match.id for match in found] == sorted(scores, key=lambda name: -scores[name])[:10]
        assert [match.score for match in found] == pytest.approx([scores[match.id] for match in found], rel=1e-4)
    finally:
        await store.reset(None)
        await store.aclose()


async def test_two_collections_of_one_store_are_separate(section: dict[str, Any]) -> None:
    one, other = build(section, **EXACT), build(section, **EXACT)
    if section.get("path") and section["provider"] == "qdrant":
        pytest.skip("one process has the folder open once")
    chunks = random_chunks(10)
    try:
        for store in (one, other):
            await store.reset(facts())
        await one.upsert(chunks[:5])
        await other.upsert(chunks[5:])
        await one.reset(None)
        found = await other.search(Search(limit=20, vector=chunks[0].vector))
        assert {match.id for match in found} == {chunk.id for chunk in chunks[5:]}
    finally:
        await other.reset(None)
        await one.aclose()
        await other.aclose()


async def test_stored_chunks_exist_after_a_restart(section: dict[str, Any]) -> None:
    chunks = random_chunks(10)
    first = build(section, name="t_again", **EXACT)
    await first.reset(facts())
    await first.upsert(chunks)
    await first.aclose()
    second = build(section, name="t_again", **EXACT)
    try:
        assert await second.facts() == facts()
        assert len(await second.search(Search(limit=20, vector=chunks[0].vector))) == 10
    finally:
        await second.reset(None)
        await second.aclose()


async def test_vectors_of_another_length_are_refused(store: VectorStore) -> None:
    await store.reset(facts())
    wrong = random_chunks(1, dimension=DIMENSION + 1)
    if type(store).__name__ == "RedisStore":
        # It stores the hash and leaves it out of its index. An ingestion checks lengths before.
        await store.upsert(wrong)
        assert await store.search(Search(limit=3, vector=unit(np.ones(DIMENSION)))) == []
        return
    with pytest.raises(Exception, match=str(DIMENSION)) as caught:
        await store.upsert(wrong)
    assert type(caught.value).__name__ in {"VectorStoreError", "DatabaseError"}
    assert await store.search(Search(limit=3, vector=unit(np.ones(DIMENSION)))) == []


async def test_an_index_finds_nearly_the_same_as_a_full_comparison(section: dict[str, Any]) -> None:
    store = build(section)
    chunks = random_chunks(600, dimension=64)
    hits = 0
    try:
        await store.reset(facts(64))
        for start in range(0, len(chunks), 100):
            await store.upsert(chunks[start : start + 100])
        await store.settle()
        for seed in range(20):
            wanted = unit(np.random.default_rng(200 + seed).normal(size=64))
            best = {chunk.id for chunk in sorted(chunks, key=lambda c: -float(c.vector @ wanted))[:10]}
            hits += len(best & {match.id for match in await store.search(Search(limit=10, vector=wanted))})
        assert hits >= 190, "recall@10 below 0.95"
    finally:
        await store.reset(None)
        await store.aclose()


@pytest.mark.parametrize("kind", ["hnsw", "ivfflat"])
async def test_recall_of_pgvector_with_clustered_texts(tmp_path: Path, kind: str) -> None:
    """Queries far from all clusters are the hardest: their neighbors are spread over many clusters."""
    chance = np.random.default_rng(3)
    centers = chance.normal(size=(40, 64))
    chunks = [
        replace(chunk, vector=unit(centers[number % 40] + 0.7 * chance.normal(size=64)))
        for number, chunk in enumerate(random_chunks(3000, dimension=64))
    ]
    hits = 0
    with section_of("pgvector", tmp_path) as section:
        store = build(section, index={"type": kind})
        await store.reset(facts(64))
        for start in range(0, len(chunks), 500):
            await store.upsert(chunks[start : start + 500])
        await store.settle()
        for wanted in (unit(chance.normal(size=64)) for _ in range(20)):
            best = {chunk.id for chunk in sorted(chunks, key=lambda c: -float(c.vector @ wanted))[:10]}
            hits += len(best & {match.id for match in await store.search(Search(limit=10, vector=wanted))})
        await store.aclose()
    assert hits >= 190, f"recall@10 is {hits / 200:.3f}"


@pytest.mark.parametrize("provider", ["qdrant", "redis"])
async def test_an_unreachable_server(tmp_path: Path, provider: str) -> None:
    secret = {"url": "redis://user:s3cret@127.0.0.1:1"} if provider == "redis" else {"api_key": "s3cret"}
    store = build({"provider": provider, "url": "http://127.0.0.1:1", **secret})
    with pytest.raises(VectorStoreError, match="'main'") as caught:
        await store.facts()
    assert "s3cret" not in str(caught.value.to_json())
    assert "running" in caught.value.hint
    await store.aclose()
