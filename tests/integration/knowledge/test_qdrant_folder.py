"""A folder of Qdrant's embedded mode is untrusted: reading it executes nothing."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compozy.errors import VectorStoreError
from compozy.knowledge.store.protocol import VectorStore
from tests.harness.vectorstores import build
from tests.integration.knowledge.test_stores import facts, random_chunks


def store_in(folder: Path) -> VectorStore:
    return build({"provider": "qdrant", "path": str(folder)}, name="notes", index={"type": "exact"})


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A folder that a real ingestion wrote."""
    made = store_in(tmp_path / "qdrant")
    await made.reset(facts())
    await made.upsert(random_chunks(5))
    await made.aclose()
    return tmp_path / "qdrant"


class Runs:
    """A value whose pickle creates a file when it is read."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def write_point(folder: Path, value: object, *, collection: str = "notes") -> None:
    with sqlite3.connect(folder / "collection" / collection / "storage.sqlite") as points:
        points.execute("UPDATE points SET point = ?", [value if isinstance(value, bytes) else pickle.dumps(value)])
    points.close()


@pytest.mark.parametrize("collection", ["notes", "compozy_facts"])
@pytest.mark.parametrize("place", ["whole", "payload"])
async def test_a_point_that_names_a_function_runs_nothing(folder: Path, collection: str, place: str) -> None:
    from qdrant_client.models import PointStruct

    mark = folder.parent / "ran"
    runs = Runs(os.mkdir, str(mark))
    pickle.loads(pickle.dumps(runs))
    assert mark.is_dir(), "the value does run code where it is unpickled"
    mark.rmdir()
    point = PointStruct.model_construct(id=1, vector=[1.0], payload={"text": runs})
    write_point(folder, runs if place == "whole" else point, collection=collection)
    store = store_in(folder)
    with pytest.raises(VectorStoreError, match=r"Failed to read the Qdrant folder .*posix\.mkdir") as caught:
        await store.facts()
    assert not mark.exists()
    assert "ingest the documents again" in str(caught.value.hint)
    await store.aclose()


DAMAGED: dict[str, Callable[[Path], object]] = {
    "not a point": lambda folder: write_point(folder, {"id": 1}),
    "not a pickle": lambda folder: write_point(folder, b"\x80\x05nonsense"),
    "a class of ours": lambda folder: write_point(folder, Path("x")),
    "a method of the client": lambda folder: write_point(
        folder, b"cqdrant_client.http.models.models\nPointStruct.model_validate_json\n(S'{}'\ntR."
    ),
    "no collections": lambda folder: (folder / "meta.json").write_text("{}"),
    "no JSON": lambda folder: (folder / "meta.json").write_text("x"),
    "a collection elsewhere": lambda folder: (folder / "meta.json").write_text(
        '{"collections": {"../../x": {"vectors": {"size": 1, "distance": "Dot"}}}, "aliases": {}}'
    ),
    "a damaged file": lambda folder: (folder / "collection" / "notes" / "storage.sqlite").write_bytes(b"x" * 5000),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_folder_is_one_error(folder: Path, name: str) -> None:
    DAMAGED[name](folder)
    store = store_in(folder)
    with pytest.raises(VectorStoreError, match="Failed to read the Qdrant folder"):
        await store.facts()
    await store.aclose()


async def test_a_client_that_reads_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Imported here, because it takes two seconds, which each worker of pytest would spend.
    from qdrant_client.local import persistence

    monkeypatch.setattr(persistence, "pickle", SimpleNamespace(loads=pickle.loads))
    store = store_in(tmp_path / "qdrant")
    with pytest.raises(VectorStoreError, match="has not checked"):
        await store.facts()
    assert not (tmp_path / "qdrant").exists()
