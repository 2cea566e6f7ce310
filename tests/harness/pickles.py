"""Manipulated rows that execute code when they are unpickled."""

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
    """Return a journal value, pickled as DBOS does it, that creates the file `path` when it is unpickled."""
    text = base64.b64encode(pickle.dumps(_Payload(path))).decode()
    pickle.loads(base64.b64decode(text))
    path.unlink()
    return text
