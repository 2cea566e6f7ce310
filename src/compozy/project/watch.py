"""The files of a project and when they changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

Stamps = dict[str, tuple[int, int]]
"""Path -> time of the last change in ns, and size."""

MAX_FILES = 10_000
"""Files that are looked at; further ones are not watched."""
_SUFFIXES = (".yaml", ".yml", ".json")
_ENV_FILE = ".env"
_SKIPPED = frozenset({"node_modules", "__pycache__"})


def read_stamps(root: Path) -> Stamps:
    """Return the stamps of the YAML and JSON files below a folder and of its `.env`, without hidden folders."""
    stamps: Stamps = {}
    for path in _files(root):
        if len(stamps) == MAX_FILES:
            break
        try:
            found = os.stat(path)  # noqa: PTH116 - ten times as fast as a Path
        except OSError:
            # Deleted meanwhile, or a link to nothing.
            continue
        stamps[path] = (found.st_mtime_ns, found.st_size)
    return stamps


def _files(root: Path) -> Iterator[str]:
    yield str(root / _ENV_FILE)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if name.endswith(_SUFFIXES):
                yield os.path.join(folder, name)  # noqa: PTH118 - see above
