"""Output and option parsing of `compozy knowledge`, without loading the engine."""

from __future__ import annotations

import sys
from typing import Any

from compozy.cli.bar import Bar
from compozy.cli.endings import INTERRUPTED, print_failure, print_paused
from compozy.cli.knowledge_verbs import Document, IngestWords
from compozy.cli.output import paint, print_json, print_line, print_note, print_table
from compozy.database.status import Status
from compozy.errors import UsageError

_MODES = ("vector", "text", "hybrid")
_EXCERPT = 200
_LEAST_SHOWN = 0.001
# Lines that are printed of each; the documents have more.
_MAX_SKIPPED = 10
_MAX_FAILURES = 20


def read_mode(text: str | None) -> str | None:
    """Return `--mode`.

    Raises:
        UsageError: there is no such mode.
    """
    if text is not None and text not in _MODES:
        raise UsageError(f"--mode: expected {', '.join(_MODES)}, got {text!r}")
    return text


def read_filters(given: list[str]) -> dict[str, str]:
    """Return `--filter NAME=VALUE` as a map.

    Raises:
        UsageError: one is no pair.
    """
    filters: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"--filter: expected NAME=VALUE, got {text!r}")
        filters[name] = value
    return filters


def print_start(words: IngestWords, base: Document) -> None:
    """Print what is about to be ingested, and with which embedder."""
    if not words.as_json:
        if words.repair:
            print_line(f"Repairing knowledge base {words.kb!r}...")
        elif words.failed_only:
            print_line("Ingesting failed documents again...")
        else:
            print_line(f"Ingesting documents from {words.path or 'the sources of the knowledge base'}...")
        sys.stdout.flush()
    if not words.quiet:
        kept, default = base["embedder"], base["default_embedder"]
        print_note(f"note: embeddings by {default if words.reindex else kept}")
        if kept != default and not words.reindex:
            print_note(
                f"note: knowledge base {base['id']!r} keeps this embedder; the default is now {default}, "
                "use --reindex to switch"
            )


def print_ingestion(run: Document, *, as_json: bool) -> int:
    """Print what an ingestion did and return the exit code: 1 when it failed, or a document is not in."""
    output: Document | None = run["output"]
    if as_json:
        print_json(run)
    elif print_paused(run):
        return 1
    elif output is None:
        print_failure(run)
    else:
        _print_counts(output, run["input"])
    if Status(run["status"]) is Status.CANCELED:
        return INTERRUPTED
    return 1 if output is None or output["failed"] else 0


def print_matches(found: Document, *, as_json: bool) -> None:
    """Print passages, best first."""
    if as_json:
        print_json(found)
        return
    if not found["matches"]:
        print_line("No passages found.")
    for place, match in enumerate(found["matches"], start=1):
        title = f"  {match['title']}" if match["title"] else ""
        page = f" p. {match['page']}" if "page" in match else ""
        print_line(paint(f"{place}. {match['document']} #{match['chunk']}{page}", "bold", stream=sys.stdout) + title)
        print_line(f"   score {_score_text(match['score'])}")
        text = " ".join(match["text"].split())
        print_line(f"   {text[:_EXCERPT]}{'...' if len(text) > _EXCERPT else ''}")


def note_if_empty(base: Document) -> None:
    """Say of a knowledge base that gave nothing that there is nothing in it."""
    if not base["documents"]["ready"]:
        print_note(
            f"note: knowledge base {base['id']!r} is empty; ingest documents with `compozy knowledge ingest PATH`"
        )


def print_bases(found: Document, *, as_json: bool) -> None:
    """Print the knowledge bases."""
    if as_json:
        print_json(found)
        return
    rows = [
        (base["id"], base["provider"], base["embedder"], str(base["documents"]["ready"]), str(base["chunks"]))
        for base in found["knowledge_bases"]
    ]
    print_table(("KNOWLEDGE BASE", "STORE", "EMBEDDER", "DOCUMENTS", "CHUNKS"), rows)
    for base in found["knowledge_bases"]:
        if base.get("last_error"):
            print_note(f"{paint('✗', 'red')} {base['id']}: {last_error_of(base)}")


def print_base(base: Document, *, as_json: bool) -> None:
    """Print one knowledge base."""
    if as_json:
        print_json(base)
        return
    documents: dict[str, int] = base["documents"]
    counts = ", ".join(f"{count} {status}" for status, count in documents.items() if count) or "none"
    print_line(f"Knowledge base {base['id']}")
    print_line(f"Store          {base['provider']} {base['vector_db']!r}, collection {base['collection']!r}")
    kept, default = base["embedder"], base["default_embedder"]
    note = "" if kept == default else f" (kept; the default is now {default})"
    print_line(f"Embedder       {kept}{note}, chunks of {base['chunk_size']} tokens at most")
    print_line(f"Documents      {counts}")
    print_line(f"Chunks         {base['chunks']}")
    if base["ingestion"]:
        print_line(f"Ingestion      {base['ingestion']} is under way")
    if base.get("last_error"):
        print_line(f"Last error     {last_error_of(base)}")


def print_status(found: Document, *, as_json: bool) -> None:
    """Print documents and what became of them."""
    if as_json:
        print_json(found)
        return
    if not found["documents"]:
        print_line("No documents.")
        return
    print_table(
        ("DOCUMENT", "STATUS", "CHUNKS", "ERROR"),
        [(row["document"], row["status"], str(row["chunks"]), reason_of(row["error"])) for row in found["documents"]],
    )
    if found["next_cursor"]:
        print_note(f"note: more come after {found['next_cursor']!r}; raise --limit to see them")


def print_deleted(found: Document, *, as_json: bool) -> None:
    """Print how much was deleted."""
    if as_json:
        print_json(found)
        return
    count: int = found["deleted"]
    print_line(f"Deleted {count} document{'s' if count != 1 else ''} from {found['knowledge_base_id']!r}")


def print_canceling(words: IngestWords) -> None:
    """Print what becomes of an ingestion after Ctrl-C."""
    if not words.quiet:
        print_note("\ncanceling the ingestion; ingested documents are kept")
        print_note("  `compozy knowledge ingest` adds the others")


class IngestionBar(Bar):
    """A bar that shows how far an ingestion is."""

    def show(self, progress: dict[str, int]) -> None:
        """Redraw the bar."""
        words = f"{progress['done']}/{progress['total']} documents, {progress['chunks']} chunks"
        self.draw(progress["done"], progress["total"], words)


def _print_counts(output: Document, asked: Document) -> None:
    check = paint("✓", "green", stream=sys.stdout)
    notes = [
        f"{output[key]} {word}" for key, word in (("unchanged", "unchanged"), ("deleted", "deleted")) if output[key]
    ]
    more = f" ({', '.join(notes)})" if notes else ""
    print_line(f"{check} Processed {count_of(output['documents'], 'document')}{more}")
    print_line(f"{check} Created {count_of(output['chunks'], 'chunk')}")
    print_line(f"{check} Embeddings stored in {output['store']}")
    if unlisted := output.get("unlisted", 0):
        print_note(f"note: deleted {count_of(unlisted, 'document')} from the store that the database does not list")
    elif not any(output[key] for key in ("documents", "unchanged", "deleted", "failed")):
        is_retry = asked.get("failed_only") or asked.get("repair")
        print_note("note: no document has failed" if is_retry else "note: no documents found")
    _print_skipped(output["skipped_files"], output["skipped"])
    _print_failures(output["failures"][:_MAX_FAILURES])
    if output["failed"]:
        print_note(
            f"{count_of(output['failed'], 'document')} could not be read; "
            "`compozy knowledge status --failed` shows the errors, `compozy knowledge retry` tries again"
        )


def _print_failures(failures: list[dict[str, Any]]) -> None:
    """Name the documents that failed, and why; a hint that holds for several of them is printed once."""
    printed: set[str] = set()
    for failure in failures:
        hint = _hint(failure)
        reason = failure["message"] if hint in printed else reason_of(failure)
        printed.add(hint)
        print_note(f"{paint('✗', 'red')} {failure['document']}: {reason}")


def _print_skipped(files: list[dict[str, str]], count: int) -> None:
    """Name the first files that were left out, and why."""
    if count:
        print_note(f"note: {count_of(count, 'file')} left out:")
    for file in files[:_MAX_SKIPPED]:
        print_note(f"  {file['document']}: {file['reason']}")
    if count > _MAX_SKIPPED:
        print_note(f"  ... and {count - _MAX_SKIPPED} more; `--format json` lists the first {len(files)}")


def reason_of(error: dict[str, Any] | None) -> str:
    """Return the message of an error with its hint, "" without one."""
    if not error:
        return ""
    hint = _hint(error)
    return f"{error['message']}" + (f" ({hint})" if hint else "")


def last_error_of(base: Document) -> str:
    """Return why the last ingestion of a knowledge base failed."""
    error: Document = base["last_error"]
    return f"ingestion {error['execution_id']} failed: {reason_of(error)}"


def _hint(error: dict[str, Any]) -> str:
    return error.get("details", {}).get("hint", "")


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where that is meant."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _score_text(score: float) -> str:
    """Return a score that is not shown as zero: words of most documents have scores near 0.000001."""
    return f"{score:.4f}" if abs(score) >= _LEAST_SHOWN or not score else f"{score:.2e}"
