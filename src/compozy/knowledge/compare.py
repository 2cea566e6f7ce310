"""Compares the documents that the database lists with what the vector store holds: two systems, no common transaction.

They disagree when one of them is replaced: a new or restored database beside an older store, a store that was switched
and switched back. Documents that only the store knows would stay searchable for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from compozy.database.database import Database
from compozy.database.documents import DocumentStatus, KnowledgeDocument, list_documents
from compozy.errors import VectorStoreError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.store.contents import NOTHING, DocumentContents
from compozy.knowledge.store.protocol import Facts, VectorStore
from compozy.knowledge.store.registry import STORES


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Documents about which database and store disagree.

    Attributes:
        unlisted: the store holds chunks of them, and the database does not list them.
        missing: the database lists them as READY, and the store holds nothing of them.
        outdated: the store holds other chunks of them than the database recorded.
    """

    unlisted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()

    @property
    def distrusted(self) -> tuple[str, ...]:
        """Listed documents that have to be read again."""
        return (*self.missing, *self.outdated)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.unlisted or self.missing or self.outdated)


async def compare(base: KnowledgeBase, store: VectorStore, database: Database | None) -> Differences:
    """Compare what `database` lists of a knowledge base with what `store` holds; None stands for an empty list.

    Raises:
        VectorStoreError: the store cannot be reached.
        DatabaseError: the database cannot be read.
    """
    held = await store.documents()
    rows = [] if database is None else await database.read_async(partial(list_documents, base_id=base.id))
    return _differences(rows, held)


def owns(base: KnowledgeBase, facts: Facts) -> bool:
    """Return whether a collection certainly belongs to the knowledge base, so that what is unlisted may be deleted."""
    return base.is_inside_project or facts.owner == base.owner


def check_owner(base: KnowledgeBase, facts: Facts | None) -> None:
    """Refuse to change the collection of another knowledge base or project.

    Raises:
        VectorStoreError: it belongs to another one.
    """
    if facts is None or not facts.owner or owns(base, facts):
        return
    raise VectorStoreError(
        f"collection {base.collection!r} of vector store {base.store.id!r} belongs to {_name(facts.owner)}, "
        f"not to {_name(base.owner)}",
        hint=f"set another `{'collection' if STORES[base.store.provider].is_shared else 'path'}` of the store",
    )


def digest_in(row: KnowledgeDocument) -> str:
    """Return the digest of the chunks of a document as the database recorded it, "" where it recorded none."""
    return row.recipe.partition(":")[2]


def recipe_in(row: KnowledgeDocument) -> str:
    """Return the recipe that a document was taken in by."""
    return row.recipe.partition(":")[0]


def recipe_with(recipe: str, contents: DocumentContents) -> str:
    """Return what the database records of a document: the recipe, and what the store holds by it."""
    return f"{recipe}:{contents.digest}"


def _differences(rows: Sequence[KnowledgeDocument], held: Mapping[str, DocumentContents]) -> Differences:
    listed = {row.document for row in rows}
    missing: list[str] = []
    outdated: list[str] = []
    for row in rows:
        found = held.get(row.document, NOTHING)
        if not _agree(row, found):
            (missing if found is NOTHING else outdated).append(row.document)
    return Differences(
        unlisted=tuple(sorted(set(held) - listed)), missing=tuple(sorted(missing)), outdated=tuple(sorted(outdated))
    )


def _agree(row: KnowledgeDocument, held: DocumentContents) -> bool:
    if row.status is DocumentStatus.FAILED:
        return held.chunks == 0
    if row.status is not DocumentStatus.READY:
        # An ingestion has it in hand, or was cut: the next one reads it again, whatever the store holds.
        return True
    digest = digest_in(row)
    return held.chunks == row.chunks and (not digest or digest == held.digest)


def _name(owner: str) -> str:
    project, _, base = owner.rpartition("/")
    return f"knowledge base {base!r} of project {project!r}"
