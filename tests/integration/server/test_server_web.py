"""The web page as the server sends it: files, headers, and the page that explains how to build it."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from compozy.errors import NotFoundError
from compozy.server.gate import GuardSettings
from compozy.server.service import Service
from compozy.server.web import POLICY, page_response
from tests.integration.server.conftest import API, check_problem, make_client

ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
SCRIPT = b"// " + b"a page " * 500


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a folder with a page that was built."""
    folder = tmp_path / "ui"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<!doctype html><p>the page</p>")
    (folder / "assets/index-abc.js").write_bytes(SCRIPT)
    (tmp_path / "secret.txt").write_text("not a file of the page", encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", ["", "index.html", "runs", "runs/01ABC", "../secret.txt", "%2e%2e/secret.txt", "a.js"])
def test_every_path_is_the_page(page: Path, path: str) -> None:
    answer = page_response(page, path, "")
    assert answer.body == b"<!doctype html><p>the page</p>"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_file_with_a_hash_is_kept_by_browsers(page: Path) -> None:
    answer = page_response(page, "assets/index-abc.js", "")
    assert answer.body == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    packed = page_response(page, "assets/index-abc.js", "br, gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(_bytes(packed)) == SCRIPT
    assert packed.headers["vary"] == answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["assets/index-old.js", "assets/../../secret.txt", "assets/"])
def test_a_file_that_is_missing_is_not_the_page(page: Path, path: str) -> None:
    """An old page that asks for a file of an earlier version must not get HTML."""
    with pytest.raises(NotFoundError):
        page_response(page, path, "")


def test_a_page_that_is_not_built_says_so(tmp_path: Path) -> None:
    answer = page_response(tmp_path, "", "")
    assert "make web" in _bytes(answer).decode()
    (tmp_path / "index.html").write_text("built meanwhile", encoding="utf-8")
    assert page_response(tmp_path, "", "").body == b"built meanwhile"


def test_the_policy_permits_own_files_only() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


@ON_ONE_LOOP
async def test_the_page_is_public_and_shows_nothing(shared_service: Service) -> None:
    guard = GuardSettings(host="127.0.0.1", api_key="correct-horse-battery-staple")
    async with make_client(shared_service, guard) as asks:
        for path in ("/", "/ui"):
            answer = await asks.get(path)
            assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")
        answer = await asks.get("/ui/runs")
        assert answer.status_code == 200
        assert "<html" in answer.text
        assert (await asks.head("/ui/")).text == ""
        check_problem(await asks.get("/ui/assets/none.js"), 404)
        check_problem(await asks.get("/ui/", headers={"host": "example.com"}), 403)


@ON_ONE_LOOP
async def test_the_page_takes_no_posts(shared_client: httpx.AsyncClient) -> None:
    assert (await shared_client.post("/ui/", json={})).status_code in {404, 405}


@ON_ONE_LOOP
async def test_the_page_reads_runs_without_their_values(shared_client: httpx.AsyncClient) -> None:
    """Values can be large, and are read one by one."""
    run = (await shared_client.post(f"{API}/workflows/two/executions/sync", json={"input": {"name": "x"}})).json()
    path = f"{API}/executions/workflows/{run['execution_id']}"
    assert (await shared_client.get(path)).json() == run
    short = (await shared_client.get(path, params={"fields": "summary"})).json()
    assert [(task["input"], task["output"]) for task in short["tasks"]] == [(None, None)] * 2
    without = {"input": None, "tasks": short["tasks"]}
    assert short == {**run, **without}
    assert short["output"]
    check_problem(await shared_client.get(path, params={"fields": "some"}), 422)


@ON_ONE_LOOP
async def test_a_workflow_is_drawn_like_its_runs(shared_client: httpx.AsyncClient) -> None:
    graph = (await shared_client.get(f"{API}/workflows/two/graph")).json()
    nodes = [(node["path"], node["type"], node["status"], node["attempts"]) for node in graph["nodes"]]
    assert nodes == [("one", "basic", None, 0), ("two", "basic", None, 0)]
    edges = [{"source": "one", "target": "two", "label": "", "on_failure": False}]
    assert graph["edges"] == edges
    assert graph["mermaid"].startswith("flowchart")


def _bytes(answer: Response) -> bytes:
    return bytes(answer.body)
