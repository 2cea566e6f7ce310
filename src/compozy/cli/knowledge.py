"""`compozy knowledge ...`: ingest, query and inspect documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.options import ProjectOptions, number, on_project

if TYPE_CHECKING:
    from compozy.cli.knowledge_verbs import KnowledgeVerbs

knowledge_app = typer.Typer(help="Ingest and query documents.", no_args_is_help=True)

BaseOption = Annotated[
    str | None,
    typer.Option("--kb", metavar="ID", help="Knowledge base; required if there are several.", show_default=False),
]


@knowledge_app.command("ingest")
@on_project(server=True, output=True)
def ingest_command(
    options: ProjectOptions,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH",
            help="File, folder or pattern. Default: the sources of the knowledge base.",
            show_default=False,
        ),
    ] = None,
    kb: BaseOption = None,
    reindex: Annotated[bool, typer.Option("--reindex", help="Empty the store and ingest everything again.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Also ingest unchanged documents that failed before.")] = False,
) -> int:
    """Ingest new and changed documents.

    Removes documents that no longer exist.
    """
    from compozy.cli.knowledge_results import print_ingestion
    from compozy.cli.knowledge_verbs import IngestWords

    verbs = _verbs(options)
    words = IngestWords(path=path, kb=kb, reindex=reindex, retry=retry, quiet=options.quiet, as_json=options.as_json)
    return print_ingestion(verbs.ingest(words), as_json=words.as_json)


@knowledge_app.command("retry")
@on_project(server=True, output=True)
def retry_command(
    options: ProjectOptions,
    kb: BaseOption = None,
) -> int:
    """Ingest failed documents again."""
    from compozy.cli.knowledge_results import print_ingestion
    from compozy.cli.knowledge_verbs import IngestWords

    verbs = _verbs(options)
    words = IngestWords(kb=kb, retry=True, failed_only=True, quiet=options.quiet, as_json=options.as_json)
    return print_ingestion(verbs.ingest(words), as_json=words.as_json)


@knowledge_app.command("query")
@on_project(server=True, output=True)
def query_command(
    options: ProjectOptions,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Question or words to search for.")],
    kb: BaseOption = None,
    top_k: Annotated[
        int | None, number(1, 50, "--top-k", help="Largest number of passages.", show_default=False)
    ] = None,
    min_score: Annotated[
        float | None,
        number(-1, 1, "--min-score", help="Lowest similarity of a passage.", show_default=False),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode", metavar="vector|text|hybrid", help="Search by meaning, by words, or by both.", show_default=False
        ),
    ] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", metavar="NAME=VALUE", help="Only passages with this metadata.")
    ] = None,
) -> None:
    """Show the passages that answer a question."""
    from compozy.cli.knowledge_results import note_if_empty, print_matches, read_filters, read_mode

    given: dict[str, Any] = {"top_k": top_k, "min_score": min_score, "mode": read_mode(mode)}
    if filters:
        given["filters"] = read_filters(filters)
    asked = {key: value for key, value in given.items() if value is not None}
    verbs = _verbs(options)
    found = verbs.query(kb, text, asked)
    print_matches(found, as_json=options.as_json)
    if not found["matches"]:
        note_if_empty(verbs.get(found["knowledge_base_id"]))


@knowledge_app.command("list")
@on_project(server=True, output=True)
def list_command(
    options: ProjectOptions,
) -> None:
    """List the project's knowledge bases."""
    from compozy.cli.knowledge_results import print_bases

    print_bases(_verbs(options).list(), as_json=options.as_json)


@knowledge_app.command("get")
@on_project(server=True, output=True)
def get_command(
    options: ProjectOptions,
    kb: Annotated[str, typer.Argument(metavar="ID", help="Knowledge base to show.")],
) -> None:
    """Show a knowledge base."""
    from compozy.cli.knowledge_results import print_base

    print_base(_verbs(options).get(kb), as_json=options.as_json)


@knowledge_app.command("status")
@on_project(server=True, output=True)
def status_command(
    options: ProjectOptions,
    kb: BaseOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only documents that failed.")] = False,
    limit: Annotated[int, number(1, 1000, "--limit", help="Number of documents.")] = 100,
) -> None:
    """Show the documents of a knowledge base."""
    from compozy.cli.knowledge_results import print_status

    verbs = _verbs(options)
    print_status(verbs.status(kb, failed=failed, limit=limit), as_json=options.as_json)


@knowledge_app.command("check")
@on_project(server=True, output=True)
def check_command(
    options: ProjectOptions,
    kb: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Knowledge base to check. Default: all.", show_default=False),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Ingest changed documents again; delete unlisted ones.")
    ] = False,
) -> int:
    """Compare the database with the vector store.

    Exits with code 1 if they differ.
    """
    from compozy.cli.knowledge_check import check_and_repair

    verbs = _verbs(options)
    return check_and_repair(verbs, kb, repair=repair, quiet=options.quiet, as_json=options.as_json)


@knowledge_app.command("delete")
@on_project(server=True, output=True)
def delete_command(
    options: ProjectOptions,
    kb: Annotated[str, typer.Argument(metavar="ID", help="Knowledge base whose content is deleted.")],
    document: Annotated[
        str | None, typer.Option("--document", metavar="NAME", help="Only this document.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> int:
    """Delete the contents of a knowledge base.

    The source documents are kept.
    """
    from compozy.cli.knowledge_results import print_deleted
    from compozy.cli.output import ask_first

    verbs = _verbs(options)
    what = f"document {document!r} of knowledge base {kb!r}" if document else f"all contents of knowledge base {kb!r}"
    if not yes:
        ask_first(f"Delete {what}?")
    print_deleted(verbs.delete(kb, document), as_json=options.as_json)
    return 0


def _verbs(options: ProjectOptions) -> KnowledgeVerbs:
    """Return the project's server if it runs, else this process."""
    from compozy.cli.find import look, search_for

    if (found := look(search_for(options))) is not None:
        from compozy.cli.knowledge_remote import RemoteKnowledge

        return RemoteKnowledge(found, options.config_file)
    from compozy.cli.context import open_settings
    from compozy.cli.knowledge_here import KnowledgeHere

    return KnowledgeHere(open_settings(options))
