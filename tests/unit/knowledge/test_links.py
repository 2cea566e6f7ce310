"""Links to folders and undecodable names: each is followed or named, and every search ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compozy.errors import UsageError
from compozy.knowledge.paths import Reach
from compozy.knowledge.sources import Found, find_path

OUT = "the link leads out of the project's folder"
ABOVE = "the link leads to a folder that contains it"
AGAIN = "the folder that the link leads to is read already"
NO_TEXT = "its name is not valid UTF-8; rename it"


def write(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("text")


def link(place: Path, target: str | Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def find(folder: Path, path: str) -> Found:
    return find_path(path, base=folder, reach=Reach.of(folder, ()))


def ids(found: Found) -> list[str]:
    return [document.id for document in found.documents]


@pytest.mark.parametrize("path", ["docs", "docs/**/*.md"])
def test_a_link_to_a_folder_of_the_project_is_followed(tmp_path: Path, path: str) -> None:
    write(tmp_path, "docs/good.md", "real/doc.md", "real/deep/d.md")
    link(tmp_path / "docs/dir", "../real")
    found = find(tmp_path, path)
    assert ids(found) == ["docs/dir/deep/d.md", "docs/dir/doc.md", "docs/good.md"]
    assert found.skipped_files == ()
    assert all(found.scope.covers(name) for name in ids(found))


@pytest.mark.parametrize("path", ["docs", "docs/**/*.md"])
def test_links_that_are_not_followed_are_named(
    tmp_path: Path, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(tmp_path, "docs/a/x.md", "real/doc.md", "docs/.hidden/h.md")
    link(tmp_path / "docs/above", "..")
    link(tmp_path / "docs/a/circle", "../a")
    link(tmp_path / "docs/again", "a")
    link(tmp_path / "docs/hidden", ".hidden")
    link(tmp_path / "docs/one", "../real")
    link(tmp_path / "docs/two", "../real")
    link(tmp_path / "docs/out", tmp_path_factory.mktemp("outside"))
    link(tmp_path / "real/back", "../docs")
    found = find(tmp_path, path)
    assert ids(found) == ["docs/a/x.md", "docs/hidden/h.md", "docs/one/doc.md"]
    assert dict(found.skipped_files) == {
        "docs/above": ABOVE,
        "docs/a/circle": ABOVE,
        "docs/again": AGAIN,
        "docs/two": AGAIN,
        "docs/out": OUT,
        "docs/one/back": ABOVE,
    }


@pytest.mark.parametrize("path", ["docs", "docs/**/*.md", "docs/*.md"])
def test_dangling_links_are_named(tmp_path: Path, path: str) -> None:
    write(tmp_path, "docs/good.md")
    link(tmp_path / "docs/gone.md", "nothing.md")
    link(tmp_path / "docs/loop.md", "loop.md")
    link(tmp_path / "docs/circle", "circle")
    found = find(tmp_path, path)
    assert ids(found) == ["docs/good.md"]
    reasons = dict(found.skipped_files)
    assert reasons["docs/gone.md"] == "the link target does not exist"
    assert reasons["docs/loop.md"] in {"the link leads to itself", "the link target does not exist"}


def test_folders_that_link_to_one_another_are_read_once(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(9)]
    for name in names:
        write(tmp_path, f"real/{name}/{name}.md")
        for other in names:
            if other != name:
                link(tmp_path / f"real/{name}/{other}", f"../{other}")
    link(tmp_path / "docs/all", "../real")
    link(tmp_path / "docs/first", "../real/f0")
    found = find(tmp_path, "docs")
    assert {Path(name).name for name in ids(found)} == {f"{name}.md" for name in names}
    assert len(ids(found)) < 9 * 9


@pytest.mark.parametrize("path", ["docs", "docs/**/*.md", "docs/*"])
def test_undecodable_names_are_left_out_and_shown(tmp_path: Path, path: str) -> None:
    write(tmp_path, "docs/good.md")
    write(tmp_path, os.fsdecode(b"docs/b\xff.md"), os.fsdecode(b"docs/d\xfe/x.md"))
    found = find(tmp_path, path)
    assert ids(found) == ["docs/good.md"]
    assert (r"docs/b\xff.md", NO_TEXT) in found.skipped_files
    assert path == "docs/*" or any(name.startswith(r"docs/d\xfe") for name, _ in found.skipped_files)
    assert all(name.isascii() for name, _ in found.skipped_files)


@pytest.mark.parametrize("path", [b"docs/b\xff.md", b"docs/d\xfe", b"docs/\xff*.md"])
def test_an_undecodable_path_is_refused(tmp_path: Path, path: bytes) -> None:
    write(tmp_path, os.fsdecode(b"docs/b\xff.md"), os.fsdecode(b"docs/d\xfe/x.md"))
    with pytest.raises(UsageError, match=r"'docs/.*\\xf[ef].*' is not valid UTF-8"):
        find(tmp_path, os.fsdecode(path))
