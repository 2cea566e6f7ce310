"""The built-in file tools: results, limits, and that files that are closed or outside of the folder are not reached."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import NativeToolSettings, RuntimeSettings
from compozy.tool.built_in.specs import SPECS
from compozy.tool.built_in.tool import BuiltInTool
from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult

CANARY = "canary-4711"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a `.env`, a repository and a database; next to it a file that no tool may read."""
    root = tmp_path / "project"
    (root / "docs/deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git/config").write_text(CANARY)
    (root / ".env").write_text(f"KEY={CANARY}")
    (root / "app.db").write_text(CANARY)
    (root / "docs/a.md").write_text("alpha\nbeta\n")
    (root / "docs/deep/b.txt").write_text("alphabet")
    (tmp_path / "outside.txt").write_text(CANARY)
    return root


async def use(root: Path, name: str, *, timeout_s: float = 60, root_dir: str = ".", **arguments: Any) -> ToolResult:
    settings = RuntimeSettings(native_tools=NativeToolSettings(root_dir=root_dir))
    home = ToolHome(root=root, environ={}, settings=settings, closed=frozenset({root / "app.db"}))
    tool = BuiltInTool(ToolConfig(id=name), home)
    return await tool.call(ToolCall(key="k", input=arguments, execution_id="e", task="t", timeout_s=timeout_s))


async def refused(root: Path, name: str, **arguments: Any) -> str:
    result = await use(root, name, **arguments)
    assert result.outcome == "failed", result
    assert CANARY not in str(result.content)
    return str(result.content)


async def test_read_a_file(root: Path) -> None:
    os.utime(root / "docs/a.md", (0, 1_700_000_000))
    (root / "docs/a.md").chmod(0o640)
    for path in ("docs/a.md", "/docs/a.md", "./docs//a.md"):
        result = await use(root, "cp__read_file", path=path)
        assert result == ToolResult(
            outcome="ok",
            content={
                "content": "alpha\nbeta\n",
                "metadata": {"path": "/docs/a.md", "size": 11, "mode": 0o640, "modified": "2023-11-14T22:13:20Z"},
            },
        )


async def test_read_only_text_of_a_mebibyte(root: Path) -> None:
    (root / "exact").write_bytes(b"x" * 1024**2)
    (root / "large").write_bytes(b"x" * (1024**2 + 1))
    (root / "nul").write_bytes(b"a\0b")
    (root / "latin").write_bytes(b"\xff\xfe")
    (root / "signs").write_bytes(b"\x01\x02ab")
    assert (await use(root, "cp__read_file", path="exact")).outcome == "ok"
    assert (await refused(root, "cp__read_file", path="large")).startswith("InvalidArgument: /large has 1048577 bytes")
    for name in ("nul", "latin", "signs"):
        assert (
            await refused(root, "cp__read_file", path=name) == f"InvalidArgument: /{name} is binary, not text in UTF-8"
        )
    assert await refused(root, "cp__read_file", path="none.md") == "FileNotFound: /none.md does not exist"
    assert await refused(root, "cp__read_file", path="docs") == "InvalidArgument: /docs is a folder"


ESCAPES = [
    *("../outside.txt", "docs/../../outside.txt", "/../outside.txt", "docs/..", "a/../../b", "....//../outside.txt"),
    *("link", "folder/outside.txt", "docs/up/outside.txt", "chain/outside.txt", "passwd"),
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("cp__read_file", {}),
        ("cp__write_file", {"content": "x"}),
        ("cp__write_file", {"content": "x", "append": True}),
        ("cp__delete_file", {"recursive": True}),
        ("cp__list_dir", {"recursive": True}),
        ("cp__grep", {"pattern": "c", "recursive": True}),
        ("cp__list_files", {"recursive": True}),
    ],
)
async def test_no_path_reaches_files_outside(root: Path, name: str, more: dict[str, Any], path: str) -> None:
    (root / "link").symlink_to("../outside.txt")
    (root / "folder").symlink_to("..")
    (root / "docs/up").symlink_to("../..")
    (root / "chain").symlink_to("folder")
    (root / "passwd").symlink_to("/etc/passwd")
    key = "dir" if name == "cp__list_files" else "path"
    words = await refused(root, name, **{key: path}, **more)
    assert words.startswith(("PermissionDenied", "InvalidArgument", "FileNotFound"))
    assert (root.parent / "outside.txt").read_text() == CANARY
    assert (root / "link").is_symlink()


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "/".join("a" * 200), "a\ud800"])
async def test_invalid_paths(root: Path, path: str) -> None:
    assert (await refused(root, "cp__read_file", path=path)).startswith("InvalidArgument")


CLOSED = [".env", "/.env", ".ENV", ".env.local", "docs/.env", ".git/config", ".GIT/config", "app.db", "hard.db", ".git"]


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("cp__read_file", {}),
        ("cp__write_file", {"content": "x"}),
        ("cp__write_file", {"content": "x", "append": True}),
        ("cp__delete_file", {"recursive": True}),
        ("cp__grep", {"pattern": "c"}),
    ],
)
async def test_closed_files_are_refused_by_every_name(root: Path, name: str, more: dict[str, Any], path: str) -> None:
    os.link(root / "app.db", root / "hard.db")
    assert (await refused(root, name, path=path, **more)).startswith("PermissionDenied")
    assert (root / "app.db").read_text() == CANARY
    assert (root / ".env").read_text() == f"KEY={CANARY}"
    assert not (root / ".env.local").exists()


@pytest.mark.parametrize("path", ["app.db-journal", "app.db-wal", "app.db-shm", "app.db.owner", "APP.DB-WAL"])
async def test_no_file_is_created_that_the_database_takes_for_its_own(root: Path, path: str) -> None:
    for more in ({}, {"append": True}):
        words = await refused(root, "cp__write_file", path=path, content="x", **more)
        assert words == f"PermissionDenied: /{path} is closed to tools"
    assert not (root / path).exists()


async def test_another_name_of_the_env_file_is_refused(root: Path) -> None:
    os.link(root / ".env", root / "notes.txt")
    assert (await refused(root, "cp__read_file", path="notes.txt")).startswith("PermissionDenied")


async def test_the_env_file_of_the_project_is_closed_below_another_folder(root: Path) -> None:
    os.link(root / ".env", root / "docs/notes.txt")
    result = await use(root, "cp__read_file", root_dir="docs", path="notes.txt")
    assert result.content == "PermissionDenied: /notes.txt is closed to tools"


@pytest.mark.parametrize("name", ["cp__read_file", "cp__write_file"])
async def test_a_pipe_stops_nothing(root: Path, name: str) -> None:
    os.mkfifo(root / "pipe")
    more = {"content": "x", "append": True} if name == "cp__write_file" else {}
    assert await refused(root, name, path="pipe", **more) == "PermissionDenied: /pipe is neither a file nor a folder"


async def test_write_a_file(root: Path) -> None:
    result = await use(root, "cp__write_file", path="new/deep/x.txt", content="é")
    assert result.content["success"] is True
    assert result.content["metadata"] | {"modified": ""} == {
        "path": "/new/deep/x.txt",
        "size": 2,
        "mode": 0o644,
        "modified": "",
    }
    await use(root, "cp__write_file", path="new/deep/x.txt", content="!", append=True)
    assert (root / "new/deep/x.txt").read_text() == "é!"
    await use(root, "cp__write_file", path="new/deep/x.txt", content="again", mode=0o600)
    assert (root / "new/deep/x.txt").read_text() == "again"
    assert (root / "new/deep/x.txt").stat().st_mode & 0o777 == 0o600
    await use(root, "cp__write_file", path="new/deep/x.txt", content="kept")
    assert (root / "new/deep/x.txt").stat().st_mode & 0o777 == 0o600
    assert os.listdir(root / "new/deep") == ["x.txt"]


async def test_files_that_cannot_be_written(root: Path) -> None:
    large = await refused(root, "cp__write_file", path="x", content="x" * (1024**2 + 1))
    assert large == "InvalidArgument: `content` has 1048577 bytes; at most 1 MiB are written"
    assert await refused(root, "cp__write_file", path="docs", content="x") == "InvalidArgument: /docs is a folder"
    assert (await refused(root, "cp__write_file", path="/", content="x")).startswith("InvalidArgument")
    assert (await refused(root, "cp__write_file", path="docs/a.md/x", content="x")).startswith("InvalidArgument")
    assert (await refused(root, "cp__write_file", path="x", content="\ud800")).startswith("InvalidArgument")
    assert not (root / "x").exists()


async def test_another_name_of_a_file_keeps_its_content(root: Path) -> None:
    os.link(root.parent / "outside.txt", root / "shared.txt")
    assert (await use(root, "cp__write_file", path="shared.txt", content="new")).outcome == "ok"
    assert (root.parent / "outside.txt").read_text() == CANARY


async def test_delete(root: Path) -> None:
    (root / "docs/out").symlink_to(root.parent)
    assert (await use(root, "cp__delete_file", path="docs/deep/b.txt")).content == {"success": True}
    assert (await use(root, "cp__delete_file", path="docs/deep/b.txt")).content == {"success": False}
    assert (await use(root, "cp__delete_file", path="none/b.txt")).content == {"success": False}
    assert "write `recursive: true`" in await refused(root, "cp__delete_file", path="docs")
    assert (await use(root, "cp__delete_file", path="docs", recursive=True)).content == {"success": True}
    assert not (root / "docs").exists()
    assert (root.parent / "outside.txt").exists()
    assert (await refused(root, "cp__delete_file", path="/", recursive=True)).startswith("InvalidArgument")


async def test_a_folder_with_something_closed_is_not_deleted_in_part(root: Path) -> None:
    os.link(root / "app.db", root / "docs/deep/z.db")
    assert (await refused(root, "cp__delete_file", path="docs", recursive=True)).startswith("PermissionDenied")
    assert (root / "docs/a.md").exists()


async def test_list_a_folder(root: Path) -> None:
    os.link(root / "app.db", root / "docs/hard.db")
    (root / "docs/link").symlink_to("a.md")
    os.utime(root / "docs/a.md", (0, 0))
    result = (await use(root, "cp__list_dir", path="docs")).content
    assert [entry["name"] for entry in result["entries"]] == ["a.md", "deep"]
    assert result["entries"][0] == {
        "name": "a.md",
        "path": "/docs/a.md",
        "type": "file",
        "size": 11,
        "modified": "1970-01-01T00:00:00Z",
    }
    assert "next_page_token" not in result

    async def paths(**arguments: Any) -> list[str]:
        found = (await use(root, "cp__list_dir", path="/", **arguments)).content["entries"]
        return [entry["path"] for entry in found]

    assert await paths() == ["/docs"]
    assert await paths(recursive=True) == ["/docs", "/docs/a.md", "/docs/deep", "/docs/deep/b.txt"]
    assert await paths(recursive=True, include_dirs=False) == ["/docs/a.md", "/docs/deep/b.txt"]
    assert await paths(recursive=True, include_files=False) == ["/docs", "/docs/deep"]
    assert await paths(recursive=True, pattern="*.{md,rst}") == ["/docs/a.md"]
    assert await paths(recursive=True, pattern="docs/**/*.txt") == ["/docs/deep/b.txt"]


async def test_the_pages_together_are_the_list(root: Path) -> None:
    for number in range(7):
        (root / f"docs/deep/{number}").mkdir()
        (root / f"docs/deep/{number}/x").write_text("")
    whole = (await use(root, "cp__list_dir", path="/", recursive=True)).content["entries"]
    for size in (1, 3, 5):
        entries: list[Any] = []
        token: dict[str, Any] = {}
        while True:
            page = (await use(root, "cp__list_dir", path="/", recursive=True, page_size=size, **token)).content
            entries += page["entries"]
            assert len(page["entries"]) <= size
            if "next_page_token" not in page:
                break
            token = {"page_token": page["next_page_token"]}
        assert entries == whole


async def test_list_files(root: Path) -> None:
    (root / "docs/c.log").write_text("")

    async def files(**arguments: Any) -> list[str]:
        return (await use(root, "cp__list_files", dir="/", recursive=True, **arguments)).content["files"]

    assert await files() == ["/docs/a.md", "/docs/c.log", "/docs/deep/b.txt"]
    assert await files(exclude="*.{log,md}") == ["/docs/deep/b.txt"]
    assert await files(exclude=["*.md", "*.txt", "!b.*"]) == ["/docs/c.log", "/docs/deep/b.txt"]
    assert await files(exclude="docs/deep") == ["/docs/a.md", "/docs/c.log"]
    assert await files(exclude="deep/") == ["/docs/a.md", "/docs/c.log"]
    assert (await use(root, "cp__list_files", dir="docs")).content == {"files": ["/docs/a.md", "/docs/c.log"]}


@pytest.mark.parametrize("pattern", ["{a,b}" * 20, "x" * 2000, "../*", "/", "\0"])
async def test_patterns_that_are_refused(root: Path, pattern: str) -> None:
    assert (await refused(root, "cp__list_files", dir="/", exclude=pattern)).startswith("InvalidArgument")


async def test_grep(root: Path) -> None:
    (root / "docs/binary").write_bytes(b"alpha\0")
    (root / "docs/large").write_text("alpha" * 300_000)

    async def lines(**arguments: Any) -> list[tuple[str, int, int, str]]:
        found = (await use(root, "cp__grep", **arguments)).content["matches"]
        return [(match["file"], match["line"], match["column"], match["text"]) for match in found]

    assert await lines(pattern="alpha", path="/", recursive=True) == [
        ("/docs/a.md", 1, 1, "alpha"),
        ("/docs/deep/b.txt", 1, 1, "alphabet"),
    ]
    assert await lines(pattern="alpha", path="docs") == [("/docs/a.md", 1, 1, "alpha")]
    assert await lines(pattern="T[a$]", path="docs/a.md", ignore_case=True) == [("/docs/a.md", 2, 3, "beta")]
    assert await lines(pattern=r"^\w{4}$", path="docs/a.md") == [("/docs/a.md", 2, 1, "beta")]
    assert await lines(pattern=CANARY, path="/", recursive=True) == []
    cut = (await use(root, "cp__grep", pattern="a", path="/", recursive=True, max_results=1)).content
    assert (len(cut["matches"]), cut["truncated"]) == (1, True)
    few = (await use(root, "cp__grep", pattern="a", path="/", recursive=True, max_files_visited=1)).content
    assert few["truncated"] is True


async def test_a_long_line_is_cut_around_the_match(root: Path) -> None:
    (root / "long").write_text("x" * 10_000 + "needle" + "y" * 10_000)
    [match] = (await use(root, "cp__grep", pattern="needle", path="long")).content["matches"]
    assert match["column"] == 10_001
    assert "needle" in match["text"]
    assert len(match["text"]) == 500


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*b", "(a?){50}a{50}", "(([a-z])+.)+[A-Z]([a-z])+$"])
async def test_no_expression_takes_long(root: Path, pattern: str) -> None:
    (root / "evil").write_text("a" * 5000 + "!")
    result = await use(root, "cp__grep", pattern=pattern, path="evil", timeout_s=1)
    assert result.outcome == "ok" or str(result.content).startswith("DeadlineExceeded: `pattern` takes too long")


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "((a{100}){100}){100}", "[z-a]"])
async def test_invalid_expressions(root: Path, pattern: str) -> None:
    words = await refused(root, "cp__grep", pattern=pattern, path="/")
    assert words.startswith("InvalidArgument: `pattern` is not a regular expression")


async def test_a_call_ends_in_time(root: Path) -> None:
    for number in range(300):
        (root / f"docs/{number}").write_text("a\n" * 2000)
    result = await use(root, "cp__grep", pattern="b", path="/", recursive=True, timeout_s=0.05)
    assert str(result.content).startswith("DeadlineExceeded: ")


# RENAME_EXCHANGE of Linux: neither name is ever missing.
_EXCHANGE = 2
RACES: list[Callable[[], tuple[str, dict[str, Any]]]] = [
    lambda: ("cp__read_file", {"path": "swap/outside.txt"}),
    lambda: ("cp__write_file", {"path": "swap/outside.txt", "content": "x"}),
    lambda: ("cp__delete_file", {"path": "swap/outside.txt"}),
    lambda: ("cp__grep", {"path": "/", "pattern": "canary", "recursive": True}),
    lambda: ("cp__delete_file", {"path": "holder", "recursive": True}),
]


@pytest.mark.parametrize("race", RACES)
async def test_a_folder_that_is_replaced_by_a_link_is_not_followed(
    root: Path, race: Callable[[], tuple[str, dict[str, Any]]]
) -> None:
    (root / "swap").mkdir()
    (root / "swap/outside.txt").write_text("mine")
    (root / "link").symlink_to("..")
    ended = threading.Event()
    outcomes: set[str] = set()

    def swap() -> None:
        libc = ctypes.CDLL(None)
        while not ended.is_set():
            libc.renameat2(-100, bytes(root / "swap"), -100, bytes(root / "link"), _EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(150):
            (root / "holder").mkdir(exist_ok=True)
            name, arguments = race()
            result = await use(root, name, **arguments)
            outcomes.add(str(result.content)[:16] if result.outcome == "failed" else "ok")
            assert CANARY not in str(result.content)
    finally:
        ended.set()
        thread.join()
    assert (root.parent / "outside.txt").read_text() == CANARY
    # Both sides of the race were observed.
    assert race in RACES[3:] or outcomes >= {"ok", "PermissionDenied"}


def test_schemas_are_closed_and_described() -> None:
    for name, spec in SPECS.items():
        assert spec.schema["additionalProperties"] is False
        assert set(spec.required) <= set(spec.properties), name
        assert all("description" in value for value in spec.properties.values()), name
