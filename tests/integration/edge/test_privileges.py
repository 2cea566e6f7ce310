"""The program in a container drops root: its volume is handed over, and links are not followed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from compozy.cli.privileges import FOLDER, USER

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give up root")
OURS, OTHER = 10001, 12345
SCRIPT = (
    "import os, sys; from compozy.cli.privileges import drop_privileges; "
    "user = int(sys.argv[1]); user and (os.setgroups([]), os.setgid(user), os.setuid(user)); drop_privileges(); "
    "print(os.getuid(), os.getgid(), os.getgroups()); open(os.environ['COMPOZY_HAND_OVER'] + '/new', 'w').close()"
)


@pytest.fixture
def volume() -> Iterator[Path]:
    """Return a folder that every user can reach, with a file of root and a link that leads outside."""
    with TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        (Path(home) / "outside").write_text("root's own")
        folder = Path(home) / "data"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep/compozy.db").write_text("")
        (folder / "link").symlink_to(Path(home) / "outside")
        yield folder


def begin(folder: Path, *, user: int = 0, wanted: str = str(OURS)) -> subprocess.CompletedProcess[str]:
    # The process changes its user by itself: other users may not be able to start root's Python.
    environ = {**os.environ, USER: wanted, FOLDER: str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(user)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_root_hands_the_folder_over_and_becomes_the_user(volume: Path) -> None:
    done = begin(volume)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{OURS} {OURS} []\n"
    for path in (volume, volume / "deep", volume / "deep/compozy.db", volume / "new"):
        assert path.stat().st_uid == OURS
    assert (volume / "link").lstat().st_uid == OURS
    assert (volume.parent / "outside").stat().st_uid == 0


def test_a_folder_that_was_handed_over_is_not_scanned_again(volume: Path) -> None:
    assert begin(volume).returncode == 0
    (volume / "later").write_text("")
    assert begin(volume).returncode == 0
    assert (volume / "later").stat().st_uid == 0


def test_another_user_stays_who_it_is(volume: Path) -> None:
    os.chown(volume, OTHER, OTHER)
    done = begin(volume, user=OTHER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == str(OTHER)
    assert (volume / "deep").stat().st_uid == 0


def test_outside_of_an_image_nothing_happens(volume: Path) -> None:
    done = begin(volume, wanted="")
    assert done.stdout.split()[0] == "0"
    assert volume.stat().st_uid == 0


def test_a_missing_folder(volume: Path) -> None:
    done = begin(volume / "nowhere")
    assert done.returncode == 2
    assert "cannot become user 10001" in done.stderr
    assert "--user 10001" in done.stderr
