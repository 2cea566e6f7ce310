"""What vector search costs: each store beside raw numpy, at 1,000, 10,000 and 100,000 vectors.

    python -m tests.bench.vectors [--counts 1000,10000] [--dimension 384] [--kinds filesystem,...] [--usearch]

It prints one line for each: seconds to store, p50 and p95 of a search for ten in milliseconds, resident memory of this
process in MiB, and recall@10 beside the exact answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from compozy.knowledge.store.protocol import Chunk, Facts, Search
from tests.harness.vectorstores import KINDS, build, section_of

QUERIES = 40
_AT_ONCE = 500


def make_vectors(count: int, dimension: int, *, seed: int = 1) -> Any:
    """Return vectors of length 1 in clusters, as those of texts are."""
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


async def measure(kind: str, vectors: Any, queries: Any, truth: list[set[int]], folder: Path) -> str:
    """Measure one store."""
    with section_of(kind, folder) as section:
        store = build(section, name="t_bench")
        await store.reset(Facts(embedder="bench", dimension=vectors.shape[1], metric="cosine"))
        began = time.perf_counter()
        for start in range(0, len(vectors), _AT_ONCE):
            await store.upsert(chunks_of(vectors, start, min(start + _AT_ONCE, len(vectors))))
        await store.settle()
        stored_s = time.perf_counter() - began
        await store.aclose()
        opened = time.perf_counter()
        again = build(section, name="t_bench")
        await again.search(Search(limit=10, vector=queries[0]))
        open_s = time.perf_counter() - opened
        times, hits = list[float](), 0
        for query, best in zip(queries, truth, strict=True):
            at = time.perf_counter()
            found = await again.search(Search(limit=10, vector=query))
            times.append(time.perf_counter() - at)
            hits += len(best & {match.ordinal for match in found})
        line = row(kind, len(vectors), stored_s, open_s, times, hits / (10 * len(queries)))
        await again.reset(None)
        await again.aclose()
        return line


def measure_plain(name: str, count: int, search: Callable[[Any], Any], queries: Any, truth: list[set[int]]) -> str:
    """Measure a plain search."""
    times, hits = list[float](), 0
    for query, best in zip(queries, truth, strict=True):
        at = time.perf_counter()
        found = search(query)
        times.append(time.perf_counter() - at)
        hits += len(best & {int(each) for each in found})
    return row(name, count, 0.0, 0.0, times, hits / (10 * len(queries)))


def row(name: str, count: int, stored_s: float, open_s: float, times: list[float], recall: float) -> str:
    """Return one line of the table."""
    p50, p95 = np.percentile(np.array(times) * 1000, [50, 95])
    return (
        f"{name:14} {count:7} stored {stored_s:7.1f} s  first {open_s:5.2f} s  p50 {p50:7.2f} ms  p95 {p95:7.2f} ms  "
        f"resident {memory_mib():5} MiB  recall@10 {recall:.3f}"
    )


def exact(vectors: Any, query: Any) -> Any:
    """Return the ten nearest rows."""
    scores = vectors @ query
    best = np.argpartition(scores, -10)[-10:]
    return best[np.argsort(-scores[best])]


def usearch_of(vectors: Any) -> Callable[[Any], Any]:
    """Return the search of a graph index with its defaults."""
    index: Any = importlib.import_module("usearch.index").Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    index.add(np.arange(len(vectors)), vectors)
    return lambda query: index.search(query, 10).keys


def sqlite_vec_of(vectors: Any, folder: Path) -> Callable[[Any], Any]:
    """Return the search of sqlite-vec, where this Python loads extensions."""
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
    given = parser.parse_args()
    for count in (int(text) for text in given.counts.split(",")):
        vectors = make_vectors(count, given.dimension)
        queries = make_vectors(QUERIES, given.dimension, seed=2)
        truth = [{int(each) for each in exact(vectors, query)} for query in queries]
        print(measure_plain("numpy", count, lambda query: exact(vectors, query), queries, truth), flush=True)  # noqa: B023
        if given.others:
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImportError, AttributeError):
                print(measure_plain("usearch", count, usearch_of(vectors), queries, truth), flush=True)
                print(
                    measure_plain("sqlite-vec", count, sqlite_vec_of(vectors, Path(folder)), queries, truth), flush=True
                )
        for kind in given.kinds.split(","):
            if kind == "qdrant-folder" and count > 10_000:
                continue
            with tempfile.TemporaryDirectory() as folder:
                print(await measure(kind, vectors, queries, truth, Path(folder)), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("COMPOZY_TEST_POSTGRES_LIFE", str(os.getpid()))
    asyncio.run(main())
