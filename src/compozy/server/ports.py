"""The port that a server listens on, and the process that already uses it."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from pathlib import Path

from compozy.errors import UsageError

BACKLOG = 2048
_LISTEN = "0A"
_PROC = Path("/proc")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections on the first address of `host`.

    From here on clients wait to be answered, instead of being refused while the server still opens its database.

    Raises:
        UsageError: the port is taken, may not be used, or the host is none of this machine.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host!r}: no such host", hint="choose another --host") from error
    # Named, because asyncio switches Nagle's algorithm off only where the socket says that it is of TCP.
    sock = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Lest a port rests for a minute after a server has ended.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, host, port) from error
    return sock


def _explain(error: OSError, host: str, port: int) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        holder = find_holder(port)
        by = f" by {holder}" if holder else ""
        return UsageError(f"port {port} is in use{by}", hint="choose another port with --port, or end that process")
    if error.errno == errno.EACCES:
        return UsageError(f"this user may not use port {port}", hint="choose one above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"{host!r} is not an address of this machine", hint="choose another --host")
    return UsageError(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --host or --port")


def find_holder(port: int, proc: Path = _PROC) -> str | None:
    """Return the process on a port, `process 123 (python server.py)`; None if the system does not report it."""
    wanted = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(proc / "net" / name, port)}
    if not wanted:
        return None
    for folder in proc.iterdir():
        if folder.name.isdigit() and _holds(folder / "fd", wanted):
            return f"process {folder.name} ({_command(folder)})"
    return None


def _listening(table: Path, port: int) -> list[str]:
    found: list[str] = []
    with suppress(OSError):
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            # sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found


def _holds(folder: Path, wanted: set[str]) -> bool:
    try:
        files = list(folder.iterdir())
    except OSError:
        # Another user's, or gone by now.
        return False
    for file in files:
        with suppress(OSError):
            if str(file.readlink()) in wanted:
                return True
    return False


def _command(folder: Path) -> str:
    try:
        words = folder.joinpath("cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return "unknown"
    return " ".join(words)[:80]
