"""A project without a configured embedder: documents keep their embedder when the default changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.knowledge import write_documents
from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import start_server

OLLAMA, OPENAI = "ollama/nomic-embed-text", "openai/text-embedding-3-small"
NOTE = f"note: knowledge base 'main' keeps this embedder; the default is now {OPENAI}, use --reindex to switch\n"


@pytest.fixture
def embeddings() -> Iterator[tuple[str, Embeddings]]:
    with serve_embeddings() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> Path:
    """Return a project whose documents were ingested without an OpenAI key."""
    write_documents(tmp_path)
    write(tmp_path, embeddings[0])
    done = cli("knowledge", "ingest", "./knowledge")
    assert (done.status, done.err) == (0, f"note: embeddings by {OLLAMA}\n")
    return tmp_path


def write(folder: Path, url: str, **knowledge: Any) -> None:
    providers = [
        {"id": "o", "type": "openai", "base_url": url, "api_key": "${OPENAI_API_KEY}"},
        {"id": "l", "type": "ollama", "base_url": url},
    ]
    stores = [{"id": "main", "provider": "filesystem", "path": "./data/vectors"}]
    write_project(folder, llm={"providers": providers}, knowledge={"vector_dbs": stores, **knowledge})


def set_key(folder: Path) -> None:
    (folder / ".env").write_text("OPENAI_API_KEY=sk-test-0123456789\n")


def first_match(cli: RunCli) -> str:
    done = cli("knowledge", "query", "apples on trees", "--format", "json")
    assert done.status == 0, done.err
    return json.loads(done.out)["matches"][0]["document"]


def test_a_new_key_changes_nothing_until_a_reindex(
    project: Path, cli: RunCli, embeddings: tuple[str, Embeddings]
) -> None:
    set_key(project)
    asked = embeddings[1]
    assert first_match(cli) == "knowledge/apples.md"
    [base] = json.loads(cli("knowledge", "list", "--format", "json").out)["knowledge_bases"]
    assert (base["embedder"], base["default_embedder"], base["dimension"]) == (OLLAMA, OPENAI, 768)
    assert f"{OLLAMA} (kept; the default is now {OPENAI})" in cli("knowledge", "get", "main").out

    before = asked.texts.total()
    write_documents(project, {"knowledge/new.md": "# Plums\n\nPlums are blue.\n"})
    done = cli("knowledge", "ingest", "./knowledge")
    assert (done.status, done.err) == (0, f"note: embeddings by {OLLAMA}\n{NOTE}")
    assert "✓ Processed 1 document (3 unchanged)" in done.out
    assert asked.texts.total() == before + 1, "what was embedded is not embedded again"

    done = cli("knowledge", "ingest", "./knowledge", "--reindex", "--format", "json")
    assert json.loads(done.out)["output"]["embedder"] == OPENAI
    assert first_match(cli) == "knowledge/apples.md"
    done = cli("knowledge", "ingest", "./knowledge")
    assert done.err == f"note: embeddings by {OPENAI}\n"


def test_a_removed_key_is_an_error(project: Path, cli: RunCli) -> None:
    set_key(project)
    assert cli("knowledge", "ingest", "./knowledge", "--reindex").status == 0
    (project / ".env").unlink()
    done = cli("knowledge", "query", "apples on trees")
    assert done.status != 0
    assert f"was taken in with {OPENAI}" in done.err


def test_a_configured_embedder_is_used(project: Path, cli: RunCli, embeddings: tuple[str, Embeddings]) -> None:
    write(project, embeddings[0], embedders=[{"id": "e", "provider": "openai", "base_url": embeddings[0]}])
    done = cli("knowledge", "query", "apples on trees")
    assert done.status != 0
    assert f"was taken in with {OLLAMA} (64 dimensions, cosine), and is configured for {OPENAI}" in done.err
    assert "--reindex" in done.err


def test_a_server_keeps_it_too(project: Path, commands: Commands) -> None:
    set_key(project)
    server = start_server(commands, project)
    [base] = server.ask("GET", "/api/v0/knowledge-bases").document["knowledge_bases"]
    assert (base["embedder"], base["default_embedder"]) == (OLLAMA, OPENAI)
    done = commands.run(project, "knowledge", "ingest", "./knowledge", f"--server={server.url}")
    assert (done.status, done.err) == (0, f"note: embeddings by {OLLAMA}\n{NOTE}")
    assert "✓ Processed 0 documents (3 unchanged)" in done.out
