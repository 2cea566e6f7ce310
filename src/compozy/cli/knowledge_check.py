"""`compozy knowledge check`: where database and vector store disagree, and what `--repair` did about it."""

from __future__ import annotations

import sys

from compozy.cli.knowledge_results import count_of, last_error_of, print_ingestion, reason_of
from compozy.cli.knowledge_verbs import Document, IngestWords, KnowledgeVerbs
from compozy.cli.output import paint, print_json, print_line, print_note

_MAX_NAMES = 10
_KINDS = {
    "unlisted": "in the store, not listed in the database",
    "missing": "listed in the database, not in the store",
    "outdated": "in the store with other chunks than the database recorded",
}


def check_and_repair(verbs: KnowledgeVerbs, kb: str | None, *, repair: bool, quiet: bool, as_json: bool) -> int:
    """Print where database and store disagree, repair it if asked to, and return 1 if something is left."""
    found = verbs.check(kb)
    repaired = False
    for base in found["knowledge_bases"] if repair else ():
        if (not base["agrees"] or base["pending"]["count"]) and base["error"] is None:
            _repair(verbs, base, quiet=quiet, as_json=as_json)
            repaired = True
    if repaired:
        found = verbs.check(kb)
    if as_json:
        print_json(found)
    else:
        for base in found["knowledge_bases"]:
            _print_base(base)
    return 0 if all(base["agrees"] for base in found["knowledge_bases"]) else 1


def _repair(verbs: KnowledgeVerbs, base: Document, *, quiet: bool, as_json: bool) -> None:
    run = verbs.ingest(IngestWords(kb=base["id"], repair=True, quiet=quiet, as_json=as_json))
    if not as_json:
        print_ingestion(run, as_json=False)


def _print_base(base: Document) -> None:
    if base["agrees"]:
        ready = count_of(base["documents"]["ready"], "document")
        print_line(f"{paint('✓', 'green', stream=sys.stdout)} {base['id']}: database and store agree, {ready}")
    else:
        print_line(f"{paint('✗', 'red', stream=sys.stdout)} {base['id']}: database and store disagree")
    for kind, words in _KINDS.items():
        _print_names(base[kind], words)
    _print_names(base["pending"], _pending_words(base["ingestion"]))
    for failure in base["failed"][:_MAX_NAMES]:
        print_line(f"  {failure['document']} could not be read: {reason_of(failure)}")
    if base.get("last_error"):
        print_line(f"  {last_error_of(base)}")
    if base["error"]:
        print_line(f"  {reason_of(base['error'])}")
    elif not base["repairable"]:
        print_note(
            f"note: collection {base['collection']!r} does not record its owner, so documents that are not listed are "
            "kept; delete them by name or ingest with --reindex"
        )
    elif not base["agrees"] or base["pending"]["count"]:
        print_note(f"Run `compozy knowledge check {base['id']} --repair`.")


def _pending_words(ingestion: str | None) -> str:
    if ingestion is None:
        return "not ingested, because an ingestion was interrupted"
    return f"not ingested yet; ingestion {ingestion} has not ended"


def _print_names(found: Document, words: str) -> None:
    if not found["count"]:
        return
    print_line(f"  {count_of(found['count'], 'document')} {words}:")
    for name in found["documents"][:_MAX_NAMES]:
        print_line(f"    {name}")
    if found["count"] > _MAX_NAMES:
        print_line(f"    ... and {found['count'] - _MAX_NAMES} more")
