"""Rows that somebody else wrote, to have code run where they are read."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any


class _Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def pickled(path: Path) -> str:
    """Return a value of the journal that creates the file `path` when it is unpickled, as DBOS writes pickles."""
    text = base64.b64encode(pickle.dumps(_Payload(path))).decode()
    pickle.loads(base64.b64decode(text))
    path.unlink()
    return text
