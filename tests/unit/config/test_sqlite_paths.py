"""Paths of SQLite databases in the notation of other programs."""

from __future__ import annotations

import pytest

from compozy.config.sqlitepath import check_sqlite_path


@pytest.mark.parametrize(
    ("path", "write"),
    [
        ("sqlite:///./data/c.db", "./data/c.db"),
        ("sqlite:////var/lib/c.db", "/var/lib/c.db"),
        ("sqlite+aiosqlite:///c.db", "c.db"),
        ("sqlite://", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
        ("SQLite:c.db", "c.db"),
        ("sqlite3:///c.db", "c.db"),
        ("jdbc:sqlite:c.db", "c.db"),
        ("file::memory:?cache=shared", ":memory:"),
        ("file:data/c.db?mode=rwc", "data/c.db"),
        ("file:c?mode=memory", ":memory:"),
        ("file:///var/c.db", "/var/c.db"),
        ("sqlite://c.db", "c.db"),
        ("file://data/c.db", "data/c.db"),
    ],
)
def test_a_url_is_refused_with_the_path_in_it(path: str, write: str) -> None:
    assert check_sqlite_path(path) == f"expected a path, got a URL; write {write}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("%(here)s/c.db", "%(here)s"),
        ("%APPDATA%/c.db", "%APPDATA%"),
        ("{{ .env.HOME }}/c.db", "{{ .env.HOME }}"),
        ("$(pwd)/c.db", "$(pwd)"),
        ("<path to your database>", "<path to your database>"),
    ],
)
def test_variables_of_other_programs_are_refused(path: str, name: str) -> None:
    assert check_sqlite_path(path) == f"{name!r} is not replaced; write the folder, or a variable as ${{NAME}}"


def test_a_path_of_another_kind_is_refused() -> None:
    assert check_sqlite_path("postgres://u:hunter2@h/d") == (
        "expected a path, got a URL; for PostgreSQL write `driver: postgres` and `conn_string`"
    )
    assert check_sqlite_path("C:\\data\\c.db") == "'C:\\\\' is a drive of Windows; write a path of this machine"


@pytest.mark.parametrize(
    "path",
    [":memory:", "data/c.db", "/var/lib/c.db", "~/c.db", "files/sqlite:x", "cost$.db", "a$1.db", "100%/c.db", "a:b.db"],
)
def test_valid_paths(path: str) -> None:
    assert check_sqlite_path(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (":MEMORY:", "':MEMORY:' would be a file of this name; write :memory:"),
        ("./data/", "expected a file, got a folder; write ./data/compozy.db"),
        ("a\0b", "must not contain the character NUL"),
        (":memory:", None),
        ("memory", None),
    ],
)
def test_names_that_are_not_files(path: str, problem: str | None) -> None:
    assert check_sqlite_path(path) == problem
