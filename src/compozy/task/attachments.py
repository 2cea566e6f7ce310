"""Attachments of a task: rendered, read and recorded before the first request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from compozy.boundary import is_within_boundary
from compozy.config.nodes import YamlPath
from compozy.database.attachments import load_attachment, store_attachments
from compozy.durable.step import step
from compozy.errors import AttachmentError, InternalError, UsageError
from compozy.schema.worker import compute
from compozy.task.template_context import render_text, render_value
from compozy.task.tree import TaskCall

if TYPE_CHECKING:
    from pydantic import JsonValue

    from compozy.agent.attachment.config import AttachmentConfig
    from compozy.agent.attachment.content import Attached
    from compozy.agent.attachment.read import Source
    from compozy.tool.kind import ToolHome

Written = tuple[YamlPath, "Sequence[AttachmentConfig] | None"]
"""A list of attachments with its path from the task."""


async def attach(call: TaskCall, written: Sequence[Written]) -> Attached | None:
    """Return the attachments of a task, None if it has none.

    Their bytes are rows of the run: a run that continues after a crash sends the same content, whatever became of the
    files. The step `<path>.attachments` records names, sizes and hashes.

    Raises:
        TemplateError: a template cannot be rendered.
        AttachmentError: a file or URL cannot be read.
    """
    from compozy.agent.attachment.content import Attached
    from compozy.agent.attachment.read import Attachment, AttachmentReader

    sources = await compute(lambda: [source for each in written for source in _sources(call, *each)])
    if not sources:
        return None
    database, run_id, name = call.run.database, call.run.execution_id, f"{call.path}.attachments"
    contents: dict[str, bytes] = {}
    absent: set[str] = set()

    async def read() -> JsonValue:
        found = await AttachmentReader(_home_of(call)).read(sources, path=call.path, step=name)
        contents.update({attachment.sha256: data for attachment, data in found if data is not None})
        absent.update(attachment.sha256 for attachment, _ in found if attachment.sha256 not in contents)

        def store() -> None:
            # Before the step is recorded, so that a recorded step always finds its bytes.
            with database.write() as connection:
                store_attachments(connection, run_id, contents)

        await asyncio.to_thread(store)
        return [asdict(attachment) for attachment, _ in found]  # pyrefly: ignore[bad-return]

    async def load(sha256: str) -> bytes:
        if sha256 in absent:
            raise AttachmentError(
                f"task {call.id!r}: the recording has no content of an attachment, only its hash",
                hint="record the test again, in the mode `record`",
            )
        if sha256 not in contents:
            contents[sha256] = await database.read_async(lambda reading: load_attachment(reading, run_id, sha256))
        return contents[sha256]

    recorded = cast("list[dict[str, Any]]", await step(name, read))
    items = [Attachment(**fields) for fields in recorded]
    call.shown["attachments"] = [
        {key: fields[key] for key in ("name", "media_type", "size", "sha256", "source")} for fields in recorded
    ]
    return Attached(items, load)


async def load_file(call: TaskCall, sha256: str) -> bytes:
    """Return a file that the run has stored.

    Raises:
        AttachmentError: a test replays a call of which only the hash of the file is recorded.
    """
    try:
        return await call.run.database.read_async(
            lambda reading: load_attachment(reading, call.run.execution_id, sha256)
        )
    except InternalError as error:
        if not is_within_boundary():
            raise
        raise AttachmentError(
            f"task {call.id!r}: the recording has no content of a file in the result of a tool, only its hash",
            hint="record the test again, in the mode `record`",
        ) from error


def _home_of(call: TaskCall) -> ToolHome:
    if call.run.tools is None:
        raise AttachmentError(
            "this process reads no attachments", hint="execute the run with the project's own server or command"
        )
    return call.run.tools


def _sources(call: TaskCall, path: YamlPath, configs: Sequence[AttachmentConfig] | None) -> Iterator[Source]:
    from compozy.agent.attachment.read import Source

    for index, config in enumerate(configs or ()):
        key = config.sources[0]
        rendered: Any = render_value(getattr(config, key), call.at(*path, index, key), call.context)
        is_list = isinstance(rendered, (list, tuple))
        if key in {"path", "url"} and is_list:
            raise UsageError(f"task {call.id!r}: `{key}` of an attachment is a list", hint=f"write `{key}s`")
        values: list[Any] = list(cast("Iterable[Any]", rendered)) if is_list else [rendered]
        name = None if config.name is None else render_text(config.name, call.at(*path, index, "name"), call.context)
        for value in values:
            if not isinstance(value, str) or not value:
                raise UsageError(f"task {call.id!r}: `{key}` of an attachment gives {value!r}, not a text")
            yield Source(config=config, value=value, is_url=key.startswith("url"), name=name)
