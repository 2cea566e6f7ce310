"""The result of a verification as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compozy import __version__
from compozy.verify.invariants import Invariant


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The figures of a verification, and its invariants. `kept` is the scratch database if it still exists."""

    driver: str
    location: str
    seconds: float
    processes: int
    kills: int
    runs: int
    requests: int
    repeated_requests: int
    invariants: Sequence[Invariant]
    kept: str | None

    @property
    def violations(self) -> int:
        """The number of violations of all invariants."""
        return sum(len(invariant.violations) for invariant in self.invariants)

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "compozy_version": __version__,
            "driver": self.driver,
            "location": self.location,
            "seconds": round(self.seconds, 1),
            "processes": self.processes,
            "kills": self.kills,
            "runs": self.runs,
            "requests": self.requests,
            "repeated_requests": self.repeated_requests,
            "invariants": [
                {"name": each.name, "checked": each.checked, "violations": each.violations} for each in self.invariants
            ],
            "ok": self.violations == 0,
            "kept": self.kept,
        }
