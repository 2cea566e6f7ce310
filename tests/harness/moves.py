"""Databases that rows are moved between, and the export documents, in memory."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.facts import claim_for_project
from compozy.durable.journal import make_journal
from compozy.transfer.document import read_header
from compozy.transfer.export import RunFilter, export_rows
from compozy.transfer.load import Imported, ImportOptions, import_rows
from compozy.transfer.sections import list_sections
from tests.harness.databases import fresh, migrated

PROJECT = "demo"


@contextlib.contextmanager
def ready(driver: str, folder: Path, *, project: str = PROJECT) -> Generator[Database, None, None]:
    """Provide a database with its tables and its journal to a test."""
    folder.mkdir(exist_ok=True)
    with fresh(driver, folder) as settings, migrated(settings) as database:
        make_journal(database)
        with database.write() as connection:
            claim_for_project(connection, project, database.location)
        yield database


def export(database: Database, wanted: RunFilter | None = None, *, move_id: str | None = None) -> bytes:
    """Return the document of an export."""
    out = io.BytesIO()
    export_rows(database, out, wanted or RunFilter(), move_id=move_id)
    return out.getvalue()


def load(database: Database, document: bytes, **options: bool) -> Imported:
    """Import a document."""
    source = io.BytesIO(document)
    return import_rows(database, source, read_header(source), ImportOptions(**options))


def body(document: bytes) -> bytes:
    """Return a document without its header."""
    return document.partition(b"\n")[2]


def rows_of(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, to check that nothing changed."""
    with database.read() as connection:
        return {
            section.name: [dict(row) for row in connection.execute(sa.select(section.table)).mappings()]
            for section in list_sections(database)
        }
