"""The one-file program: its size, times and memory, and the edge example. `make test-binary` builds it first.

Times are processor times, because other load affects elapsed times, which are printed. Limits apply to their ratios to
a reference that is measured alternately, because the speed of a processor varies.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness.embeddings import serve_embeddings
from tests.harness.knowledge import write_knowledge_project
from tests.harness.servers import ask, free_port

EXAMPLE = Path(__file__).parents[3] / "examples/database/edge-deployment"
PROGRAM = os.environ.get("COMPOZY_BINARY", "")
MAX_BYTES = 60 * 1024 * 1024
MAX_HELP, MAX_READY, MAX_RESIDENT_MB = 0.85, 2.8, 170.0
"""`--help` and a start, relative to the reference; memory."""
REFERENCE = [sys.executable, "-c", "import dbos, fastapi, sqlalchemy"]
_STARTS = 5

pytestmark = pytest.mark.skipif(not PROGRAM, reason="COMPOZY_BINARY names no program; `make test-binary` builds one")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("data", "context", ".env"))
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment without any Python."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return {"PATH": str(empty), "HOME": str(empty), "LANG": "C.UTF-8"}


def run(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_size() -> None:
    size = Path(PROGRAM).stat().st_size
    print(f"{size / 1e6:.1f} MB")
    assert size <= MAX_BYTES


def test_texts_in_asian_encodings(tmp_path: Path, environ: dict[str, str]) -> None:
    with serve_embeddings() as (url, _):
        write_knowledge_project(tmp_path, url)
        page = '<meta charset="gb2312"><p>\u6c49\u5b57\u6d4b\u8bd5'
        (tmp_path / "knowledge/page.html").write_bytes(page.encode("gb18030"))
        done = run(tmp_path, environ, "knowledge", "ingest", "knowledge")
        assert done.returncode == 0, done.stderr
        found = run(tmp_path, environ, "knowledge", "query", "\u6c49\u5b57\u6d4b\u8bd5", "--mode", "text")
    assert found.stdout.startswith("1. knowledge/page.html #0"), found.stderr


def reference_s() -> float:
    """Return the processor time in which the installed Python imports the largest libraries of the program."""
    before = children_s()
    subprocess.run(REFERENCE, check=True)
    return children_s() - before


def test_help(example: Path, environ: dict[str, str]) -> None:
    spent: list[tuple[float, float]] = []
    reference: list[float] = []
    for _ in range(_STARTS):
        reference.append(reference_s())
        began, before = time.monotonic(), children_s()
        done = run(example, environ, "--help")
        spent.append((children_s() - before, time.monotonic() - began))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage: compozy ")
    print(f"--help: {_shown(spent, reference)}")
    assert min(spent)[0] < MAX_HELP * min(reference)


def _shown(spent: list[tuple[float, float]], reference: list[float]) -> str:
    (processor_s, wall_s), least_s = min(spent), min(reference)
    return (
        f"{processor_s:.2f} s of processor, {wall_s:.2f} s on the clock, {processor_s / least_s:.2f} of the reference"
    )


def test_the_whole_command_line_works_without_python(example: Path, environ: dict[str, str]) -> None:
    done = run(example, environ, "workflow", "run", "sensor-processing", "--input=@readings.jsonl", "--format=json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"]["readings"] == 40
    assert run(example, environ, "migrate", "status").stdout.count("Pending:  none") == 1
    # It contains the journal, the schemas and the pages of the server, too.
    assert json.loads(run(example, environ, "schema").stdout)["title"] == "compozy.yaml"
    assert len(json.loads(run(example, environ, "workflow", "list", "--format=json").stdout)["executions"]) == 1


def test_a_server_is_ready_soon_stays_small_and_shuts_down_gracefully(example: Path, environ: dict[str, str]) -> None:
    # An old database: the first start creates it.
    assert run(example, environ, "migrate", "up").returncode == 0
    spent: list[tuple[float, float]] = []
    reference: list[float] = []
    for _ in range(_STARTS - 1):
        reference.append(reference_s())
        with serving(example, environ, free_port()) as (_, wall_s, spent_s):
            spent.append((spent_s, wall_s))
    port = free_port()
    with serving(example, environ, port) as (process, wall_s, spent_s):
        spent.append((spent_s, wall_s))
        assert ask(port, "GET", "/docs").status == 200
        items = [json.loads(line) for line in (example / "readings.jsonl").read_text().splitlines()]
        answer = ask(port, "POST", "/api/v0/workflows/sensor-processing/executions/sync", {"input": {"items": items}})
        assert answer.document["output"]["readings"] == 40
        resident_mb = max(_peak_mb(pid) for pid in [process.pid, *_children(process.pid)])
        print(f"ready: {_shown(spent, reference)}; resident {resident_mb:.0f} MB")
        assert min(spent)[0] < MAX_READY * min(reference)
        assert resident_mb < MAX_RESIDENT_MB
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_knowledge_in_a_folder(tmp_path: Path, environ: dict[str, str]) -> None:
    """It contains the filesystem store, the splitter of texts and numpy."""
    project = {
        "name": "k",
        "database": {"driver": "sqlite", "path": "./data/k.db"},
        "knowledge": {"vector_dbs": [{"id": "main", "provider": "filesystem", "path": "./data/v"}]},
        "llm": {"providers": [{"id": "o", "type": "openai", "api_key": "k", "base_url": "http://127.0.0.1:9"}]},
    }
    (tmp_path / "compozy.yaml").write_text(json.dumps(project))
    (tmp_path / "page.md").write_text("# One\n\nText.\n")
    done = run(tmp_path, environ, "knowledge", "ingest", "page.md")
    # It reached the embedder, which does not exist: documents are read and split before.
    assert done.returncode != 0
    assert "127.0.0.1:9" in done.stderr, done.stderr
    assert "broke" not in done.stderr


@contextmanager
def serving(
    folder: Path, environ: dict[str, str], port: int
) -> Generator[tuple[subprocess.Popen[bytes], float, float]]:
    began = time.monotonic()
    command = [PROGRAM, "start", f"--port={port}"]
    # A separate process group, because the program runs in a child of the process that unpacks it.
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, process_group=0)
    try:
        while not _is_ready(port):
            assert process.poll() is None
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        wall_s = time.monotonic() - began
        yield process, wall_s, sum(_processor_s(pid) for pid in [process.pid, *_children(process.pid)])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz").status == 200
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
