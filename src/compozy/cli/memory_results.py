"""Output of `compozy memory`: the documents of `memory/verbs.py`, from here or from a server."""

from __future__ import annotations

import sys

from compozy.cli.memory_verbs import Memories
from compozy.cli.output import escape_controls, json_text, print_json, print_line, print_note, print_table
from compozy.client import Document
from compozy.errors import NotFoundError, UsageError
from compozy.plural import plural

_PAGE = 1000
_MAX_BYTES = 1_000_000
_OF_PAGE = ("messages", "next_before")


def read_text(text: str) -> str:
    """Return the text of a message, from stdin for `-`.

    Raises:
        UsageError: it is empty, too large or not UTF-8.
    """
    if text == "-":
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError("the message from stdin is larger than 1 MB")
        try:
            text = data.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise UsageError("the message from stdin is not UTF-8 text") from error
    if not text.strip():
        raise UsageError("the message is empty")
    return text


def print_conversations(document: Document, *, as_json: bool) -> None:
    """Print a list of conversations."""
    if as_json:
        print_json(document)
        return
    conversations: list[Document] = document["conversations"]
    if not conversations:
        print_note("No conversations are stored.")
        return
    print_table(("MEMORY", "KEY", "MESSAGES", "TOKENS", "UPDATED", "EXPIRES"), map(_row, conversations))
    if document["next_cursor"] is not None:
        print_note(f"note: more conversations follow; add `--cursor {document['next_cursor']}`")


def print_conversation(document: Document, *, as_json: bool) -> None:
    """Print messages of a conversation, oldest first."""
    if as_json:
        print_json(document)
        return
    count, tokens = plural(document["message_count"], "message"), plural(document["token_count"], "token")
    print_line(f"Conversation {document['key']!r} of memory {document['memory_id']!r}: {count}, {tokens}")
    for title, name in (("Summary", "summary"), ("Working memory", "working_memory")):
        if document[name] is not None:
            print_line(_indented(f"{title}: {document[name]}"))
    for message in document["messages"]:
        print_line(_indented(f"{message['seq']} {message['role']}: {message['content']}"))
    if document["next_before"] is not None:
        print_note(f"note: earlier messages exist; add `--before {document['next_before']}`, or a larger `--limit`")


def print_appended(document: Document, memory_id: str, *, as_json: bool) -> None:
    """Print that a message was added."""
    if as_json:
        print_json(document)
        return
    if not document["appended"]:
        print_note(f"note: memory {memory_id!r} does not store messages of this role; nothing was added")
    print_line(
        f"Conversation {document['key']!r} of memory {memory_id!r} has {plural(document['total_count'], 'message')}"
    )


def print_cleared(document: Document, memory_id: str, *, as_json: bool) -> None:
    """Print how many messages were deleted."""
    if as_json:
        print_json(document)
        return
    removed = plural(document["messages_cleared"], "message")
    print_line(f"Deleted {removed} of conversation {document['key']!r} of memory {memory_id!r}")


def print_export(memories: Memories, memory_id: str | None, key: str | None, *, quiet: bool) -> None:
    """Print conversations with all messages, each as one line of JSON.

    Raises:
        UsageError: a key is given without its memory.
        NotFoundError: the memory or the conversation does not exist.
    """
    if key is not None:
        if memory_id is None:
            raise UsageError("--key needs a memory", hint="write `compozy memory export MEMORY --key KEY`")
        print_line(json_text(_whole(memories, memory_id, key)))
        return
    count, cursor = 0, None
    while True:
        page = memories.list(memory_id, limit=_PAGE, cursor=cursor)
        for listed in page["conversations"]:
            try:
                conversation = _whole(memories, listed["memory_id"], listed["key"])
            except NotFoundError:
                # Deleted or expired since it was listed.
                continue
            print_line(json_text(conversation))
            count += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if not quiet:
        print_note(f"Exported {plural(count, 'conversation')}")


def _whole(memories: Memories, memory_id: str, key: str) -> Document:
    """Return a conversation with all messages, read page by page from the latest one."""
    page = first = memories.read(memory_id, key, limit=_PAGE, before=None)
    pages: list[list[Document]] = [page["messages"]]
    while page["next_before"] is not None:
        page = memories.read(memory_id, key, limit=_PAGE, before=page["next_before"])
        pages.append(page["messages"])
    messages = [message for part in reversed(pages) for message in part]
    return {**{name: value for name, value in first.items() if name not in _OF_PAGE}, "messages": messages}


def _row(conversation: Document) -> tuple[str, ...]:
    return (
        conversation["memory_id"],
        conversation["key"],
        str(conversation["message_count"]),
        str(conversation["token_count"]),
        conversation["updated_at"],
        conversation["expires_at"] or "-",
    )


def _indented(text: str) -> str:
    """Return a text whose further lines are indented, so that none is taken for another message."""
    return escape_controls(text.replace("\r\n", "\n")).replace("\n", "\n    ")
