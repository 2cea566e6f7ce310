"""Reads documents, which may be hostile, in a separate process that can be killed."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import suppress
from typing import Any

from compozy.errors import CompozyError, DocumentError
from compozy.knowledge.read.document import DocumentText
from compozy.knowledge.read.kinds import BINARY, read_document

TIMEOUT_S = 60.0
_MAX_MEMORY = 2 * 1024 * 1024 * 1024


async def read_in_sandbox(name: str, data: bytes, suffix: str) -> DocumentText:
    """Return the text of a document, see `read_document`.

    Raises:
        DocumentError: it cannot be read, or not within `TIMEOUT_S` and two GiB.
    """
    # A one-file program has no interpreter next to it that could be started.
    if suffix not in BINARY or getattr(sys, "frozen", False):
        try:
            return await asyncio.wait_for(asyncio.to_thread(read_document, name, data, suffix=suffix), TIMEOUT_S)
        except TimeoutError as error:
            raise _too_long() from error
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compozy.knowledge.read.sandbox", suffix),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(data), TIMEOUT_S)
    except TimeoutError as error:
        raise _too_long() from error
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    return _read_answer(out)


def _read_answer(out: bytes) -> DocumentText:
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError as error:
        raise DocumentError("the reader crashed or ran out of memory; the file may be corrupt") from error
    if "error" in answer:
        details = answer["error"]["details"]
        raise DocumentError(answer["error"]["message"], hint=details.get("hint", ""))
    return DocumentText(**answer["document"])


def _too_long() -> DocumentError:
    return DocumentError(f"reading it takes longer than {TIMEOUT_S:g} s")


def main() -> None:
    """Read the document on stdin, of the kind that the first argument names; write what was read as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(TIMEOUT_S), int(TIMEOUT_S)))
    try:
        document = read_document("", sys.stdin.buffer.read(), suffix=sys.argv[1])
        answer: dict[str, Any] = {"document": vars(document)}
    except CompozyError as error:
        answer = {"error": error.to_json()}
    except MemoryError:
        answer = {"error": DocumentError("reading it takes more than 2 GiB of memory").to_json()}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
