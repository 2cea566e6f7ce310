"""Descriptors and settings that a server process inherits from the process that started it."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass

from compozy.errors import UsageError
from compozy.log import share_log
from compozy.server.supervisor import Parent

VARIABLE = "COMPOZY_INHERITED"


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """Descriptors and settings of one process.

    Attributes:
        socket: descriptor of the listening socket.
        reports: descriptor of the pipe for reports to the parent.
        log: descriptor of the file that is locked while a record is written to the log.
        alive_s: time between two reports that the process is alive.
        ingests: whether it ingests knowledge bases with `ingest: on_start`.
        metrics: folder through which the processes share their metrics; None if there are none.
        began_s: when the server started, on the clock of `monotonic_s`, which all processes of a machine share.
    """

    socket: int
    reports: int
    log: int
    alive_s: float
    ingests: bool
    metrics: str | None
    began_s: float

    @property
    def files(self) -> tuple[int, ...]:
        """The descriptors."""
        return self.socket, self.reports, self.log

    @property
    def parent(self) -> Parent:
        """The process that gets the reports."""
        return Parent(self.reports, self.alive_s)

    def to_environ(self) -> dict[str, str]:
        """Return the variable that passes this on."""
        return {VARIABLE: json.dumps(asdict(self))}


def take_inherited(environ: MutableMapping[str, str]) -> Inherited | None:
    """Return what this process inherited, and keep it from its own children; None if it inherited nothing.

    Raises:
        UsageError: the variable was set by something else.
    """
    text = environ.pop(VARIABLE, None)
    if text is None:
        return None
    try:
        inherited = Inherited(**json.loads(text))
        for file in inherited.files:
            os.set_inheritable(file, False)
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(f"{VARIABLE} is for processes of `compozy start --processes`", hint="unset it") from error
    share_log(inherited.log)
    return inherited
