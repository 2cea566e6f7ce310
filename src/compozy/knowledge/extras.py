"""Messages about packages that are not installed."""

from __future__ import annotations

from typing import TypeVar

from compozy.errors import CompozyError
from compozy.installation import extra_hint

E = TypeVar("E", bound=CompozyError)


def missing_package(kind: type[E], who: str, error: ImportError, *, extra: str) -> E:
    """Return the error that `who` cannot work without a package, with the command that installs it."""
    return kind(
        f"{who} needs a package that is not installed ({error.name})",
        hint=extra_hint(extra),
    )
