"""Where the program begins: nothing is loaded yet, so that Ctrl-C at any moment ends it without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_INTERRUPTED = 130
_AGAIN_S = 0.05


def main() -> None:
    """Load the command line, run one command, and exit with its status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # While modules are half loaded an exception could come out as anything; there is nothing to put in order yet.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from compozy.cli.main import main as run

    try:
        if before is signal.default_int_handler:
            repeat_lost_interrupts()
            signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)
    finally:
        if before is signal.default_int_handler:
            # Python's own end can be interrupted too.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def repeat_lost_interrupts() -> None:
    """Send Ctrl-C again if Python loses it: what callbacks raise, such as those of imports, is only printed."""
    import threading

    def hook(unraisable: UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(unraisable)
            return
        # Later, because now it would be lost again.
        timer = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
