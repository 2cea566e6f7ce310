"""A folder as a vector store: exact search over a file of vectors, with an index in SQLite.

`index.db` says which row of `vectors-<n>.f32` belongs to which chunk, and how many rows count. Vectors are appended
and synced first, and then count by a commit of the index; so a kill leaves the last complete state, and what lies
behind the rows that count is written over. Rows are never changed: readers in other processes go on with what they
began with. When more than half of the rows are dead, the living are copied into a new file, which the next commit
names.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from compozy.database.jsontext import dump_json
from compozy.errors import VectorStoreError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.store.contents import DocumentContents, summarize
from compozy.knowledge.store.index import (
    SCHEMA,
    filtered_rows,
    forget_rows,
    insert_chunk,
    read_facts,
    read_matches,
    read_state,
    renumber_rows,
    rows_by_key,
    rows_of,
    rows_to_prune,
    search_words,
    set_state,
)
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.store.spec import StoreSpec

if TYPE_CHECKING:
    from compozy.knowledge.store.protocol import Vector

T = TypeVar("T")

_DEFAULT_FOLDER = "data/knowledge"
_INDEX = "index.db"
_BYTES = 4
_BUSY_MS = 30_000
# Dead rows below this number are not worth a copy.
_MIN_DEAD = 1000
_ROWS_AT_ONCE = 4096


@dataclass(kw_only=True)
class _View:
    """The vectors that one state of the index names, and which of their rows live."""

    state: tuple[int, int, int]
    vectors: Any
    living: Any


def build_store(spec: StoreSpec) -> FilesystemStore:
    """Return the store that `spec` describes."""
    return FilesystemStore(Path(spec.settings.path or spec.root / _DEFAULT_FOLDER) / spec.collection)


class FilesystemStore:
    """One collection in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Searches of one process take turns: each uses every core anyway.
        self._turn = threading.Lock()
        self._view: _View | None = None

    async def facts(self) -> Facts | None:
        """Return what the collection was made for."""
        return await self._in_thread(self._read_facts)

    async def reset(self, facts: Facts | None) -> None:
        """Delete the folder's collection, and make an empty one."""
        await self._in_thread(lambda: self._reset(facts))

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Append the vectors, and commit them."""
        if chunks:
            await self._in_thread(lambda: self._upsert(chunks))

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return stored vectors by key."""
        return await self._in_thread(lambda: self._vectors(list(keys)))

    async def documents(self) -> dict[str, DocumentContents]:
        """Return what the collection holds of each document."""
        return await self._in_thread(self._documents)

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the other chunks of documents, in one transaction."""
        await self._in_thread(lambda: self._prune(keep))

    async def settle(self) -> None:
        """Copy the living rows into a new file when most are dead."""
        await self._in_thread(self._compact)

    async def search(self, search: Search) -> list[Match]:
        """Compare with every vector, or rank by words with BM25."""
        return await self._in_thread(lambda: self._search(search))

    async def aclose(self) -> None:
        """Let go of the file."""
        self._view = None

    async def _in_thread(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                with self._turn:
                    return call()
            except sqlite3.Error as error:
                raise VectorStoreError(f"the vector store in {self._folder} cannot be used: {error}") from error
            except OSError as error:
                words = error.strerror or str(error)
                raise VectorStoreError(f"the vector store in {self._folder} cannot be used: {words}") from error

        _import_numpy()
        return await asyncio.to_thread(guarded)

    @contextmanager
    def _open(self, *, write: bool) -> Generator[sqlite3.Connection, None, None]:
        """Open the index in a transaction: one state of it for all that is read, one commit for all that is written."""
        connection = sqlite3.connect(
            (self._folder / _INDEX).as_uri() + ("?mode=rw" if not write else ""), uri=True, isolation_level=None
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield connection
            connection.execute("COMMIT")
        finally:
            # Uncommitted rows are undone.
            connection.close()

    def _is_there(self) -> bool:
        return (self._folder / _INDEX).is_file()

    def _read_facts(self) -> Facts | None:
        if not self._is_there():
            return None
        with self._open(write=False) as connection:
            return read_facts(connection)

    def _reset(self, facts: Facts | None) -> None:
        self._view = None
        if self._is_there():
            # The index goes first: without it the rest means nothing.
            for name in (_INDEX, f"{_INDEX}-wal", f"{_INDEX}-shm"):
                with suppress(FileNotFoundError):
                    (self._folder / name).unlink()
        for file in self._folder.glob("vectors-*.f32"):
            file.unlink()
        if facts is None:
            # Files of other programs stay.
            with suppress(OSError):
                self._folder.rmdir()
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._making() as connection:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement) if statement.strip() else None
            values = {"facts": dump_json(asdict(facts)), "file": "1", "rows": "0", "changes": "0"}
            connection.executemany("INSERT INTO facts VALUES (?, ?)", list(values.items()))

    @contextmanager
    def _making(self) -> Generator[sqlite3.Connection, None, None]:
        """Make a new index under another name, so that half of one is never seen."""
        made = self._folder / f"{_INDEX}.new"
        made.unlink(missing_ok=True)
        # Texts of documents are for the owner alone, as the vectors are; SQLite gives its log the mode of the file.
        made.touch(mode=0o600)
        connection = sqlite3.connect(made, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        made.rename(self._folder / _INDEX)

    def _upsert(self, chunks: Sequence[Chunk]) -> None:
        import numpy as np

        with self._open(write=True) as connection:
            facts = read_facts(connection)
            file, rows, _ = read_state(connection)
            matrix = np.stack([chunk.vector for chunk in chunks]).astype("<f4")
            if matrix.shape[1] != facts.dimension:
                raise VectorStoreError(f"the store holds vectors of {facts.dimension}, got {matrix.shape[1]}")
            _append(self._file(file), rows * facts.dimension * _BYTES, matrix.tobytes())
            forget_rows(connection, rows_of(connection, [chunk.id for chunk in chunks]))
            for row, chunk in enumerate(chunks, start=rows):
                insert_chunk(connection, row, chunk)
            set_state(connection, rows=rows + len(chunks))

    def _vectors(self, keys: Sequence[str]) -> dict[str, Vector]:
        import numpy as np

        if not self._is_there():
            return {}
        with self._open(write=False) as connection:
            rows = rows_by_key(connection, keys)
            vectors = self._view_of(connection).vectors if rows else ()
            return {key: np.array(vectors[row]) for key, row in rows.items()}

    def _documents(self) -> dict[str, DocumentContents]:
        if not self._is_there():
            return {}
        with self._open(write=False) as connection:
            return summarize(connection.execute("SELECT document, id FROM chunks"))

    def _prune(self, keep: Mapping[str, Collection[str]]) -> None:
        if not self._is_there():
            return
        with self._open(write=True) as connection:
            rows = [row for document, ids in keep.items() for row in rows_to_prune(connection, document, set(ids))]
            if rows:
                forget_rows(connection, rows)
                set_state(connection)

    def _compact(self) -> None:
        import numpy as np

        with self._open(write=True) as connection:
            file, rows, _ = read_state(connection)
            living = [row for (row,) in connection.execute("SELECT row FROM chunks ORDER BY row")]
            self._delete_old_files(file)
            if rows - len(living) < max(_MIN_DEAD, rows // 2):
                return
            vectors = self._view_of(connection).vectors
            target = self._file(file + 1)
            target.unlink(missing_ok=True)
            for start in range(0, len(living), _ROWS_AT_ONCE):
                part = np.asarray(vectors[living[start : start + _ROWS_AT_ONCE]], dtype="<f4")
                _append(target, start * part.shape[1] * _BYTES, part.tobytes())
            renumber_rows(connection, living)
            set_state(connection, rows=len(living), file=file + 1)

    def _delete_old_files(self, current: int) -> None:
        """Delete files that no state references any more; a reader keeps its open file."""
        for path in self._folder.glob("vectors-*.f32"):
            if path != self._file(current):
                path.unlink(missing_ok=True)

    def _search(self, search: Search) -> list[Match]:
        if not self._is_there():
            return []
        with self._open(write=False) as connection:
            if search.vector is None:
                return search_words(connection, search)
            rows, scores = self._nearest(connection, search)
            return read_matches(connection, dict(zip(rows, scores, strict=True)))[: search.limit]

    def _nearest(self, connection: sqlite3.Connection, search: Search) -> tuple[list[int], list[float]]:
        """Return the rows of the nearest vectors and their scores; where several are equal, all of them."""
        import numpy as np

        view = self._view_of(connection)
        vectors, living = view.vectors, view.living
        if search.filters:
            living = np.intersect1d(living, np.asarray(filtered_rows(connection, search.filters), dtype=np.int64))
        if not len(living):
            return [], []
        metric = read_facts(connection).metric
        few = len(living) < len(vectors) // 4
        scores = _score(vectors[living] if few else vectors, search.vector, metric)
        if not few and len(living) < len(vectors):
            scores = scores[living]
        if len(scores) > search.limit:
            least = np.partition(scores, len(scores) - search.limit)[len(scores) - search.limit]
            chosen = np.flatnonzero(scores >= least)
        else:
            chosen = np.arange(len(scores))
        return [int(row) for row in living[chosen]], [float(score) for score in scores[chosen]]

    def _view_of(self, connection: sqlite3.Connection) -> _View:
        """Return the vectors of the state that `connection` sees."""
        import numpy as np

        state = read_state(connection)
        if self._view is not None and self._view.state == state:
            return self._view
        file, rows, _ = state
        dimension = read_facts(connection).dimension
        vectors: Any = np.empty((0, dimension), dtype="<f4")
        if rows:
            vectors = np.memmap(self._file(file), dtype="<f4", mode="r", shape=(rows, dimension))
        living = np.fromiter((row for (row,) in connection.execute("SELECT row FROM chunks ORDER BY row")), np.int64)
        self._view = _View(state=state, vectors=vectors, living=living)
        return self._view

    def _file(self, number: int) -> Path:
        return self._folder / f"vectors-{number}.f32"


def _score(vectors: Any, wanted: Any, metric: str) -> Any:
    import numpy as np

    if metric != "l2":
        # Vectors of length 1 where the metric is cosine: the product is all there is to it.
        return vectors @ wanted
    squares = np.einsum("ij,ij->i", vectors, vectors)
    distances = np.sqrt(np.maximum(squares - 2 * (vectors @ wanted) + float(wanted @ wanted), 0))
    return -distances


def _append(path: Path, offset: int, data: bytes) -> None:
    """Write `data` at `offset`, behind what counts, and see that it is on the disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            offset += written
            view = view[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _import_numpy() -> None:
    try:
        import_module("numpy")
    except ImportError as error:
        raise missing_package(VectorStoreError, "the filesystem store", error, extra="knowledge") from error
