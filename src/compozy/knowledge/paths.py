"""The one place that decides which files may be read: those of the project's folder, and of the folders it allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compozy.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The folders that documents may lie in, as they are after every link; the first one is the project's."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, root: Path, allowed: Sequence[str]) -> Reach:
        """Return the reach of the project at `root`; relative folders count from it."""
        return cls(folders=(root.resolve(), *((root / Path(folder).expanduser()).resolve() for folder in allowed)))

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.folders[0]

    def confine(self, path: str, *, base: Path) -> Path:
        """Return the place that `path` leads to, links followed.

        Args:
            path: as it was given; relative ones count from `base`.
            base: a folder, absolute.

        Raises:
            UsageError: it leads out of the project and the folders that it allows, or is no path.
        """
        if not path or "\0" in path:
            raise UsageError(f"{path!r} is not a path")
        place = self.resolve(base / path)
        if place is None:
            raise UsageError(f"the path {path!r} leads to itself by a link")
        if not self.holds(place):
            raise UsageError(
                f"{path!r} is outside of the project's folder",
                hint="copy it into the project, or name its folder in `knowledge.access.folders`",
            )
        return place

    def resolve(self, place: Path) -> Path | None:
        """Return `place` with all links followed; None for a link that leads to itself."""
        try:
            return place.resolve()
        except (OSError, RuntimeError):
            return None

    def holds(self, place: Path) -> bool:
        """Return whether `place`, all links followed, lies in one of the folders."""
        return any(place.is_relative_to(folder) for folder in self.folders)

    def name(self, place: Path) -> str:
        """Return how a document at `place` is called: its path from the project's folder, else in full."""
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else place.as_posix()


def is_text(name: str) -> bool:
    """Return whether the name of a file is text; Python writes the bytes of other names as halves of characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def show_path(path: str) -> str:
    r"""Return a path as text: each byte that is not UTF-8 as `\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")
