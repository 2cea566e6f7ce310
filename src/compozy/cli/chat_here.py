"""`compozy chat` without a server: one process executes the runs of the chat, while another thread reads stdin."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from compozy.app import COMMAND, App, open_app
from compozy.cli.chat_loop import ChatRequest, Pump
from compozy.cli.output import print_note
from compozy.cli.remotetext import TextSink
from compozy.client import Document
from compozy.clock import monotonic_s
from compozy.database.database import Database
from compozy.database.live_text import (
    TextDelta,
    add_text_listener,
    remove_text_listener,
    unwatch_texts,
    watch_texts,
)
from compozy.database.status import Status
from compozy.database.trigger import Trigger, TriggerType
from compozy.errors import RunCanceledError
from compozy.project.definition import snapshot
from compozy.project.loaded import LoadedProject
from compozy.storage import close_storage, open_storage
from compozy.task.report import Silence
from compozy.workflow.chat import chat_document
from compozy.workflow.documents import read_run
from compozy.workflow.start import prepare_run, start_run

T = TypeVar("T")

_LOOK_S = 0.02


@contextmanager
def chatting_here(project: LoadedProject, request: ChatRequest) -> Generator[ChatHere, None, None]:
    """Execute the runs of a chat until the block ends.

    Raises:
        DatabaseError: the database cannot be used, or another process executes runs on it.
    """
    project.workflow(request.workflow_id)
    database = open_storage(
        project,
        wait_for_lock_s=request.wait_for_lock_s,
        on_wait=None if request.quiet else lambda who: print_note(f"waiting for {who} to end its runs"),
    )
    try:
        runs = ChatHere(project, database, request)
        runs.open()
        try:
            yield runs
        finally:
            runs.close()
    finally:
        close_storage(database)


class ChatHere:
    """Runs of a chat in this process."""

    def __init__(self, project: LoadedProject, database: Database, request: ChatRequest) -> None:
        self._project = project
        self._database = database
        self._workflow_id = request.workflow_id
        self._opened = threading.Event()
        self._error: BaseException | None = None
        self._app: App | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._execute, name="compozy-chat")

    @property
    def chat(self) -> Document | None:
        """Return how to talk to the workflow."""
        return chat_document(self._project.workflow(self._workflow_id).config)

    def open(self) -> None:
        """Start the thread that executes runs.

        Raises:
            DatabaseError: the database cannot be used.
        """
        self._thread.start()
        self._opened.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def close(self) -> None:
        """End the thread; a run that has not ended continues with the next process."""
        if self._loop is not None and self._closing is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def start(self, execution_id: str, given: Document, labels: Mapping[str, str]) -> None:
        """Start a run."""
        workflow = self._project.workflow(self._workflow_id).config
        new = prepare_run(
            workflow,
            snapshot(self._project, self._workflow_id),
            given,
            execution_id=execution_id,
            trigger=Trigger(type=TriggerType.CLI),
            labels=labels,
        )
        watch_texts([execution_id])
        self._call(start_run(self._running.runtime, workflow, new))

    def get(self, execution_id: str) -> Document:
        """Return a run with its tasks."""
        return self._call(self._database.read_async(lambda c: read_run(c, execution_id)))[1]

    def cancel(self, execution_id: str) -> None:
        """Cancel a run and wait for its end."""
        error = RunCanceledError("stopped with Ctrl-C").to_json()
        self._call(self._running.runtime.cancel(execution_id, Status.CANCELED, error))

    @contextmanager
    def watching(self, execution_id: str, sink: TextSink) -> Generator[Pump, None, None]:
        """Pass the text of a run to `sink` until the block ends; `start` has asked for it."""
        pieces: SimpleQueue[TextDelta] = SimpleQueue()

        def keep(delta: TextDelta) -> None:
            if delta.execution_id == execution_id:
                pieces.put(delta)

        def pump(seconds: float) -> None:
            ends_s = monotonic_s() + seconds
            while True:
                _drain(pieces, sink)
                if monotonic_s() >= ends_s:
                    return
                time.sleep(_LOOK_S)

        add_text_listener(keep)
        try:
            yield pump
        finally:
            remove_text_listener(keep)
            unwatch_texts([execution_id])

    @property
    def _running(self) -> App:
        if self._app is None:
            raise RuntimeError("the chat is not open")
        return self._app

    def _call(self, call: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            raise RuntimeError("the chat is not open")
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    def _execute(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
            self._opened.set()

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with open_app(self._project, self._database, role=COMMAND, report=Silence()) as app:
            self._app = app
            self._opened.set()
            await self._closing.wait()


def _drain(pieces: SimpleQueue[TextDelta], sink: TextSink) -> None:
    while True:
        try:
            sink.add(pieces.get_nowait())
        except Empty:
            return
