"""`compozy memory ...`: read and change the conversations that agents remember."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from compozy.cli.options import ProjectOptions, number, on_project

if TYPE_CHECKING:
    from compozy.cli.memory_verbs import Memories

memory_app = typer.Typer(help="Read and change conversations of memories.", no_args_is_help=True)

MemoryArgument = Annotated[str, typer.Argument(metavar="MEMORY", help="Memory ID.")]
AnyMemoryArgument = Annotated[
    str | None, typer.Argument(metavar="MEMORY", help="Memory ID. Default: all.", show_default=False)
]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Key of the conversation.")]


class MessageRole(StrEnum):
    """Values of `--role`."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


@memory_app.command("list")
@on_project(server=True, output=True)
def list_command(
    options: ProjectOptions,
    memory_id: AnyMemoryArgument = None,
    limit: Annotated[int, number(1, 1000, "--limit", help="Number of conversations.")] = 100,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", metavar="TEXT", help="`next_cursor` of the previous page.", show_default=False),
    ] = None,
) -> None:
    """List conversations by memory and key."""
    from compozy.cli.memory_results import print_conversations

    document = _memories(options).list(memory_id, limit=limit, cursor=cursor)
    print_conversations(document, as_json=options.as_json)


@memory_app.command("show")
@on_project(server=True, output=True)
def show_command(
    options: ProjectOptions,
    memory_id: MemoryArgument,
    key: KeyArgument,
    limit: Annotated[int, number(1, 1000, "--limit", "--last", help="Number of latest messages.")] = 20,
    before: Annotated[
        int | None,
        typer.Option("--before", min=1, metavar="N", help="Only messages before this number.", show_default=False),
    ] = None,
) -> None:
    """Show the messages of a conversation."""
    from compozy.cli.memory_results import print_conversation

    document = _memories(options).read(memory_id, key, limit=limit, before=before)
    print_conversation(document, as_json=options.as_json)


@memory_app.command("append")
@on_project(server=True, output=True)
def append_command(
    options: ProjectOptions,
    memory_id: MemoryArgument,
    key: KeyArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Text of the message; - reads it from stdin.")],
    role: Annotated[MessageRole, typer.Option("--role", help="Role of the message.")] = MessageRole.USER,
) -> None:
    """Add a message to a conversation."""
    from compozy.cli.memory_results import print_appended, read_text

    message = {"role": role.value, "content": read_text(text)}
    document = _memories(options).append(memory_id, key, message)
    print_appended(document, memory_id, as_json=options.as_json)


@memory_app.command("clear")
@on_project(server=True, output=True)
def clear_command(
    options: ProjectOptions,
    memory_id: MemoryArgument,
    key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete everything that a conversation holds."""
    from compozy.cli.memory_results import print_cleared
    from compozy.cli.output import ask_first

    memories = _memories(options)
    if not yes:
        ask_first(f"Delete all messages of conversation {key!r} of memory {memory_id!r}?")
    print_cleared(memories.clear(memory_id, key), memory_id, as_json=options.as_json)


@memory_app.command("export")
@on_project(server=True)
def export_command(
    options: ProjectOptions,
    memory_id: AnyMemoryArgument = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Only this conversation.", show_default=False)
    ] = None,
) -> None:
    """Print conversations as JSON, each on one line."""
    from compozy.cli.memory_results import print_export

    print_export(_memories(options), memory_id, key, quiet=options.quiet)


def _memories(options: ProjectOptions) -> Memories:
    """Return the conversations of the project's server if it runs, else those of its database."""
    from compozy.cli.find import look, search_for

    if (found := look(search_for(options))) is not None:
        from compozy.cli.memory_verbs import RemoteMemories

        return RemoteMemories(found.client)
    from compozy.cli.context import open_tolerant
    from compozy.cli.memory_here import MemoriesHere

    return MemoriesHere(open_tolerant(options))
