"""How this copy of Compozy was installed, and the command that adds a package to it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

# The address in docs/lib/repository.mjs; a test compares the two.
REPOSITORY_URL = "https://github.com/compozy/compozy"
DOCUMENTATION_URL = f"{REPOSITORY_URL}/tree/main/docs/content/docs"
_END_S = 30.0
_BLOCK = 4096


def own_command() -> list[str]:
    """Return the command that starts this same program again."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "compozy"]


def end_command(process: subprocess.Popen[bytes]) -> None:
    """End a process of `own_command` whose stdin is a pipe, at the latest after 30 s."""
    from subprocess import TimeoutExpired

    process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except TimeoutExpired:
        process.kill()
        process.wait()


def end_with_stdin() -> None:
    """Send SIGTERM to this process when its stdin ends; it also ends when the process at its other end is killed."""
    threading.Thread(target=_read_stdin, name="compozy-stdin", daemon=True).start()


def _read_stdin() -> None:
    # None: the process has no stdin, and file 0 may be anything.
    while sys.stdin is not None and os.read(0, _BLOCK):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def extra_hint(extra: str) -> str:
    """Return a hint that installs a Compozy extra, such as `knowledge`, into the running environment."""
    return _hint(shlex.quote(f"compozy[{extra}]"), otherwise=f"`pip install 'compozy[{extra}]'`")


def package_hint(requirement: str) -> str:
    """Return a hint that installs one package without its dependencies."""
    return _hint(f"--no-deps {shlex.quote(requirement)}", otherwise="pip")


def _hint(arguments: str, *, otherwise: str) -> str:
    installer = _installer()
    if installer is None:
        return f"the one-file program cannot be extended; install Compozy with {otherwise} instead"
    return f"run `{installer} {arguments}`"


def _installer() -> str | None:
    """Return the command that installs packages into this environment; None in the one-file program.

    The installed copy of Compozy satisfies a requirement on Compozy itself, so these commands only add packages,
    even in a checkout.
    """
    if getattr(sys, "frozen", False):
        return None
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return "pipx runpip compozy install"
    python = shlex.quote(sys.executable)
    if (prefix / "uv-receipt.toml").exists() or find_spec("pip") is None:
        return f"uv pip install --python {python}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == prefix / "bin":
        return "pip install"
    return f"{python} -m pip install"
