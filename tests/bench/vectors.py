"""Measures vector search: each store against raw numpy and its native client, at 1,000, 10,000 and 100,000 vectors.

    python -m tests.bench.vectors [--counts 1000,10000] [--dimension 384] [--kinds filesystem,...] [--others]

One line per store: p50 and p95 of a search for ten in milliseconds, recall@10 against the exact answer, p50 of the
store's native client for the same queries, seconds to store, seconds from opening to the first answer, and memory that
opening and searching added to this process in MiB. Before each search, numpy makes a full comparison: `times_numpy` is
the ratio of the two times. It is measured at the same moments, and is therefore more reliable than milliseconds on a
machine with other load. The queries are far from all clusters of vectors, which is the hardest case for an index.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compozy.knowledge.store.protocol import Chunk, Facts, Search
from tests.bench.clients import LIMIT, Ask, open_client
from tests.bench.report import Row, add_json, report
from tests.harness.vectorstores import KINDS, build, section_of

QUERIES = 40
NAME = "t_bench"
_AT_ONCE = 500


def make_vectors(count: int, dimension: int, *, seed: int = 1) -> Any:
    """Return vectors of length 1 in clusters, like those of texts."""
    chance = np.random.default_rng(seed)
    centers = chance.normal(size=(200, dimension)).astype(np.float32)
    vectors = centers[chance.integers(0, 200, count)] + 0.7 * chance.normal(size=(count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def chunks_of(vectors: Any, start: int, end: int) -> list[Chunk]:
    """Return the chunks of some of the vectors."""
    return [
        Chunk(
            id=f"00000000-0000-8000-8000-{number:012x}",
            key=f"00000000-0000-8000-8000-{number:012x}",
            document=f"d{number % 997}.md",
            title="t",
            ordinal=number,
            text=f"text number{number}",
            metadata={"k": str(number % 10)},
            vector=vectors[number],
        )
        for number in range(start, end)
    ]


def memory_mib() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """The vectors and queries of a search. `truth` holds the ten nearest neighbors for each query."""

    vectors: Any
    queries: Any
    truth: list[set[int]]


async def measure(kind: str, task: Task, folder: Path) -> dict[str, Any]:
    """Measure one store and its native client, and return their figures."""
    vectors = task.vectors
    with section_of(kind, folder) as section:
        store = build(section, name=NAME)
        await store.reset(Facts(embedder="bench", dimension=vectors.shape[1], metric="cosine"))
        began = time.perf_counter()
        for start in range(0, len(vectors), _AT_ONCE):
            await store.upsert(chunks_of(vectors, start, min(start + _AT_ONCE, len(vectors))))
        await store.settle()
        stored_s = time.perf_counter() - began
        await store.aclose()
        client: dict[str, Any] = {}
        async with open_client(kind, section, NAME) as ask:
            if ask is not None:
                client["client_p50_ms"] = row("its client", task, await ask_all(ask, task))["p50_ms"]
        before_mib, opened = memory_mib(), time.perf_counter()
        again = build(section, name=NAME)

        async def search(query: Any) -> set[int]:
            return {match.ordinal for match in await again.search(Search(limit=LIMIT, vector=query))}

        await search(task.queries[0])
        open_s = time.perf_counter() - opened
        asked = await ask_all(search, task)
        memory = memory_mib() - before_mib
        await again.reset(None)
        await again.aclose()
        times = {"stored_s": round(stored_s, 1), "first_s": round(open_s, 2), "memory_mib": memory}
        return {**row(kind, task, asked), **client, **times}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Seconds of each search and of numpy at the same moments, and the number of nearest neighbors found."""

    times: list[float]
    numpy: list[float]
    hits: int


async def ask_all(ask: Ask, task: Task) -> Asked:
    """Search for the nearest neighbors of each query, each time after numpy."""
    times, plain, hits = list[float](), list[float](), 0
    for query, best in zip(task.queries, task.truth, strict=True):
        at = time.perf_counter()
        exact(task.vectors, query)
        plain.append(time.perf_counter() - at)
        at = time.perf_counter()
        found = await ask(query)
        times.append(time.perf_counter() - at)
        hits += len(best & found)
    return Asked(times=times, numpy=plain, hits=hits)


async def measure_plain(name: str, task: Task, search: Callable[[Any], Any]) -> dict[str, Any]:
    """Measure a plain search."""

    async def ask(query: Any) -> set[int]:
        return {int(each) for each in search(query)}

    return row(name, task, await ask_all(ask, task))


def row(name: str, task: Task, asked: Asked) -> dict[str, Any]:
    """Return one line of the table."""
    p50_ms, p95_ms = np.percentile(np.array(asked.times) * 1000, [50, 95])
    return {
        "store": name,
        "vectors": len(task.vectors),
        "p50_ms": round(float(p50_ms), 2),
        "p95_ms": round(float(p95_ms), 2),
        "times_numpy": round(float(np.median(asked.times) / np.median(asked.numpy)), 2),
        "recall": round(asked.hits / (LIMIT * len(asked.times)), 3),
    }


def exact(vectors: Any, query: Any) -> Any:
    """Return the ten nearest rows."""
    scores = vectors @ query
    best = np.argpartition(scores, -10)[-10:]
    return best[np.argsort(-scores[best])]


def usearch_of(vectors: Any) -> Callable[[Any], Any]:
    """Return the search function of a graph index with its defaults."""
    index: Any = importlib.import_module("usearch.index").Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    index.add(np.arange(len(vectors)), vectors)
    return lambda query: index.search(query, 10).keys


def sqlite_vec_of(vectors: Any, folder: Path) -> Callable[[Any], Any]:
    """Return the search function of sqlite-vec, if this Python can load extensions."""
    import sqlite3

    connection = sqlite3.connect(folder / "vec.db")
    connection.enable_load_extension(True)
    importlib.import_module("sqlite_vec").load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE v USING vec0(e float[{vectors.shape[1]}] distance_metric=cosine)")
    rows = [(number, vector.tobytes()) for number, vector in enumerate(vectors)]
    connection.executemany("INSERT INTO v (rowid, e) VALUES (?, ?)", rows)
    query = "SELECT rowid FROM v WHERE e MATCH ? AND k = 10 ORDER BY distance"
    return lambda wanted: [found for (found,) in connection.execute(query, (wanted.tobytes(),))]


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1000,10000,100000")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--others", action="store_true", help="also usearch and sqlite-vec, where installed")
    add_json(parser)
    given = parser.parse_args()
    rows: list[Row] = []
    for count in (int(text) for text in given.counts.split(",")):
        vectors = make_vectors(count, given.dimension)
        queries = make_vectors(QUERIES, given.dimension, seed=2)
        truth = [{int(each) for each in exact(vectors, query)} for query in queries]
        task = Task(vectors=vectors, queries=queries, truth=truth)
        rows.append(await measure_plain("numpy", task, partial(exact, vectors)))
        rows += await measure_others(task) if given.others else ()
        for kind in given.kinds.split(","):
            if kind == "qdrant-folder" and count > 10_000:
                continue
            with tempfile.TemporaryDirectory() as folder:
                rows.append(await measure(kind, task, Path(folder)))
    report(rows, given.json)


async def measure_others(task: Task) -> list[Row]:
    """Return the figures of other libraries that are installed and that this Python can load."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImportError, AttributeError):
        rows.append(await measure_plain("usearch", task, usearch_of(task.vectors)))
        rows.append(await measure_plain("sqlite-vec", task, sqlite_vec_of(task.vectors, Path(folder))))
    return rows


if __name__ == "__main__":
    asyncio.run(main())
