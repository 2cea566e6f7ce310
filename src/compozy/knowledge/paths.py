"""The one place that decides which files may be read: those of the project's folder, and of the folders it allows."""

from __future__ import annotations

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
            raise UsageError(f"{path!r} is no path")
        try:
            place = (base / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"the path {path!r} cannot be followed: {error}") from error
        if not self.holds(place):
            raise UsageError(
                f"{path!r} is outside of the project's folder",
                hint="copy it into the project, or name its folder in `knowledge.access.folders`",
            )
        return place

    def holds(self, place: Path) -> bool:
        """Return whether `place`, all links followed, lies in one of the folders."""
        return any(place.is_relative_to(folder) for folder in self.folders)

    def name(self, place: Path) -> str:
        """Return how a document at `place` is called: its path from the project's folder, else in full."""
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else place.as_posix()
