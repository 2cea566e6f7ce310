"""`compozy webhook deliveries | delivery | replay`: requests that a webhook received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, number, on_project
from compozy.cli.output import print_json, print_line, print_note, print_table
from compozy.cli.webhook import webhook_app

if TYPE_CHECKING:
    from compozy.client import Client, Document

SlugArgument = Annotated[str, typer.Argument(metavar="SLUG", help="Webhook.")]
DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="ID of the delivery.")]
_SHOWN = ("outcome", "status", "reason", "event", "execution_id", "replay_of", "body_sha256")


@webhook_app.command("deliveries")
@on_project(server=True, output=True)
def deliveries_command(
    options: ProjectOptions,
    slug: SlugArgument,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome",
            metavar="OUTCOME",
            help="Only accepted, signaled, duplicate, no_matching_event or refused.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, number(1, 1000, "--limit", help="Number of deliveries, the newest first.")] = 20,
) -> None:
    """List the verified requests to a webhook."""
    document = _list(options, slug, limit, outcome)
    if options.as_json:
        print_json(document)
        return
    deliveries: list[Document] = document["deliveries"]
    if not deliveries:
        print_note(f"No deliveries of webhook {slug!r} are stored.")
        return
    print_table(("DELIVERY", "RECEIVED", "OUTCOME", "EVENT", "EXECUTION"), map(_row, deliveries))


@webhook_app.command("delivery")
@on_project(server=True, output=True)
def delivery_command(options: ProjectOptions, slug: SlugArgument, delivery_id: DeliveryArgument) -> None:
    """Show one delivery with its headers and body."""
    document = _get(options, slug, delivery_id)
    if options.as_json:
        print_json(document)
        return
    print_line(f"{document['delivery_id']}  {document['received_at']}")
    for key in _SHOWN:
        if document[key] is not None:
            print_line(f"  {key}: {document[key]}")
    for name, value in {**document["headers"], **document["query"]}.items():
        print_line(f"  {name}: {value}")
    print_line("")
    print_line(document["body"])


@webhook_app.command("replay")
@on_project(server=True, output=True)
def replay_command(
    options: ProjectOptions,
    slug: SlugArgument,
    delivery_id: DeliveryArgument,
    new_run: Annotated[
        bool, typer.Option("--new-run", help="Start another run even if the delivery started one.")
    ] = False,
) -> None:
    """Process a stored delivery again.

    The running server does this, with the files that it has loaded.
    """
    from compozy.errors import ServerError

    client = _client(options)
    if client is None:
        raise ServerError("no server of this project is running", hint="start one with `compozy start`")
    body = {"new_run": True} if new_run else {}
    document = client.post("hooks", slug, "deliveries", delivery_id, "replay", body=body)
    if options.as_json:
        print_json(document)
        return
    print_line(f"Replayed delivery {delivery_id}: {document['status']}")
    for key in ("event", "execution_id"):
        if document.get(key):
            print_line(f"  {key}: {document[key]}")


def _list(options: ProjectOptions, slug: str, limit: int, outcome: str | None) -> Document:
    client = _client(options)
    if client is not None:
        chosen = {} if outcome is None else {"outcome": outcome}
        return client.get("hooks", slug, "deliveries", limit=limit, **chosen)
    from compozy.cli.context import open_project
    from compozy.database.webhook_deliveries import DeliveryFilter
    from compozy.server.hooks.deliveries import check_outcome, page_of
    from compozy.server.hooks.hook import check_slug
    from compozy.storage import close_storage, open_reading

    project = open_project(options)
    check_slug(project, slug)
    wanted = DeliveryFilter(slug=slug, limit=limit, outcome=check_outcome(outcome))
    database = open_reading(project)
    if database is None:
        return {"deliveries": [], "next_cursor": None}
    try:
        with database.read() as connection:
            return page_of(connection, wanted)
    finally:
        close_storage(database)


def _get(options: ProjectOptions, slug: str, delivery_id: str) -> Document:
    client = _client(options)
    if client is not None:
        return client.get("hooks", slug, "deliveries", delivery_id)
    from compozy.cli.context import open_project
    from compozy.errors import NotFoundError
    from compozy.server.hooks.deliveries import document_of, find_delivery
    from compozy.storage import close_storage, open_reading

    database = open_reading(open_project(options))
    if database is None:
        raise NotFoundError("the project does not have a database yet", hint="start a server with `compozy start`")
    try:
        with database.read() as connection:
            return document_of(find_delivery(connection, slug, delivery_id))
    finally:
        close_storage(database)


def _client(options: ProjectOptions) -> Client | None:
    from compozy.cli.find import look, search_for

    found = look(search_for(options))
    return None if found is None else found.client


def _row(delivery: Document) -> tuple[str, ...]:
    return (
        delivery["delivery_id"],
        delivery["received_at"],
        delivery["outcome"],
        delivery["event"] or "-",
        delivery["execution_id"] or delivery["reason"] or "-",
    )
