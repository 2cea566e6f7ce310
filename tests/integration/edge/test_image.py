"""The image of edge-deployment, run without an engine: its files as root of a process, its volume, its environment.

`COMPOZY_IMAGE` names a folder with the files of the image. Its environment is in a file next to the folder:

    buildah bud --isolation chroot -t compozy-edge examples/database/edge-deployment
    container=$(buildah from compozy-edge) && export COMPOZY_IMAGE=$(buildah mount $container)
    buildah inspect --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' compozy-edge > $COMPOZY_IMAGE.env
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.harness.servers import ask, free_port

EXAMPLE = Path(__file__).parents[3] / "examples/database/edge-deployment"
IMAGE = os.environ.get("COMPOZY_IMAGE", "")
# Like `docker run --read-only --tmpfs /tmp -v FOLDER:/data`. Docker's own /tmp is mounted with noexec.
ENTER = """
mount --make-rprivate /
mount --bind "$IMAGE" "$IMAGE"
mount -o remount,bind,ro "$IMAGE"
mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$IMAGE/tmp"
mount --bind "$VOLUME" "$IMAGE/data"
exec unshare --root="$IMAGE" --wd=/app $WHO "$@"
"""
MAX_BYTES = 100_000_000
OURS, OTHER = 10001, 12345

pytestmark = pytest.mark.skipif(
    not IMAGE or os.getuid() != 0, reason="COMPOZY_IMAGE names no image, or this is not root"
)


@pytest.fixture
def volume() -> Iterator[Path]:
    """Return a folder that root owns, with the readings in it."""
    with TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        folder = Path(home) / "data"
        folder.mkdir()
        shutil.copy(EXAMPLE / "readings.jsonl", folder)
        yield folder


def start(volume: Path, *arguments: str, user: int = 0, **variables: str) -> subprocess.Popen[str]:
    inside = dict(line.split("=", 1) for line in Path(f"{IMAGE}.env").read_text().splitlines() if "=" in line)
    who = f"--setgid={user} --setuid={user}" if user else ""
    environ = {**inside, "IMAGE": IMAGE, "VOLUME": str(volume), "WHO": who, "PATH": os.environ["PATH"], **variables}
    words = ("unshare", "--mount", "sh", "-euc", ENTER, "sh", "/opt/compozy/compozy", *arguments)
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_size_and_contents() -> None:
    files = [path for path in Path(IMAGE).rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    print(f"{size / 1e6:.1f} MB in {len(files)} files")
    assert size < MAX_BYTES
    names = {path.name for path in files}
    assert not names & {"sh", "bash", "python3", "pip", "apt"}
    assert {"ca-certificates.crt", "libc.so.6", "Berlin"} <= names


def test_started_as_root_it_hands_the_volume_over(volume: Path) -> None:
    status, out, err = finish(start(volume, "workflow", "run", "sensor-processing", "--input=@/data/readings.jsonl"))
    assert status == 0, err
    assert '"readings": 40' in out
    assert {path.stat().st_uid for path in (volume, *volume.iterdir())} == {OURS}
    assert (volume / "compozy.db").is_file()


def test_another_user_stays_who_it_is(volume: Path) -> None:
    os.chown(volume, OTHER, OTHER)
    status, _, err = finish(
        start(volume, "workflow", "run", "sensor-processing", "--input=@/data/readings.jsonl", user=OTHER)
    )
    assert status == 0, err
    assert (volume / "compozy.db").stat().st_uid == OTHER


def test_a_server_is_healthy_and_shuts_down_gracefully(volume: Path) -> None:
    port = str(free_port())
    server = start(volume, "start", SERVER_PORT=port)
    try:
        deadline = time.monotonic() + 60
        while finish(start(volume, "health", SERVER_PORT=port))[0]:
            assert server.poll() is None
            assert time.monotonic() < deadline
        items = [json.loads(line) for line in (volume / "readings.jsonl").read_text().splitlines()]
        path = "/api/v0/workflows/sensor-processing/executions/sync"
        assert ask(int(port), "POST", path, {"input": {"items": items}}).document["output"]["readings"] == 40
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        if server.poll() is None:
            server.kill()
        server.communicate()
