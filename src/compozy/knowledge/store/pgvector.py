"""PostgreSQL with pgvector: a table for each collection, in a separate schema, in the main database or another."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.database.failures import explain_failures
from compozy.database.jsontext import dump_json, load_json
from compozy.errors import VectorStoreError
from compozy.knowledge.config import VectorDBSettings
from compozy.knowledge.store.contents import DocumentContents, summarize
from compozy.knowledge.store.protocol import Chunk, Facts, Match, Search
from compozy.knowledge.store.spec import StoreSpec
from compozy.knowledge.tokenize import query_words, tokenize

if TYPE_CHECKING:
    from compozy.knowledge.store.protocol import Vector


_SCHEMA = "compozy_knowledge"
# Dimensions that an index takes: of `vector`, and of `halfvec`, which keeps half of each number.
_MAX_INDEXED = 2000
_MAX_HALF = 4000
_ROWS_AT_ONCE = 5000
_OPERATORS = {"cosine": "<=>", "ip": "<#>", "l2": "<->"}
_CLASSES = {"cosine": "cosine_ops", "ip": "ip_ops", "l2": "l2_ops"}
# The server's own ranking does not know how rare a word is: each word is weighed as BM25 does.
_RANKED = """
    WITH wanted AS (SELECT to_tsquery('simple', word) AS query FROM unnest(%s::text[]) AS word),
    counted AS (SELECT query, (SELECT count(*) FROM {table} WHERE words @@ query)::float8 AS having_it FROM wanted),
    total AS (SELECT count(*)::float8 AS rows FROM {table}),
    weighed AS (
        SELECT query, ln(1 + (rows - having_it + 0.5) / (having_it + 0.5)) AS rarity
        FROM counted, total WHERE having_it > 0
    )
    SELECT {columns},
        (SELECT sum(rarity * ts_rank(words, query, 1)) FROM weighed WHERE words @@ query) AS rank
    FROM {table} WHERE words @@ to_tsquery('simple', %s) AND {condition} ORDER BY rank DESC, id LIMIT %s
"""
_WRITTEN = ("id", "key", "document", "title", "ordinal", "text", "metadata", "embedding", "words")
_COLUMNS = "id::text, document, title, ordinal, text, metadata::text"


def build_store(spec: StoreSpec) -> PgvectorStore:
    """Return the store that `spec` describes."""
    return PgvectorStore(spec.settings, spec.collection, spec.database, spec.main)


class PgvectorStore:
    """One collection.

    Args:
        settings: the entry of `knowledge.vector_dbs`.
        collection: the table's name.
        main: settings of the main database, used where the entry has no `url`.
        database: the main database, where it is open.
    """

    def __init__(
        self, settings: VectorDBSettings, collection: str, main: DatabaseSettings, database: Database | None
    ) -> None:
        self._settings = settings
        self._name = collection
        self._table = f'"{_SCHEMA}"."{collection}"'
        self._main = main
        self._database = database
        self._engine: sa.Engine | None = None
        self._location = f"the vector store {settings.id!r}"

    async def facts(self) -> Facts | None:
        """Return what the table was made for."""
        return await asyncio.to_thread(self._read_facts)

    async def reset(self, facts: Facts | None) -> None:
        """Drop the table, and make an empty one with its index."""
        await asyncio.to_thread(self._reset, facts)

    async def upsert(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks in one transaction."""
        if chunks:
            await asyncio.to_thread(self._upsert, chunks)

    async def vectors(self, keys: Collection[str]) -> dict[str, Vector]:
        """Return stored vectors by key."""
        return await asyncio.to_thread(self._vectors, list(keys))

    async def documents(self) -> dict[str, DocumentContents]:
        """Return what the collection holds of each document."""
        return await asyncio.to_thread(self._documents)

    async def prune(self, keep: Mapping[str, Collection[str]]) -> None:
        """Delete the other chunks of documents, in one transaction."""
        await asyncio.to_thread(self._prune, keep)

    async def settle(self) -> None:
        """Build an ivfflat index for the vectors that are there now, and let the planner count them."""
        await asyncio.to_thread(self._settle)

    async def search(self, search: Search) -> list[Match]:
        """Compare vectors, or rank by the words of the full text search."""
        return await asyncio.to_thread(self._search, search)

    async def aclose(self) -> None:
        """Close the connections, where they are not those of the main database."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _open(self) -> sa.Engine:
        if self._settings.url is None and self._database is not None:
            return self._database.engine
        if self._engine is None:
            from compozy.database.postgres import make_engine

            settings = self._main
            if self._settings.url is not None:
                settings = DatabaseSettings(driver="postgres", conn_string=self._settings.url)
            # Building an index locks its table for the whole time.
            self._engine = make_engine(settings, lock_timeout_ms=0)
        return self._engine

    @contextmanager
    def _begin(self) -> Generator[sa.Connection, None, None]:
        with explain_failures(self._location), self._open().begin() as connection:
            yield connection

    def _read_facts(self) -> Facts | None:
        with self._begin() as connection:
            if connection.exec_driver_sql("SELECT to_regclass(%s)", (f"{_SCHEMA}.collections",)).scalar() is None:
                return None
            query = f"SELECT facts FROM {_SCHEMA}.collections WHERE name = %s"  # noqa: S608 - our own names
            text: Any = connection.exec_driver_sql(query, (self._name,)).scalar()
            return None if text is None else Facts(**load_json(text))

    def _reset(self, facts: Facts | None) -> None:
        if facts is not None:
            self._need_extension()
        with self._begin() as connection:
            run = connection.exec_driver_sql
            run(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
            run(f"CREATE TABLE IF NOT EXISTS {_SCHEMA}.collections (name TEXT PRIMARY KEY, facts TEXT NOT NULL)")
            run(f"DELETE FROM {_SCHEMA}.collections WHERE name = %s", (self._name,))  # noqa: S608 - our own names
            run(f"DROP TABLE IF EXISTS {self._table}")
            if facts is None:
                return
            run(_create_table(self._table, self._column(facts.dimension)))
            run(f"CREATE INDEX ON {self._table} (key)")
            run(f"CREATE INDEX ON {self._table} (document)")
            run(f"CREATE INDEX ON {self._table} USING gin (words)")
            run(f"CREATE INDEX ON {self._table} USING gin (metadata jsonb_path_ops)")
            if self._index() == "hnsw" and facts.dimension <= _MAX_HALF:
                index = self._settings.index
                run(f"{self._index_sql(facts)} WITH (m = {index.m}, ef_construction = {index.ef_construction})")
            insert = f"INSERT INTO {_SCHEMA}.collections VALUES (%s, %s)"  # noqa: S608 - our own names
            run(insert, (self._name, dump_json(asdict(facts))))

    def _need_extension(self) -> None:
        """See that pgvector is there, and of a version that knows halfvec."""
        find = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        with self._begin() as connection:
            if connection.exec_driver_sql(find).scalar() is not None:
                return
        try:
            with self._open().begin() as connection:
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except DBAPIError as error:
            reason = str(error.orig).splitlines()[0]
            raise VectorStoreError(
                f"{self._location} needs the extension pgvector, which its database does not have: {reason}",
                hint="have a superuser of that database run `CREATE EXTENSION vector;`, after installing pgvector on "
                "its server",
            ) from error

    def _upsert(self, chunks: Sequence[Chunk]) -> None:
        with self._begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO {self._table} ({', '.join(_WRITTEN)}) "  # noqa: S608 - our own names
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, to_tsvector('simple', %s)) ON CONFLICT (id) DO UPDATE SET "
                f"({', '.join(_WRITTEN)}) = ({', '.join(f'excluded.{name}' for name in _WRITTEN)})",
                [_row(chunk) for chunk in chunks],
            )

    def _vectors(self, keys: Sequence[str]) -> dict[str, Vector]:
        import numpy as np

        query = (
            f"SELECT DISTINCT ON (key) key::text, embedding::text FROM {self._table} "  # noqa: S608 - our own names
            "WHERE key = ANY(%s::uuid[]) ORDER BY key"
        )
        with self._begin() as connection:
            rows = connection.exec_driver_sql(query, (list(keys),)).all()
        return {name: np.array(load_json(text), dtype=np.float32) for name, text in rows}

    def _documents(self) -> dict[str, DocumentContents]:
        query = f"SELECT document, id::text FROM {self._table}"  # noqa: S608 - our own names
        with self._begin() as connection:
            if not self._is_there(connection):
                return {}
            # As many rows as there are chunks: they come in portions.
            rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).exec_driver_sql(query)
            return summarize((row[0], row[1]) for row in rows)

    def _prune(self, keep: Mapping[str, Collection[str]]) -> None:
        with self._begin() as connection:
            if keep and self._is_there(connection):
                delete = f"DELETE FROM {self._table} WHERE document = %s AND id <> ALL(%s::uuid[])"  # noqa: S608
                connection.exec_driver_sql(delete, [(document, list(ids)) for document, ids in keep.items()])

    def _settle(self) -> None:
        facts = self._read_facts()
        if facts is None:
            return
        with self._begin() as connection:
            if self._index() == "ivfflat" and facts.dimension <= _MAX_HALF:
                # Its lists are chosen from what is there when it is made.
                connection.exec_driver_sql(f'DROP INDEX IF EXISTS "{_SCHEMA}"."{self._ivfflat_name()}"')
                connection.exec_driver_sql(f"{self._index_sql(facts)} WITH (lists = {self._settings.index.lists})")
            connection.exec_driver_sql(f"ANALYZE {self._table}")

    def _search(self, search: Search) -> list[Match]:
        condition, given = _condition(search.filters)
        with self._begin() as connection:
            if not self._is_there(connection):
                return []
            if search.vector is None:
                return self._search_words(connection, search, condition, given)
            return self._search_vectors(connection, search, condition, given)

    def _search_vectors(
        self, connection: sa.Connection, search: Search, condition: str, given: Sequence[object]
    ) -> list[Match]:
        index = self._settings.index
        if self._index() == "exact":
            connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        else:
            connection.exec_driver_sql(f"SET LOCAL hnsw.ef_search = {index.candidates(search.limit)}")
            connection.exec_driver_sql(f"SET LOCAL ivfflat.probes = {index.probed_lists}")
            # With a filter, an index scan continues until enough rows match.
            connection.exec_driver_sql("SET LOCAL hnsw.iterative_scan = strict_order")
            connection.exec_driver_sql("SET LOCAL ivfflat.iterative_scan = relaxed_order")
        metric = self._settings.metric
        distance = f"embedding {_OPERATORS[metric]} %s::{'halfvec' if self._is_half(connection) else 'vector'}"
        wanted = _vector_text(search.vector)
        query = (
            f"SELECT {_COLUMNS}, {distance} AS distance FROM {self._table} "  # noqa: S608 - our own names
            f"WHERE {condition} ORDER BY {distance} LIMIT %s"
        )
        rows = connection.exec_driver_sql(query, (wanted, *given, wanted, search.limit)).all()
        found = [_match(row, 1 - row.distance if metric == "cosine" else -row.distance) for row in rows]
        return sorted(found, key=lambda match: (-match.score, match.id))

    def _search_words(
        self, connection: sa.Connection, search: Search, condition: str, given: Sequence[object]
    ) -> list[Match]:
        words = [f"'{word}'" for word in query_words(search.text or "")]
        if not words:
            return []
        query = _RANKED.format(table=self._table, columns=_COLUMNS, condition=condition)
        rows = connection.exec_driver_sql(query, (words, " | ".join(words), *given, search.limit)).all()
        return [_match(row, float(row.rank)) for row in rows]

    def _is_there(self, connection: sa.Connection) -> bool:
        return connection.exec_driver_sql("SELECT to_regclass(%s)", (self._table,)).scalar() is not None

    def _is_half(self, connection: sa.Connection) -> bool:
        find = (
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'"
        )
        return str(connection.exec_driver_sql(find, (self._table,)).scalar()).endswith("halfvec")

    def _index(self) -> str:
        return self._settings.index.type or "hnsw"

    def _column(self, dimension: int) -> str:
        is_half = _MAX_INDEXED < dimension <= _MAX_HALF and self._index() != "exact"
        return f"{'halfvec' if is_half else 'vector'}({dimension})"

    def _ivfflat_name(self) -> str:
        return f"{self._name}_ivf"

    def _index_sql(self, facts: Facts) -> str:
        kind = self._column(facts.dimension).partition("(")[0]
        method = self._index()
        name = f'"{self._ivfflat_name()}"' if method == "ivfflat" else ""
        return f"CREATE INDEX {name} ON {self._table} USING {method} (embedding {kind}_{_CLASSES[facts.metric]})"


def _create_table(table: str, column: str) -> str:
    return f"""
        CREATE TABLE {table} (
            id UUID PRIMARY KEY,
            key UUID NOT NULL,
            document TEXT COLLATE "C" NOT NULL,
            title TEXT NOT NULL,
            ordinal INTEGER NOT NULL,
            text TEXT NOT NULL,
            metadata JSONB NOT NULL,
            embedding {column} NOT NULL,
            words TSVECTOR NOT NULL
        )
    """


def _condition(filters: Mapping[str, str]) -> tuple[str, tuple[object, ...]]:
    return ("metadata @> %s::jsonb", (dump_json(dict(filters)),)) if filters else ("TRUE", ())


def _row(chunk: Chunk) -> tuple[object, ...]:
    """Return the values of `_WRITTEN`. The words are found by us, so that every store has the same ones."""
    metadata, words = dump_json(dict(chunk.metadata)), " ".join(tokenize(chunk.text))
    place = (chunk.id, chunk.key, chunk.document, chunk.title, chunk.ordinal)
    return (*place, chunk.text, metadata, _vector_text(chunk.vector), words)


def _vector_text(vector: Any) -> str:
    # Nine digits bring every float32 back as it was.
    return f"[{','.join(f'{number:.9g}' for number in vector.tolist())}]"


def _match(row: Any, score: float) -> Match:
    return Match(
        id=row[0], document=row[1], title=row[2], ordinal=row[3], text=row[4], metadata=load_json(row[5]), score=score
    )
