"""`compozy chat` through a server."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from compozy.cli.chat_loop import ChatRequest, Pump
from compozy.cli.remotetext import RemoteText, TextSink
from compozy.client import Client, Document

_PATH = ("executions", "workflows")


class ChatThere:
    """Runs of a chat on a server."""

    def __init__(self, client: Client, request: ChatRequest) -> None:
        self._client = client
        self._workflow_id = request.workflow_id
        self.chat: Document | None = client.get("workflows", request.workflow_id).get("chat")

    def start(self, execution_id: str, given: Document, labels: Mapping[str, str]) -> None:
        """Start a run; the server keeps its text until it is read."""
        body = {"input": given, "execution_id": execution_id, "labels": labels}
        self._client.post("workflows", self._workflow_id, "executions", body=body, follow="true")

    def get(self, execution_id: str) -> Document:
        """Return a run with its tasks."""
        return self._client.get(*_PATH, execution_id)

    def cancel(self, execution_id: str) -> None:
        """Cancel a run."""
        # The connection may have been cut in the middle of an answer.
        self._client.close()
        self._client.post(*_PATH, execution_id, "cancel", body={"reason": "stopped with Ctrl-C"})

    @contextmanager
    def watching(self, execution_id: str, sink: TextSink) -> Generator[Pump, None, None]:
        """Pass the text of a run to `sink` until the block ends."""
        text = RemoteText(self._client, execution_id, sink)

        def pump(seconds: float) -> None:
            if seconds:
                text.show_for(seconds)
            else:
                text.finish()

        with text.reading():
            yield pump
