"""`compozy knowledge` through a server: the same words, nothing loaded but this."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from compozy.cli.find import Found, current_folder, has_project
from compozy.cli.knowledge_results import IngestionBar, print_canceling, print_start
from compozy.cli.knowledge_verbs import Document, IngestWords
from compozy.database.status import Status
from compozy.errors import ConflictError, UsageError
from compozy.project.sources import find_config_file

_LOOK_S = 0.2
_PATH = "knowledge-bases"
_CANCELED = "canceled with Ctrl-C"


class RemoteKnowledge:
    """The verbs, asked of a server."""

    def __init__(self, found: Found, config: Path | None) -> None:
        self._client = found.client
        self._config = config

    def ingest(self, words: IngestWords) -> Document:
        """Have the server take documents in, and wait for the end."""
        base = self._base(words.kb)
        if words.repair:
            run = self._client.post(_PATH, base["id"], "repair", body={})
        elif words.failed_only:
            run = self._client.post(_PATH, base["id"], "retry", body={})
        else:
            body: Document = {"path": self._path(words.path), "reindex": words.reindex, "retry": words.retry}
            run = self._client.post(_PATH, base["id"], "ingest", body=body)
        # Not before, for it may have been refused.
        print_start(words, base)
        execution_id = run["execution_id"]
        try:
            with IngestionBar(quiet=words.quiet) as bar:
                while not (Status(run["status"]).is_final or Status(run["status"]) is Status.PAUSED):
                    bar.show(run["progress"])
                    time.sleep(_LOOK_S)
                    run = self._client.get(_PATH, base["id"], "ingestions", execution_id)
        except KeyboardInterrupt:
            # The connection may have been cut in the middle of an answer.
            self._client.close()
            print_canceling(words)
            with suppress(ConflictError):
                self._client.post("executions", "workflows", execution_id, "cancel", body={"reason": _CANCELED})
            raise
        return self._client.get("executions", "workflows", execution_id)

    def query(self, kb: str | None, text: str, given: dict[str, Any]) -> Document:
        """Return passages."""
        return self._client.post(_PATH, self._base(kb)["id"], "query", body={"query": text, **given})

    def list(self) -> Document:
        """Return the knowledge bases."""
        return self._client.get(_PATH)

    def get(self, kb: str) -> Document:
        """Return one of them."""
        return self._client.get(_PATH, kb)

    def status(self, kb: str | None, *, failed: bool, limit: int) -> Document:
        """Return its documents."""
        wanted = {"status": "FAILED"} if failed else {}
        return self._client.get(_PATH, self._base(kb)["id"], "documents", limit=limit, **wanted)

    def check(self, kb: str | None) -> Document:
        """Compare database and store."""
        wanted = [kb] if kb is not None else [base["id"] for base in self.list()["knowledge_bases"]]
        return {"knowledge_bases": [self._client.get(_PATH, name, "check") for name in wanted]}

    def delete(self, kb: str, document: str | None) -> Document:
        """Delete what it holds."""
        wanted = {"document": document} if document else {}
        return self._client.delete(_PATH, kb, **wanted)

    def _base(self, kb: str | None) -> Document:
        if kb is not None:
            return self._client.get(_PATH, kb)
        bases: list[Document] = self._client.get(_PATH)["knowledge_bases"]
        if not bases:
            raise UsageError("the project has no knowledge base", hint="add a store to `knowledge.vector_dbs`")
        if len(bases) > 1:
            listed = ", ".join(base["id"] for base in bases)
            raise UsageError("the project has several knowledge bases", hint=f"add --kb: {listed}")
        return bases[0]

    def _path(self, path: str | None) -> str | None:
        """Return a path as it counts from the project's folder, where that is on this machine."""
        cwd = current_folder()
        if path is None or path.startswith(("http://", "https://")):
            return path
        if not has_project(self._config, cwd=cwd, environ=os.environ):
            return path
        root = find_config_file(self._config, cwd=cwd, environ=os.environ).parent.resolve()
        place = (cwd / path).resolve()
        return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
