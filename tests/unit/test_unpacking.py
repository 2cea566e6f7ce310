"""`packaging/later.py`: libraries of the one-file program that are unpacked when they are first imported."""

from __future__ import annotations

import runpy
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compozy.errors import CompozyError

_HOOK = Path(__file__).parents[2] / "packaging/later.py"


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the finder of a program that was unpacked to `tmp_path`, with one library that was not."""
    (tmp_path / "later").mkdir()
    with zipfile.ZipFile(tmp_path / "later/unpacked_later.zip", "w") as archive:
        archive.writestr("unpacked_later/part.bin", b"1" * 100_000)
        archive.writestr("unpacked_later.libs/libx.so", b"2")
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    runpy.run_path(str(_HOOK))
    return sys.meta_path[0]


def test_a_library_is_unpacked_when_it_is_imported(tmp_path: Path, finder: Any) -> None:
    assert finder.find_spec("json") is None
    assert not (tmp_path / "unpacked_later").exists()
    assert finder.find_spec("unpacked_later") is None
    assert (tmp_path / "unpacked_later/part.bin").read_bytes() == b"1" * 100_000
    assert [file.name for file in (tmp_path / "unpacked_later.libs").iterdir()] == ["libx.so"]


def test_files_of_another_process_stay(tmp_path: Path, finder: Any) -> None:
    (tmp_path / "unpacked_later").mkdir()
    (tmp_path / "unpacked_later/part.bin").write_bytes(b"other")
    finder.find_spec("unpacked_later")
    assert (tmp_path / "unpacked_later/part.bin").read_bytes() == b"other"
    assert (tmp_path / "unpacked_later.libs/libx.so").exists()


def test_a_folder_that_takes_no_files_is_named_and_tried_again(tmp_path: Path, finder: Any) -> None:
    (tmp_path / "unpacked_later.libs").touch()
    with pytest.raises(CompozyError) as raised:
        finder.find_spec("unpacked_later")
    assert raised.value.message.startswith(f"cannot unpack unpacked_later to {tmp_path}: ")
    assert "TMPDIR" in raised.value.hint
    (tmp_path / "unpacked_later.libs").unlink()
    finder.find_spec("unpacked_later")
    assert (tmp_path / "unpacked_later.libs/libx.so").exists()
