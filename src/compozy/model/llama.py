"""llama.cpp in this process: one engine per model file, one request at a time, silent, stoppable."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, cast

CONTEXT_TOKENS = 4096
"""The window that an engine keeps; prompt and answer share it."""
_MAX_THREADS = 8
_QUIET = -1

Write = Callable[[str], None]

_engines: dict[Path, LlamaEngine] = {}
_engines_lock = threading.Lock()


class LlamaError(Exception):
    """llama.cpp refused a request or a file. `context` holds (prompt tokens, window) when the prompt was too long."""

    def __init__(self, message: str, *, context: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.context = context


def shared_engine(path: Path) -> LlamaEngine:
    """Return the engine of this process for the model file `path`."""
    with _engines_lock:
        if path not in _engines:
            _engines[path] = LlamaEngine(path)
        return _engines[path]


class LlamaEngine:
    """One model file. It is loaded by the first request and kept.

    A thread of its own does the work, so requests take turns in the order in which they came, and neither the event
    loop nor other threads wait.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="llama")
        self._server: Any = None

    async def chat(self, body: Mapping[str, Any], write: Write | None = None) -> dict[str, Any]:
        """Return llama.cpp's chat completion for `body`, both in OpenAI's format.

        A caller that is cancelled stops the work: at once while it waits for its turn, at the next token otherwise.

        Args:
            body: the request.
            write: called on the event loop with each piece of text.

        Raises:
            LlamaError: the file cannot be loaded, or the request is refused.
        """
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def pass_on(piece: str) -> None:
            if write is not None and not stop.is_set():
                loop.call_soon_threadsafe(write, piece)

        try:
            return await loop.run_in_executor(self._worker, self._chat, dict(body), stop, pass_on)
        finally:
            stop.set()

    def _chat(self, body: dict[str, Any], stop: threading.Event, write: Write) -> dict[str, Any]:
        if stop.is_set():
            return {}
        if self._server is None:
            self._server = _load(self._path)
        collected = _Collected(stop, write)
        # Streaming is the one way in which llama.cpp looks up from its work and can be stopped.
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        try:
            self._server.handle_chat_completions(streamed, collected.take)
        except (RuntimeError, ValueError) as error:
            raise LlamaError(str(error)) from error
        return collected.completion()


class _Collected:
    """Puts the pieces of a streamed answer together."""

    def __init__(self, stop: threading.Event, write: Write) -> None:
        self._stop = stop
        self._write = write
        self._text: list[str] = []
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._error: dict[str, Any] | None = None

    def take(self, chunk: Any) -> bool:
        """Keep one piece; return whether llama.cpp should stop."""
        for piece in cast("list[Any]", chunk if isinstance(chunk, list) else [chunk]):
            self._keep(piece)
        return self._stop.is_set()

    def completion(self) -> dict[str, Any]:
        if self._error is not None:
            raise _refusal(self._error)
        return {"text": "".join(self._text), "finish_reason": self._finish_reason, "usage": self._usage}

    def _keep(self, piece: dict[str, Any]) -> None:
        self._error = piece.get("error", self._error)
        self._usage = piece.get("usage") or self._usage
        for choice in cast("list[dict[str, Any]]", piece.get("choices") or []):
            delta: dict[str, Any] = choice.get("delta") or {}
            if content := delta.get("content"):
                self._text.append(content)
                self._write(content)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason


def _refusal(error: Mapping[str, Any]) -> LlamaError:
    message = str(error.get("message") or error)
    if error.get("type") == "exceed_context_size_error":
        return LlamaError(message, context=(int(error["n_prompt_tokens"]), int(error["n_ctx"])))
    return LlamaError(message)


def _load(path: Path) -> Any:
    xllamacpp: Any = import_module("xllamacpp")  # a compiled module without types
    # The engine requires an address to listen on. A socket file in a private folder that is removed immediately cannot
    # be reached.
    folder = tempfile.mkdtemp(prefix="compozy-")
    try:
        return xllamacpp.Server(_parameters(xllamacpp, path, str(Path(folder) / "llama.sock")))
    except RuntimeError as error:
        raise LlamaError(f"llama.cpp cannot load {str(path)!r}; is the file whole?") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parameters(xllamacpp: Any, path: Path, address: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = [address]
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = _thread_count()
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.verbosity = _QUIET
    return parameters


def _thread_count() -> int:
    # llama.cpp's threads spin while they wait for each other. If other programs need the processors too, as many
    # threads as processors are a hundred times slower than one (98 s instead of 1 s, seen on two busy cores). A
    # container may use fewer processors than the machine has; macOS does not report how many.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MAX_THREADS, usable // 2))
