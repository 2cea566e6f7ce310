"""Measures the overhead of an ingestion over the embedder alone, for the same chunks.

    python -m tests.bench.ingestion [--documents 300] [--rounds 3] [--kinds filesystem,...]

Documents are made of the words of Python's own documentation strings, a chunk or two each, so that they are the same
for one version of Python. Two measurements alternate: the local embedder alone, and an ingestion into an empty
knowledge base, in one process, from the acceptance of the run to its end. The result is a ratio: 1.00 is the speed of
the embedder alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from compozy.app import COMMAND, App, open_app
from compozy.database.executions import get_execution
from compozy.database.trigger import Trigger, TriggerType
from compozy.knowledge.chunk import Chunking, cut
from compozy.knowledge.read.kinds import read_document
from compozy.knowledge.run import IngestRequest, start_ingestion
from compozy.project.load import load_project
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from tests.bench.report import Row, add_json, report
from tests.bench.retrieval import make_set
from tests.harness.projects import write_project
from tests.harness.vectorstores import section_of

_WORDS = 80


def write_documents(folder: Path, count: int) -> None:
    """Write `count` Markdown files of about `_WORDS` words."""
    words = " ".join(body for _, body in make_set()).split()
    folder.mkdir()
    for number in range(count):
        start = number * _WORDS % (len(words) - _WORDS)
        text = " ".join(words[start : start + _WORDS])
        (folder / f"d{number:04}.md").write_text(f"# Document {number}\n\n{text}\n", encoding="utf-8")


def cut_all(folder: Path, chunking: Chunking) -> list[str]:
    """Return the texts of all chunks of the documents."""
    return [
        piece.text
        for path in sorted(folder.iterdir())
        for piece in cut(path.name, read_document(path.name, path.read_bytes()), chunking, space="bench")
    ]


async def embed_alone(app: App, folder: Path) -> tuple[float, int]:
    """Return the seconds that the embedder takes for all chunks, and their number."""
    base = app.knowledge.project.base(None)
    embedder = app.knowledge.embedder(base)
    chunking = Chunking(size=base.chunk_size, overlap=0, count_tokens=embedder.count_tokens)
    texts = await asyncio.to_thread(cut_all, folder, chunking)
    began = time.perf_counter()
    await embedder.embed(texts, is_query=False)
    return time.perf_counter() - began, len(texts)


async def ingest(app: App) -> float:
    """Return the seconds of one ingestion of all documents."""
    request = IngestRequest(knowledge_base_id="main", path="documents", reindex=True)
    began = time.perf_counter()
    run_id = await start_ingestion(app.runtime, app.database, request, Trigger(type=TriggerType.CLI))
    await app.runtime.wait(run_id)
    took_s = time.perf_counter() - began
    run = await app.database.read_async(lambda connection: get_execution(connection, run_id))
    if run.output is None or run.output["failed"]:
        raise SystemExit(f"the ingestion failed: {run.error or run.output}")
    return took_s


async def measure(kind: str, count: int, rounds: int, home: Path) -> dict[str, Any]:
    """Return the figures of one store."""
    with section_of(kind, home) as section:
        stores: dict[str, Any] = {"vector_dbs": [{"id": "main", **section}]}
        folder = write_project(home / "project", {"w": {"tasks": [{"id": "a", "with": {"x": 1}}]}}, knowledge=stores)
        write_documents(folder / "documents", count)
        project = load_project(None, cwd=folder, environ={})
        database = open_storage(project, wait_for_lock_s=0)
        try:
            async with open_app(project, database, role=COMMAND, report=Silence()) as app:
                # A first round, so that imports are not measured.
                await ingest(app)
                alone, whole, chunks = list[float](), list[float](), 0
                for _ in range(rounds):
                    seconds, chunks = await embed_alone(app, folder / "documents")
                    alone.append(seconds)
                    whole.append(await ingest(app))
        finally:
            close_storage(database)
    share = statistics.median(one / other for one, other in zip(alone, whole, strict=True))
    return {
        "store": kind,
        "documents": count,
        "chunks": chunks,
        "embedder_per_s": round(count / statistics.median(alone), 1),
        "ingestion_per_s": round(count / statistics.median(whole), 1),
        "share": round(share, 2),
    }


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="filesystem,qdrant,redis")
    add_json(parser)
    given = parser.parse_args()
    rows: list[Row] = []
    for kind in given.kinds.split(","):
        with tempfile.TemporaryDirectory() as home:
            rows.append(await measure(kind, given.documents, given.rounds, Path(home)))
    report(rows, given.json)


if __name__ == "__main__":
    asyncio.run(main())
