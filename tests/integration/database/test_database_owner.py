"""The lock for executing runs on a file: one process holds it, and the kernel releases it when that process ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from compozy.database.owner import OwnerLock
from compozy.errors import DatabaseError, DatabaseOwnedError
from tests.harness.processes import other_process

HOLDER = {"pid": 4711, "command": "compozy workflow run"}


def hold(path: str, signs: str) -> None:
    """In another process: take the lock, confirm it, and release it on request."""
    lock = OwnerLock(Path(path))
    lock.acquire({"pid": os.getpid(), "command": "compozy start"}, wait_s=0)
    Path(signs, "held").touch()
    while not Path(signs, "release").exists():
        time.sleep(0.01)
    lock.release()
    Path(signs, "released").touch()
    while True:
        time.sleep(1)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_the_second_process_gets_the_name_of_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        with pytest.raises(DatabaseOwnedError) as caught:
            OwnerLock(path).acquire(HOLDER, wait_s=0)
        who = f"process {holder.pid} (compozy start)"
        assert caught.value.message == f"{who} executes runs on {str(path)!r}"
        assert caught.value.details == {"holder": {"pid": holder.pid, "command": "compozy start"}}
        assert "--wait-for-lock" in caught.value.hint
        with pytest.raises(DatabaseOwnedError, match=r"and did not finish within 0\.1 s"):
            OwnerLock(path).acquire(HOLDER, wait_s=0.1)
        # The refused attempt did not change the owner file.
        assert json.loads((tmp_path / "x.db.owner").read_text())["pid"] == holder.pid


def test_every_name_of_a_file_has_one_owner(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    (tmp_path / "other").mkdir()
    hard, symbolic = tmp_path / "other/hard.db", tmp_path / "other/symbolic.db"
    hard.hardlink_to(path)
    symbolic.symlink_to("../x.db")
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        for name in (hard, symbolic):
            lock = OwnerLock(name)
            for _ in range(2):
                with pytest.raises(DatabaseOwnedError) as caught:
                    lock.acquire(HOLDER, wait_s=0)
                who = f"process {holder.pid} (compozy start)"
                assert caught.value.message == f"{who} executes runs on {str(name)!r}"
            lock.release()
        (tmp_path / "release").touch()
        wait_for(tmp_path / "released")
        # The refused processes do not keep the lock.
        for name in (hard, symbolic, path):
            lock = OwnerLock(name)
            lock.acquire(HOLDER, wait_s=0)
            lock.release()


def test_the_owner_file_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        (tmp_path / "x.db.owner").unlink()
        lock = OwnerLock(path)
        with pytest.raises(DatabaseOwnedError, match=rf"process {holder.pid} \(compozy start\) executes runs on"):
            lock.acquire(HOLDER, wait_s=0.1)
        (tmp_path / "release").touch()
        lock.acquire(HOLDER, wait_s=3600)
        lock.release()


def test_a_holder_whose_owner_file_cannot_be_read_has_its_process_id(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        (tmp_path / "x.db.owner").write_bytes(b"{")
        (tmp_path / "x.db.owner").unlink()
        with pytest.raises(DatabaseOwnedError, match=rf"^process {holder.pid} \(compozy\) executes runs on"):
            OwnerLock(path).acquire(HOLDER, wait_s=0)


def test_a_waiting_process_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        (tmp_path / "release").touch()
        lock = OwnerLock(path)
        lock.acquire(HOLDER, wait_s=3600)
        assert holder.is_alive()
        assert json.loads((tmp_path / "x.db.owner").read_text()) == HOLDER
        lock.release()
        assert (tmp_path / "x.db.owner").read_bytes() == b""


def test_the_lock_is_free_once_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with other_process(hold, str(path), str(tmp_path)) as holder:
        wait_for(tmp_path / "held")
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        lock = OwnerLock(path)
        lock.acquire(HOLDER, wait_s=3600)
        assert json.loads((tmp_path / "x.db.owner").read_text()) == HOLDER
        lock.release()


def test_one_process_cannot_have_the_lock_twice(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path / "x.db"), OwnerLock(tmp_path / "x.db")
    first.acquire(HOLDER, wait_s=0)
    with pytest.raises(DatabaseOwnedError, match="process 4711"):
        second.acquire({"pid": 1}, wait_s=0)
    first.release()
    first.release()
    second.acquire({"pid": 1}, wait_s=0)
    second.release()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"5" * 5000])
def test_a_holder_that_does_not_respond_is_another_process(tmp_path: Path, content: bytes) -> None:
    lock = OwnerLock(tmp_path / "x.db")
    lock.acquire(HOLDER, wait_s=0)
    (tmp_path / "x.db.owner").write_bytes(content)
    with pytest.raises(DatabaseOwnedError, match="another process executes runs"):
        OwnerLock(tmp_path / "x.db").acquire({}, wait_s=0)
    lock.release()


def test_a_lock_file_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "x.db.owner").mkdir()
    with pytest.raises(DatabaseError, match=r"cannot write '.*x\.db\.owner': Is a directory"):
        OwnerLock(tmp_path / "x.db").acquire(HOLDER, wait_s=0)


def test_the_lock_is_not_inherited_by_started_programs(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "x.db")
    lock.acquire(HOLDER, wait_s=0)
    links = [file.resolve() for file in Path("/proc/self/fd").iterdir() if file.exists()]
    assert tmp_path / "x.db.owner" in links
    number = next(int(f.name) for f in Path("/proc/self/fd").iterdir() if f.resolve() == tmp_path / "x.db.owner")
    assert not os.get_inheritable(number)
    lock.release()
