"""`compozy webhook ...`: list the webhooks of a project, and send signed test requests to them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, on_project
from compozy.cli.output import print_json, print_line, print_note, print_table

if TYPE_CHECKING:
    from compozy.server.hooks.signed_request import SignedRequest

webhook_app = typer.Typer(help="List and test webhooks, and replay deliveries.", no_args_is_help=True)


@webhook_app.command("list")
@on_project(output=True)
def list_command(options: ProjectOptions) -> None:
    """List the webhooks of the project."""
    from compozy.cli.context import open_project
    from compozy.server.hooks.hook import describe_webhooks

    found = describe_webhooks(open_project(options))
    if options.as_json:
        print_json({"webhooks": found})
        return
    if not found:
        print_note("The project has no webhooks.")
        return
    columns = ("slug", "workflow_id", "strategy")
    rows = [(*(str(row[column]) for column in columns), ", ".join(row["events"])) for row in found]
    print_table(("SLUG", "WORKFLOW", "STRATEGY", "EVENTS"), rows)


@webhook_app.command("sign")
@on_project(server=True, output=True)
def sign_command(
    options: ProjectOptions,
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="Webhook to send the request to.")],
    payload: Annotated[
        str, typer.Option("--payload", metavar="JSON", help="Body: JSON, @FILE, or - for standard input.")
    ] = "{}",
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME:VALUE", help="Further header, such as X-GitHub-Event:push."),
    ] = None,
    delivery: Annotated[
        str | None,
        typer.Option("--delivery", metavar="ID", help="ID of the delivery. Default: a new one.", show_default=False),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it to the server and print the response.")] = False,
) -> int:
    """Create a signed test request for a webhook.

    Without --send, it prints the request as a curl command. A request is signed with the first secret of the webhook.
    """
    from compozy.cli.arguments import read_headers, read_source
    from compozy.cli.context import open_project
    from compozy.server.hooks.signed_request import sign_request

    project, body = open_project(options), read_source(payload)[1]
    request = sign_request(project, slug, body, delivery_id=delivery, headers=read_headers(headers))
    if send:
        return _send(options, request)
    url = f"{_server_url(options) or f'http://127.0.0.1:{project.server.port}'}{request.path}"
    if options.as_json:
        print_json({"url": url, "headers": dict(request.headers), "body": request.text})
    else:
        print_line(_to_curl(request, url))
    return 0


def _to_curl(request: SignedRequest, url: str) -> str:
    """Return a command for a shell that sends the request to `url`."""
    headers = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    return " \\\n  ".join([f"curl -s {shlex.quote(url)}", *headers, f"--data-raw {shlex.quote(request.text)}"])


def _server_url(options: ProjectOptions) -> str | None:
    from compozy.cli.find import look, search_for

    found = look(search_for(options))
    if found is None:
        return None
    found.client.close()
    return found.client.url


def _send(options: ProjectOptions, request: SignedRequest) -> int:
    from compozy.client import send_request
    from compozy.errors import ServerError

    url = _server_url(options)
    if url is None:
        raise ServerError("no server of this project is running", hint="start one with `compozy start`")
    status, document = send_request(url, request.path, request.headers, request.body)
    if options.as_json:
        print_json({"status": status, "answer": document})
    else:
        print_line(f"{status} {document.get('detail') or document.get('status') or document}")
        for key in ("event", "execution_id", "hint"):
            if document.get(key):
                print_line(f"  {key}: {document[key]}")
    return 0 if status < 400 else 1
