"""Commands of `compozy knowledge`, applied by a server or in this process with the same documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class IngestWords:
    """The words of `compozy knowledge ingest` and `retry`; `path` is as it was written.

    `failed_only` is `retry`: nothing is looked at but what failed before. `repair` is `check --repair`.
    """

    path: str | None = None
    kb: str | None
    reindex: bool = False
    retry: bool = False
    failed_only: bool = False
    repair: bool = False
    quiet: bool
    as_json: bool


class KnowledgeVerbs(Protocol):
    """Does what the commands say, and returns the documents that they print."""

    def ingest(self, words: IngestWords) -> Document:
        """Take documents in, and return the run once it has ended."""
        ...

    def query(self, kb: str | None, text: str, given: dict[str, Any]) -> Document:
        """Return passages."""
        ...

    def list(self) -> Document:
        """Return the knowledge bases."""
        ...

    def get(self, kb: str) -> Document:
        """Return one of them."""
        ...

    def status(self, kb: str | None, *, failed: bool, limit: int) -> Document:
        """Return its documents."""
        ...

    def check(self, kb: str | None) -> Document:
        """Compare database and store, of one knowledge base or all."""
        ...

    def delete(self, kb: str, document: str | None) -> Document:
        """Delete what it holds."""
        ...
