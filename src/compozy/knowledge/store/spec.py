"""The configuration of one vector store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from compozy.knowledge.config import VectorDBSettings


@dataclass(frozen=True, kw_only=True)
class StoreSpec:
    """One collection of one vector store, ready to be built.

    Attributes:
        settings: the entry of `knowledge.vector_dbs`.
        collection: name of its collection, table or index.
        root: the project folder.
        database: settings of the main database.
        main: the main database, None where it is not open.
    """

    settings: VectorDBSettings
    collection: str
    root: Path
    database: DatabaseSettings
    main: Database | None
