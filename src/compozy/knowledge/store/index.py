"""The index of a filesystem store: what SQLite knows of the rows of its file of vectors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from compozy.database.jsontext import dump_json, load_json
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.tokenize import query_words, tokenize

MAX_VARIABLES = 500
SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, document TEXT NOT NULL, title TEXT NOT NULL,
    ordinal INTEGER NOT NULL, text TEXT NOT NULL, metadata TEXT NOT NULL
) STRICT;
CREATE INDEX ix_chunks_key ON chunks (key);
CREATE INDEX ix_chunks_document ON chunks (document);
CREATE TABLE facets (
    name TEXT NOT NULL, value TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (name, value, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX ix_facets_row ON facets (row);
CREATE VIRTUAL TABLE words USING fts5 (
    text, content='', tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
"""
_INSERT = "INSERT INTO chunks (row, id, key, document, title, ordinal, text, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "id, document, title, ordinal, text, metadata"


def read_facts(connection: sqlite3.Connection) -> Facts:
    """Return what the collection was made for."""
    (text,) = connection.execute("SELECT value FROM facts WHERE name = 'facts'").fetchone()
    return Facts(**load_json(text))


def read_state(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the number of the file, its rows that count, and how often the collection was changed."""
    values = dict(connection.execute("SELECT name, value FROM facts WHERE name IN ('file', 'rows', 'changes')"))
    return int(values["file"]), int(values["rows"]), int(values["changes"])


def set_state(connection: sqlite3.Connection, *, rows: int | None = None, file: int | None = None) -> None:
    """Note a change: of the number of rows that count, of the file, or of neither."""
    known = read_state(connection)
    values = {"file": file or known[0], "rows": known[1] if rows is None else rows, "changes": known[2] + 1}
    connection.executemany("UPDATE facts SET value = ? WHERE name = ?", [(str(v), k) for k, v in values.items()])


def insert_chunk(connection: sqlite3.Connection, row: int, chunk: Chunk) -> None:
    """Store a chunk whose vector is in `row`."""
    metadata = dict(chunk.metadata)
    values = (row, chunk.id, chunk.key, chunk.document, chunk.title, chunk.ordinal, chunk.text, dump_json(metadata))
    connection.execute(_INSERT, values)
    connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, _words(chunk.text)))
    insert_facets(connection, row, metadata)


def insert_facets(connection: sqlite3.Connection, row: int, metadata: Mapping[str, str]) -> None:
    """Store what filters compare of a row."""
    facets = [(name, value, row) for name, value in metadata.items()]
    connection.executemany("INSERT INTO facets (name, value, row) VALUES (?, ?, ?)", facets)


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> list[int]:
    """Return the rows of those of `ids` that are stored."""
    return [row for _, row in _find_rows(connection, "id", ids)]


def rows_by_key(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, int]:
    """Return a row for each of those of `keys` that are stored."""
    return dict(_find_rows(connection, "key", keys))


def rows_to_prune(connection: sqlite3.Connection, document: str, keep: set[str]) -> list[int]:
    """Return the rows of a document but for those of the ids in `keep`."""
    known = connection.execute("SELECT id, row FROM chunks WHERE document = ?", (document,))
    return [row for name, row in known if name not in keep]


def _find_rows(connection: sqlite3.Connection, column: str, values: Sequence[str]) -> Iterator[tuple[str, int]]:
    for start in range(0, len(values), MAX_VARIABLES):
        part = values[start : start + MAX_VARIABLES]
        query = f"SELECT {column}, max(row) FROM chunks WHERE {column} IN ({marks(part)}) GROUP BY {column}"  # noqa: S608 - only marks
        yield from connection.execute(query, part)


def forget_rows(connection: sqlite3.Connection, rows: Sequence[int]) -> None:
    """Delete rows; their vectors are dead."""
    for row in rows:
        (text,) = connection.execute("SELECT text FROM chunks WHERE row = ?", (row,)).fetchone()
        # Without the words it could not know what to take out: it keeps no text.
        connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (row, _words(text)))
        connection.execute("DELETE FROM facets WHERE row = ?", (row,))
        connection.execute("DELETE FROM chunks WHERE row = ?", (row,))


def renumber_rows(connection: sqlite3.Connection, living: Sequence[int]) -> None:
    """Give the rows that live the numbers from 0 on, in their order."""
    # In rising order, so that a row that is taken has been left before.
    connection.executemany("UPDATE chunks SET row = ? WHERE row = ?", list(enumerate(living)))
    connection.execute("DELETE FROM facets")
    connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
    for row in range(len(living)):
        text, metadata = connection.execute("SELECT text, metadata FROM chunks WHERE row = ?", (row,)).fetchone()
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, _words(text)))
        insert_facets(connection, row, load_json(metadata))


def filtered_rows(connection: sqlite3.Connection, filters: Mapping[str, str]) -> list[int]:
    """Return the rows whose metadata has all of `filters`."""
    parts = " INTERSECT ".join("SELECT row FROM facets WHERE name = ? AND value = ?" for _ in filters)
    given = [part for pair in filters.items() for part in pair]
    return [row for (row,) in connection.execute(parts, given)]


def search_words(connection: sqlite3.Connection, search: Search) -> list[Match]:
    """Return the best matches of the words of a search, by BM25."""
    wanted = " OR ".join(f'"{word}"' for word in query_words(search.text or ""))
    if not wanted:
        return []
    conditions = ""
    given: list[str] = []
    for name, value in search.filters.items():
        conditions += " AND EXISTS (SELECT 1 FROM facets f WHERE f.row = words.rowid AND f.name = ? AND f.value = ?)"
        given += [name, value]
    query = (
        "SELECT c.row, bm25(words) FROM words JOIN chunks c ON c.row = words.rowid "  # noqa: S608 - only marks
        f"WHERE words MATCH ?{conditions} ORDER BY bm25(words), c.id LIMIT ?"
    )
    scores = {row: -score for row, score in connection.execute(query, (wanted, *given, search.limit))}
    return read_matches(connection, scores)


def read_matches(connection: sqlite3.Connection, scores: Mapping[int, float]) -> list[Match]:
    """Return the chunks of rows with their scores, best first."""
    rows = list(scores)
    found: list[Match] = []
    for start in range(0, len(rows), MAX_VARIABLES):
        part = rows[start : start + MAX_VARIABLES]
        query = f"SELECT row, {_COLUMNS} FROM chunks WHERE row IN ({marks(part)})"  # noqa: S608 - only marks
        for row, name, document, title, ordinal, text, metadata in connection.execute(query, part):
            found.append(
                Match(
                    id=name,
                    document=document,
                    title=title,
                    ordinal=ordinal,
                    text=text,
                    metadata=load_json(metadata),
                    score=scores[row],
                )
            )
    return sorted(found, key=lambda match: (-match.score, match.id))


def _words(text: str) -> str:
    # Found by us, so that every store has the same ones.
    return " ".join(tokenize(text))


def marks(values: Sequence[object]) -> str:
    """Return as many question marks as there are values."""
    return ",".join("?" * len(values))
