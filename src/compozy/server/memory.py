"""Memory that a server has used goes back to the system."""

from __future__ import annotations

import ctypes

# As in malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_TRIM_BYTES = 128 * 1024


def return_freed_memory() -> bool:
    """Make the C library return large blocks to the system as soon as they are free; return whether it can.

    After the first large blocks, glibc keeps those that follow for reuse: 30 answers of 12 MB to clients that read
    slowly left a server with 0.5 GB that it never used again. A fixed threshold turns that off.
    """
    try:
        return ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES) == 1
    except (AttributeError, OSError, TypeError):
        # Other C libraries, such as musl's, have no such setting.
        return False
