"""Patterns of files: their matches, and their speed."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.filepatterns import find_files, matches_name, matches_path

FILES = ["a.md", ".hidden/h.md", "x/b.md", "x/y/c.md", "x/y/z/d.txt", "w/x/e.md", "w/[1].md"]


@given(pattern=st.text("ab*?[]!-", max_size=8), name=st.text("ab-[]", max_size=8))
def test_names_match_as_in_a_shell(pattern: str, name: str) -> None:
    assert matches_name(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*a*a*b", "*a*" * 60 + "b", "**/" * 200 + "b"])
def test_no_pattern_takes_long(tmp_path: Path, pattern: str) -> None:
    """A regular expression for the first one took hours on a name of 250 letters."""
    (tmp_path / ("a" * 250)).touch()
    deep = tmp_path.joinpath(*"aaaaaaaa")
    deep.mkdir(parents=True)
    began = process_time()
    assert list(find_files(tmp_path, pattern, skips=lambda _: False)) == []
    assert not matches_path(pattern, "a/" * 100 + "a" * 250)
    assert process_time() - began < 2


@pytest.mark.parametrize(
    "pattern", ["*.md", "**/*.md", "x/**/*.md", "*/*", "**/x/**/*", "**/**/*.md", "x/*/*", "w/[[]1].md", "**/[!a].*"]
)
def test_files(tmp_path: Path, pattern: str) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path for path in find_files(tmp_path, pattern, skips=lambda _: False) if path.is_file()]
    assert sorted(found) == sorted(path for path in tmp_path.glob(pattern) if path.is_file())
    names = {path.relative_to(tmp_path).as_posix() for path in found}
    assert {name for name in FILES if matches_path(pattern, name)} == names


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "a/*/../../*", "a\0*", "a" * 5000])
def test_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="below a folder"):
        list(find_files(tmp_path, pattern, skips=lambda _: False))


def test_everything_below_a_folder() -> None:
    assert matches_path("docs/**", "docs/a/b.md")
    assert not matches_path("docs/**", "other/a.md")
