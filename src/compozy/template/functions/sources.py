"""Where the functions get time, chance and ids from. Tests and replays put their own in the place of `SOURCES`."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sources:
    """The clock in nanoseconds since 1970, random numbers, and new ids."""

    now_ns: Callable[[], int] = time.time_ns
    chance: random.Random = field(default_factory=random.SystemRandom)
    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4


SOURCES = Sources()
