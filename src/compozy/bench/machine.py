"""Describes the machine that figures were measured on."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

from compozy.bench.result import Machine

_CPUINFO = Path("/proc/cpuinfo")


def describe_machine() -> Machine:
    """Return the machine as the operating system describes it."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        processors=os.cpu_count() or 1,
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2,
        load_average=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
    )


def _processor() -> str:
    with suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
