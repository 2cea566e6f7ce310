"""`compozy knowledge ...`: take documents in, ask them, look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.options import ProjectOptions, on_project

if TYPE_CHECKING:
    from compozy.cli.knowledge_verbs import KnowledgeVerbs

knowledge_app = typer.Typer(help="Take documents in, and ask them.", no_args_is_help=True)

BaseOption = Annotated[
    str | None,
    typer.Option("--kb", metavar="ID", help="Knowledge base; needed where there are several.", show_default=False),
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
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Empty the store first, and take everything in anew.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also read documents again that failed before and did not change.")
    ] = False,
) -> int:
    """Take documents in: new and changed ones, and forget those that are gone."""
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
    """Try again the documents that could not be read, wherever they are from."""
    from compozy.cli.knowledge_results import print_ingestion
    from compozy.cli.knowledge_verbs import IngestWords

    verbs = _verbs(options)
    words = IngestWords(kb=kb, retry=True, failed_only=True, quiet=options.quiet, as_json=options.as_json)
    return print_ingestion(verbs.ingest(words), as_json=words.as_json)


@knowledge_app.command("query")
@on_project(server=True, output=True)
def query_command(
    options: ProjectOptions,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.")],
    kb: BaseOption = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, max=50, help="Most passages to show.", show_default=False)
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", min=-1, max=1, help="Least similarity of a passage.", show_default=False),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode", metavar="vector|text|hybrid", help="Search by meaning, by words, or both.", show_default=False
        ),
    ] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", metavar="NAME=VALUE", help="Only passages with this metadata.")
    ] = None,
) -> None:
    """Show the passages that answer a question."""
    from compozy.cli.knowledge_results import print_matches, read_filters, read_mode, tell_if_empty

    given: dict[str, Any] = {"top_k": top_k, "min_score": min_score, "mode": read_mode(mode)}
    if filters:
        given["filters"] = read_filters(filters)
    asked = {key: value for key, value in given.items() if value is not None}
    verbs = _verbs(options)
    found = verbs.query(kb, text, asked)
    print_matches(found, as_json=options.as_json)
    if not found["matches"]:
        tell_if_empty(verbs.get(found["knowledge_base_id"]))


@knowledge_app.command("list")
@on_project(server=True, output=True)
def list_command(
    options: ProjectOptions,
) -> None:
    """List the knowledge bases of the project."""
    from compozy.cli.knowledge_results import print_bases

    print_bases(_verbs(options).list(), as_json=options.as_json)


@knowledge_app.command("get")
@on_project(server=True, output=True)
def get_command(
    options: ProjectOptions,
    kb: Annotated[str, typer.Argument(metavar="ID", help="Knowledge base to show.")],
) -> None:
    """Show one knowledge base."""
    from compozy.cli.knowledge_results import print_base

    print_base(_verbs(options).get(kb), as_json=options.as_json)


@knowledge_app.command("status")
@on_project(server=True, output=True)
def status_command(
    options: ProjectOptions,
    kb: BaseOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only documents that could not be read.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Documents to show.")] = 100,
) -> None:
    """Show the documents of a knowledge base, and what became of them."""
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
        bool, typer.Option("--repair", help="Read changed documents again; delete unlisted ones.")
    ] = False,
) -> int:
    """Compare the database with the vector store. Exits with status 1 if they disagree."""
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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete what a knowledge base holds; the documents themselves stay."""
    from compozy.cli.knowledge_results import print_deleted
    from compozy.cli.output import ask_first

    verbs = _verbs(options)
    what = f"document {document!r} of knowledge base {kb!r}" if document else f"everything that {kb!r} holds"
    if not yes:
        ask_first(f"Delete {what}?")
    print_deleted(verbs.delete(kb, document), as_json=options.as_json)
    return 0


def _verbs(options: ProjectOptions) -> KnowledgeVerbs:
    """Return who does the work: the server of the project if it runs, else this process."""
    from compozy.cli.find import look, search_for

    if (found := look(search_for(options))) is not None:
        from compozy.cli.knowledge_remote import RemoteKnowledge

        return RemoteKnowledge(found, options.config_file)
    from compozy.cli.context import open_settings
    from compozy.cli.knowledge_here import KnowledgeHere

    return KnowledgeHere(open_settings(options))
