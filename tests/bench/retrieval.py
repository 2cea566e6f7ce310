"""Measures the quality of retrieval on a set that is generated from Python's documentation strings.

Each public function and class of some modules of the standard library whose documentation has a summary and a body is a
document: its body, without the summary and without its name. The summary is the question, and its body is the one
document that answers it. The set depends only on the version of Python.

    python -m tests.bench.retrieval [--kinds filesystem,...]

It prints recall@5 and nDCG@10 of each mode on each store, with the local embedder.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compozy.knowledge.embed.local import LocalEmbedder
from compozy.knowledge.retrieve import fuse
from compozy.knowledge.store.protocol import Chunk, Facts, Search
from tests.harness.vectorstores import KINDS, build, section_of

MODULES = (
    *(
        "argparse",
        "array",
        "ast",
        "asyncio",
        "base64",
        "bisect",
        "calendar",
        "codecs",
        "collections",
        "concurrent.futures",
    ),
    *("configparser", "contextlib", "copy", "csv", "datetime", "decimal", "difflib", "email.message", "email.utils"),
    *("fileinput", "fractions", "ftplib", "functools", "glob", "gzip", "heapq", "hmac", "html", "http.client"),
    *("http.cookiejar", "imaplib", "inspect", "io", "ipaddress", "itertools", "json", "linecache", "locale", "logging"),
    *(
        "mailbox",
        "math",
        "mimetypes",
        "multiprocessing.pool",
        "optparse",
        "os",
        "os.path",
        "pathlib",
        "pickle",
        "platform",
    ),
    *(
        "pprint",
        "queue",
        "random",
        "re",
        "sched",
        "shlex",
        "shutil",
        "smtplib",
        "socket",
        "sqlite3",
        "ssl",
        "statistics",
    ),
    *(
        "string",
        "struct",
        "subprocess",
        "tarfile",
        "tempfile",
        "textwrap",
        "threading",
        "timeit",
        "tkinter",
        "traceback",
    ),
    *("turtle", "types", "unittest", "unittest.mock", "urllib.parse", "urllib.request", "uuid", "warnings", "wave"),
    *("weakref", "xml.dom.minidom", "xml.etree.ElementTree", "xmlrpc.client", "zipfile"),
)
_MIN_BODY, _MAX_BODY = 120, 1500


def make_set() -> list[tuple[str, str]]:
    """Return `(question, document)` pairs in a fixed order."""
    found: dict[str, str] = {}
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for owner in [module, *(each for _, each in inspect.getmembers(module, inspect.isclass))]:
            for key, member in inspect.getmembers(owner):
                text = inspect.getdoc(member) if callable(member) and not key.startswith("_") else None
                summary, _, body = (text or "").partition("\n\n")
                summary, body = " ".join(summary.split()), " ".join(body.split())[:_MAX_BODY]
                if 20 <= len(summary) <= 200 and len(body) >= _MIN_BODY and body not in found.values():
                    found.setdefault(summary, body)
    return sorted(found.items())


def score_of(place: int | None) -> tuple[float, float]:
    """Return recall@5 and nDCG@10 of one question whose answer has the rank `place`, from 0."""
    if place is None or place >= 10:
        return 0.0, 0.0
    return float(place < 5), 1 / math.log2(place + 2)


async def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--limit", type=int, default=1500)
    kinds = parser.parse_args().kinds.split(",")
    pairs = make_set()[: parser.parse_args().limit]
    embedder = LocalEmbedder()
    began = time.perf_counter()
    vectors = await embedder.embed([body for _, body in pairs], is_query=False)
    seconds = time.perf_counter() - began
    questions = await embedder.embed([question for question, _ in pairs], is_query=True)
    print(f"{len(pairs)} documents of Python {sys.version.split()[0]}, {len(pairs) / seconds:.0f} documents/s embedded")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, section_of(kind, Path(folder)) as section:
            print(await measure(kind, section, pairs, vectors, questions), flush=True)


async def measure(
    kind: str, section: dict[str, Any], pairs: list[tuple[str, str]], vectors: Any, questions: Any
) -> str:
    """Return the figures of one store."""
    store = build(section, name="t_quality", index={"type": "exact"})
    await store.reset(Facts(embedder="local", dimension=vectors.shape[1], metric="cosine"))
    chunks = [
        Chunk(
            id=f"00000000-0000-8000-8000-{number:012x}",
            key=f"00000000-0000-8000-8000-{number:012x}",
            document=f"{number}",
            title="",
            ordinal=number,
            text=body,
            metadata={},
            vector=vectors[number],
        )
        for number, (_, body) in enumerate(pairs)
    ]
    for start in range(0, len(chunks), 200):
        await store.upsert(chunks[start : start + 200])
    sums = {mode: [0.0, 0.0] for mode in ("vector", "text", "hybrid")}
    for number, (question, _) in enumerate(pairs):
        near = await store.search(Search(limit=40, vector=questions[number]))
        words = await store.search(Search(limit=40, text=question))
        for mode, found in (("vector", near), ("text", words), ("hybrid", fuse([near, words]))):
            place = next((at for at, match in enumerate(found) if match.ordinal == number), None)
            for index, value in enumerate(score_of(place)):
                sums[mode][index] += value
    await store.reset(None)
    await store.aclose()
    figures = "  ".join(
        f"{mode} recall@5 {recall / len(pairs):.3f} nDCG@10 {gain / len(pairs):.3f}"
        for mode, (recall, gain) in sums.items()
    )
    return f"{kind:14} {figures}"


if __name__ == "__main__":
    asyncio.run(main())
