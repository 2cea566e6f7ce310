"""`compozy auth`: users and API keys, in the database of the project."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compozy.cli.arguments import duration_flag
from compozy.cli.options import ProjectOptions, number, on_project
from compozy.cli.output import fit_cell, print_json, print_line, print_note, print_table

if TYPE_CHECKING:
    import sqlalchemy as sa

    from compozy.database.audit import AuditEntry
    from compozy.project.loaded import LoadedProject

Document = dict[str, Any]
auth_app = typer.Typer(help="Manage users and API keys; show the audit log.", no_args_is_help=True)
keys_app = typer.Typer(help="Manage API keys.", no_args_is_help=True)
users_app = typer.Typer(help="Manage users.", no_args_is_help=True)
auth_app.add_typer(keys_app, name="keys")
auth_app.add_typer(users_app, name="users")

_WIDEST_CELL = 80
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="ID or prefix of the key.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Email address or ID of the user.")]
RoleOption = Annotated[str, typer.Option("--role", metavar="ROLE", help="admin, user or viewer.")]


@auth_app.command("bootstrap")
@on_project(output=True)
def bootstrap_command(
    options: ProjectOptions,
    email: Annotated[str, typer.Option("--email", metavar="EMAIL", help="Email address of the administrator.")],
) -> None:
    """Create the first administrator and an API key."""
    from compozy.auth.accounts import bootstrap

    project, made = _change(options, lambda connection: bootstrap(connection, email))
    if options.as_json:
        print_json(made)
        return
    print_note(f"Created the administrator {made['user']['email']}. This API key is shown only once:")
    print_line(made["key"]["api_key"])
    _print_use(options, project)


@keys_app.command("create")
@on_project(output=True)
def create_key_command(
    options: ProjectOptions,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Purpose of the key.")],
    user: Annotated[str, typer.Option("--user", metavar="EMAIL", help="User of the key.")],
    role: Annotated[
        str | None,
        typer.Option(
            "--role", metavar="ROLE", help="Role, at most that of the user. Default: that.", show_default=False
        ),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option("--workflow", metavar="ID", help="Only for this workflow; repeatable.", show_default=False),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Time until it expires, e.g. 90d.", show_default=False),
    ] = None,
) -> None:
    """Create an API key, which is shown only once."""
    from compozy.auth.accounts import KeyRequest, create_key
    from compozy.cli.context import open_quietly

    if workflow:
        open_quietly(options, is_tolerant=True).require_workflows(workflow)
    expires_in_s = None if expires is None else duration_flag("--expires", expires)
    wanted = KeyRequest(name=name, user=user, role=role, workflows=workflow or (), expires_in_s=expires_in_s)
    _, made = _change(options, lambda connection: create_key(connection, wanted))
    _print_key(options, made)


@keys_app.command("rotate")
@on_project(output=True)
def rotate_key_command(
    options: ProjectOptions,
    key: KeyArgument,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="Time for which the old key stays valid.")
    ] = "24h",
) -> None:
    """Create a key in place of another one."""
    from compozy.auth.accounts import rotate_key

    overlap_s = duration_flag("--overlap", overlap)
    _, made = _change(options, lambda connection: rotate_key(connection, key, overlap_s=overlap_s))
    _print_key(options, made)


@keys_app.command("revoke")
@on_project(output=True)
def revoke_key_command(options: ProjectOptions, key: KeyArgument) -> None:
    """Revoke an API key."""
    from compozy.auth.accounts import revoke

    _, revoked = _change(options, lambda connection: revoke(connection, key))
    _print(options, revoked, f"Revoked the key {revoked['prefix']} ({revoked['name']}) of {revoked['user']}")


@keys_app.command("list")
@on_project(output=True)
def list_keys_command(options: ProjectOptions) -> None:
    """List API keys."""
    from compozy.auth.accounts import list_key_documents

    keys = _read(options, list_key_documents)
    if options.as_json:
        print_json({"keys": keys})
        return
    rows = [
        (
            str(key["prefix"]),
            str(key["name"]),
            str(key["user"]),
            str(key["role"]),
            ", ".join(key["workflows"] or ["all"]),
            str(key["status"]),
            str(key["expires_at"] or "never"),
            str(key["last_used_at"] or "never"),
        )
        for key in keys
    ]
    print_table(("PREFIX", "NAME", "USER", "ROLE", "WORKFLOWS", "STATUS", "EXPIRES", "LAST USED"), rows)


@users_app.command("create")
@on_project(output=True)
def create_user_command(
    options: ProjectOptions,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Email address.")],
    role: RoleOption = "user",
) -> None:
    """Create a user."""
    from compozy.auth.accounts import create_user

    _, user = _change(options, lambda connection: create_user(connection, email, role))
    _print(options, user, f"Created the user {user['email']} with the role {user['role']}")


@users_app.command("update")
@on_project(output=True)
def update_user_command(options: ProjectOptions, user: UserArgument, role: RoleOption) -> None:
    """Change the role of a user."""
    from compozy.auth.accounts import change_user

    _, changed = _change(options, lambda connection: change_user(connection, user, role=role))
    _print(options, changed, f"{changed['email']} has the role {changed['role']}")


@users_app.command("password")
@on_project(output=True)
def set_password_command(options: ProjectOptions, user: UserArgument) -> None:
    """Set the password of a user, read from stdin."""
    from compozy.auth.accounts import change_user
    from compozy.auth.passwords import hash_password

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    hashed = hash_password(password)
    _, changed = _change(options, lambda connection: change_user(connection, user, password=hashed))
    _print(options, changed, f"Set the password of {changed['email']} and ended their sessions")


@users_app.command("delete")
@on_project(output=True)
def delete_user_command(options: ProjectOptions, user: UserArgument) -> None:
    """Delete a user with all their API keys."""
    from compozy.auth.accounts import remove_user

    _, removed = _change(options, lambda connection: remove_user(connection, user))
    _print(options, removed, f"Deleted the user {removed['email']} and their API keys")


@users_app.command("list")
@on_project(output=True)
def list_users_command(options: ProjectOptions) -> None:
    """List users."""
    from compozy.auth.accounts import list_user_documents

    users = _read(options, list_user_documents)
    if options.as_json:
        print_json({"users": users})
        return
    rows = [(str(user["email"]), str(user["role"]), str(user["created_at"])) for user in users]
    print_table(("EMAIL", "ROLE", "CREATED"), rows)


@auth_app.command("audit")
@on_project(output=True)
def audit_command(
    options: ProjectOptions,
    limit: Annotated[int, number(1, 1000, "--limit", help="Number of actions.")] = 50,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Only actions of this user.", show_default=False)
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="Only this operation.", show_default=False)
    ] = None,
    execution: Annotated[
        str | None, typer.Option("--execution", metavar="ID", help="Only on this execution.", show_default=False)
    ] = None,
) -> None:
    """Show the audit log, newest first."""
    from compozy.auth.accounts import audit_document
    from compozy.database.audit import AuditFilter, list_audit

    wanted = AuditFilter(limit=limit, actor=actor, action=action, execution_id=execution)
    entries = _read(options, lambda connection: [audit_document(entry) for entry in list_audit(connection, wanted)])
    if options.as_json:
        print_json({"entries": entries})
        return
    names = ("created_at", "actor", "action", "status", "execution_id", "target", "address")
    cells = [[str(entry[name] if entry[name] is not None else "-") for name in names] for entry in entries]
    # The path of one request could make the column of all rows hundreds of characters wide.
    rows = [[fit_cell(cell, _WIDEST_CELL) for cell in row] for row in cells]
    print_table(("TIME", "ACTOR", "ACTION", "STATUS", "EXECUTION", "TARGET", "ADDRESS"), rows)


def _change(options: ProjectOptions, change: Callable[[sa.Connection], Document]) -> tuple[LoadedProject, Document]:
    """Make a change in the database of the project; return the project and the result."""
    from compozy.cli.context import open_settings
    from compozy.database.audit import append_audit
    from compozy.storage import open_beside

    project = open_settings(options)
    with open_beside(project, "users and API keys") as database, database.write() as connection:
        done = change(connection)
        append_audit(connection, _audit_entry(options, done))
    return project, done


def _audit_entry(options: ProjectOptions, done: Document) -> AuditEntry:
    """Return the entry of the audit log for a command that changed `done`."""
    from compozy.database.audit import AuditEntry

    target = done.get("user", done)
    name = target["email"] if "email" in target else f"{done['user']}/{done['prefix']}"
    action = str(options.context.command_path).removeprefix("compozy ")
    return AuditEntry(actor="command", credential="database", action=action, target=name, status=200)


def _read(options: ProjectOptions, query: Callable[[sa.Connection], list[Document]]) -> list[Document]:
    from compozy.cli.context import open_settings
    from compozy.storage import open_reading

    database = open_reading(open_settings(options))
    if database is None:
        return []
    try:
        with database.read() as connection:
            return query(connection)
    finally:
        database.close()


def _print(options: ProjectOptions, document: Document, text: str) -> None:
    if options.as_json:
        print_json(document)
    else:
        print_line(text)


def _print_key(options: ProjectOptions, made: Document) -> None:
    if options.as_json:
        print_json(made)
        return
    print_note(f"Created the key {made['name']!r} of {made['user']}. It is shown only once:")
    print_line(made["api_key"])
    if "replaces" in made:
        old = made["replaces"]
        print_note(f"The old key {old['prefix']} is valid until {old['revoked_at']}.")


def _print_use(options: ProjectOptions, project: LoadedProject) -> None:
    """Say where the key goes, and whether the server asks for it."""
    from compozy.config.loopback import is_loopback

    if options.quiet:
        return
    print_note("Commands read it from COMPOZY_API_KEY; other clients send `Authorization: Bearer KEY`.")
    server = project.server
    if is_loopback(server.host) and not server.auth.enabled and server.api_key is None:
        print_note(f"note: a server on {server.host} asks for a key only if server.auth.enabled is true")
