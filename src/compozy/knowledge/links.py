"""Links to folders: which of them an ingestion follows, so that it ends and reads each folder once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compozy.knowledge.paths import Reach


@dataclass(kw_only=True)
class FolderLinks:
    """The links to folders below one folder.

    Attributes:
        reach: where documents may be.
        top: the folder that is searched, links followed.
        is_whole: everything below `top` is read, except for folders that `skips` names.
        skips: whether a folder of this name is not read.
        report: called with a link that is not followed and the reason.
    """

    reach: Reach
    top: Path
    is_whole: bool
    skips: Callable[[str], bool]
    report: Callable[[Path, str], None]
    _followed: set[Path] = field(default_factory=set[Path])

    def follows(self, link: Path) -> bool:
        """Return whether to read the folder that `link` leads to; if not, report why."""
        reason = self._reason(link)
        if reason:
            self.report(link, reason)
        return not reason

    def _reason(self, link: Path) -> str:
        target = self.reach.resolve(link)
        if target is None:
            return "the link leads to itself"
        if not self.reach.holds(target):
            return "the link leads out of the project's folder"
        if self.top.is_relative_to(target) or Path(os.path.realpath(link.parent)).is_relative_to(target):
            return "the link leads to a folder that contains it"
        if target in self._followed or self._is_read_anyway(target):
            return "the folder that the link leads to is read already"
        self._followed.add(target)
        return ""

    def _is_read_anyway(self, target: Path) -> bool:
        if not self.is_whole or not target.is_relative_to(self.top):
            return False
        return not any(self.skips(part) for part in target.relative_to(self.top).parts)
