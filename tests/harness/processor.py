"""The processor time of processes, read from the system."""

from __future__ import annotations

import os
from pathlib import Path


def family_cpu_s(pid: int) -> float:
    """Return the processor time of a process with its children, those that have ended included."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    # Processes that have ended are in the times of their parent, fields 16 and 17.
    ticks = sum(_cpu_ticks(str(pid))) + sum(sum(_cpu_ticks(child)[:2]) for child in children)
    return ticks / os.sysconf("SC_CLK_TCK")


def _cpu_ticks(pid: str) -> list[int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0] * 4
    return [int(field) for field in fields[11:15]]
