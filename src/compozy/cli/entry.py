"""Where the program begins: nothing is loaded yet, so that Ctrl-C at any moment ends it without a traceback."""

from __future__ import annotations

import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Load the command line, run one command, and exit with its status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # While modules are half loaded an exception could come out as anything; there is nothing to put in order yet.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from compozy.cli.main import main as run

    try:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)
    finally:
        if before is signal.default_int_handler:
            # Python's own end can be interrupted too.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
