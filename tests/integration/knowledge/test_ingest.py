"""Documents are ingested, changed, deleted and queried on the command line."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from compozy.knowledge import ingest_batch
from tests.conftest import RunCli
from tests.harness.databases import fresh
from tests.harness.embeddings import Embeddings
from tests.harness.knowledge import write_documents, write_knowledge_project
from tests.harness.processes import Commands
from tests.harness.servers import free_port, start_server
from tests.harness.vectorstores import KINDS, section_of


def documents(cli: RunCli, *flags: str) -> dict[str, str]:
    found = json.loads(cli("knowledge", "status", "--format", "json", *flags).out)
    return {row["document"]: row["status"] for row in found["documents"]}


def names(cli: RunCli, text: str, *flags: str) -> list[str]:
    found = cli("knowledge", "query", text, "--format", "json", *flags)
    assert found.status == 0, found.err
    return [match["document"] for match in json.loads(found.out)["matches"]]


def test_the_output(project: Path, cli: RunCli) -> None:
    done = cli("knowledge", "ingest", "./knowledge")
    assert done.out == (
        "Ingesting documents from ./knowledge...\n"
        "✓ Processed 3 documents\n✓ Created 3 chunks\n✓ Embeddings stored in the filesystem\n"
    )
    assert (done.status, done.err) == (0, "note: embeddings by openai/test\n")
    again = cli("knowledge", "ingest", "./knowledge", "--quiet")
    assert again.out.splitlines()[1:3] == ["✓ Processed 0 documents (3 unchanged)", "✓ Created 0 chunks"]
    assert again.err == ""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "qdrant-folder"])
def test_new_changed_and_deleted_documents(
    kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    url, asked = embeddings
    with section_of(kind, tmp_path_factory.mktemp("store")) as section:
        if section["provider"] == "pgvector":
            with fresh("postgres", tmp_path) as database:
                main = {"driver": "postgres", **{k: getattr(database, k) for k in ("host", "port", "user", "dbname")}}
                write_knowledge_project(tmp_path, url, store=section, database=main)
                check_changes(tmp_path, asked, cli)
            return
        write_knowledge_project(tmp_path, url, store={**section, "index": {"type": "exact"}})
        check_changes(tmp_path, asked, cli)


def check_changes(folder: Path, asked: Embeddings, cli: RunCli) -> None:
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 0, done.err
    assert names(cli, "apples on trees")[0] == "knowledge/apples.md"
    before = asked.texts.total()
    write_documents(
        folder, {"knowledge/apples.md": "# Pears\n\nPears are yellow.\n", "knowledge/new.md": "# New thing\n"}
    )
    (folder / "knowledge/bread.md").unlink()
    done = cli("knowledge", "ingest", "knowledge", "--format", "json")
    output: dict[str, Any] = json.loads(done.out)["output"]
    counts = {key: output[key] for key in ("documents", "chunks", "embedded", "unchanged", "deleted", "failed")}
    assert counts == {"documents": 2, "chunks": 2, "embedded": 2, "unchanged": 1, "deleted": 1, "failed": 0}
    # Two chunks, and the request for the dimension.
    assert asked.texts.total() == before + 2
    found = names(cli, "pears yellow", "--top-k", "10", "--min-score", "-1")
    assert sorted(found) == ["knowledge/apples.md", "knowledge/deep/cars.txt", "knowledge/new.md"]
    assert found[0] == "knowledge/apples.md"
    assert "Apples" not in cli("knowledge", "query", "pears").out
    assert names(cli, "wheels", "--mode", "text") == ["knowledge/deep/cars.txt"]
    assert names(cli, "engine wheels", "--mode", "hybrid")[0] == "knowledge/deep/cars.txt"
    assert names(cli, "anything", "--filter", "type=txt", "--min-score", "-1") == ["knowledge/deep/cars.txt"]
    assert names(cli, "wheels engine", "--min-score", "0.99") == []


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), LookupError("no codec"), AssertionError("parser"), MemoryError()]
)
def test_a_failing_document_does_not_affect_the_others(
    project: Path, cli: RunCli, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    reader = ingest_batch.read_in_sandbox

    async def breaks(name: str, data: bytes, suffix: str) -> Any:
        if name.endswith("apples.md"):
            raise error
        return await reader(name, data, suffix)

    monkeypatch.setattr(ingest_batch, "read_in_sandbox", breaks)
    done = cli("knowledge", "ingest", "knowledge", "--format", "json")
    output: dict[str, Any] = json.loads(done.out)["output"]
    assert [failure["document"] for failure in output["failures"]] == ["knowledge/apples.md"]
    assert type(error).__name__ in output["failures"][0]["message"]
    assert output["documents"] == 2


def test_only_documents_below_the_path_count_as_deleted(project: Path, cli: RunCli) -> None:
    cli("knowledge", "ingest", "knowledge")
    (project / "knowledge/apples.md").unlink()
    (project / "knowledge/deep/cars.txt").unlink()
    done = cli("knowledge", "ingest", "knowledge/deep")
    assert done.out.splitlines()[1] == "✓ Processed 0 documents (1 deleted)"
    assert set(documents(cli)) == {"knowledge/apples.md", "knowledge/bread.md"}
    cli("knowledge", "ingest", "knowledge/apples.md")
    assert set(documents(cli)) == {"knowledge/bread.md"}
    missing = cli("knowledge", "ingest", "./knowlege")
    assert missing.status == 2
    assert missing.out == ""
    assert missing.err == "Error: 'knowlege' not found in the project's folder\n  did you mean 'knowledge'?\n"


def test_patterns_and_files(project: Path, cli: RunCli) -> None:
    cli("knowledge", "ingest", "knowledge/**/*.txt")
    assert set(documents(cli)) == {"knowledge/deep/cars.txt"}
    cli("knowledge", "ingest", "knowledge/bread.md")
    assert set(documents(cli)) == {"knowledge/deep/cars.txt", "knowledge/bread.md"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../", "knowledge/../..", "out"])
def test_paths_stay_inside_of_the_project(project: Path, cli: RunCli, path: str) -> None:
    (project / "out").symlink_to("/etc")
    done = cli("knowledge", "ingest", path)
    assert (done.status, "is outside of the project's folder" in done.err) == (2, True)


def test_links_to_files_outside_are_left_out(
    project: Path, cli: RunCli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret.md"
    secret.write_text("# Secret\n")
    (project / "knowledge/secret.md").symlink_to(secret)
    (project / "knowledge/again.md").symlink_to(project / "knowledge/bread.md")
    done = cli("knowledge", "ingest", "knowledge")
    assert "note: 1 file left out:\n  knowledge/secret.md: the link leads out of the project's folder\n" in done.err
    assert "knowledge/secret.md" not in documents(cli)
    assert documents(cli)["knowledge/again.md"] == "READY"


def test_undecodable_names_and_linked_folders(project: Path, cli: RunCli) -> None:
    (project / "real").mkdir()
    write_documents(project, {"real/doc.md": "# Linked\n\nOnly here.\n"})
    (project / "knowledge/dir").symlink_to("../real")
    (project / "knowledge/up").symlink_to("..")
    Path(project, "knowledge", os.fsdecode(b"b\xff.md")).write_text("# Bad name\n")
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 0, done.err
    assert "note: 2 files left out:\n" in done.err
    assert "  knowledge/b\\xff.md: its name is not valid UTF-8; rename it\n" in done.err
    assert "  knowledge/up: the link leads to a folder that contains it\n" in done.err
    assert documents(cli)["knowledge/dir/doc.md"] == "READY"
    as_json = json.loads(cli("knowledge", "ingest", "knowledge", "--format", "json").out)
    skipped = [file["document"] for file in as_json["output"]["skipped_files"]]
    assert skipped == ["knowledge/up", "knowledge/b\\xff.md"]
    refused = cli("knowledge", "ingest", os.fsdecode(b"knowledge/b\xff.md"))
    assert (refused.status, "'knowledge/b\\xff.md' is not valid UTF-8" in refused.err) == (2, True)
    (project / "real/doc.md").unlink()
    assert "(3 unchanged, 1 deleted)" in cli("knowledge", "ingest", "knowledge").out


def test_an_address_in_the_encoding_that_its_header_names(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=windows-1251")
            self.end_headers()
            self.wfile.write("<p>Привет, мир</p>".encode("cp1251"))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    knowledge = {
        "access": {"private_hosts": ["127.0.0.1"]},
        "vector_dbs": [{"id": "main", "provider": "filesystem"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        done = cli("knowledge", "ingest", f"http://127.0.0.1:{server.server_address[1]}/page")
        server.shutdown()
    assert done.status == 0, done.err
    assert "Привет, мир" in cli("knowledge", "query", "мир", "--mode", "text").out


def test_an_unreadable_document_is_reported_and_the_others_are_ingested(project: Path, cli: RunCli) -> None:
    (project / "knowledge/broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (project / "knowledge/empty.md").write_text(" \n")
    (project / "knowledge/picture.txt").write_bytes(bytes(range(256)) * 20)
    (project / "knowledge/long.txt").write_text("word " * 40_000)
    (project / "knowledge/old.txt").write_bytes("Grüße aus Köln".encode("cp1252"))
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 1
    assert done.out.splitlines()[1] == "✓ Processed 5 documents"
    assert "✗ knowledge/broken.pdf: the PDF is damaged or incomplete: " in done.err
    assert "Error" not in done.err
    assert "✗ knowledge/empty.md: it contains no text" in done.err
    assert "✗ knowledge/picture.txt: it is not text" in done.err
    assert set(documents(cli, "--failed")) == {f"knowledge/{n}" for n in ("broken.pdf", "empty.md", "picture.txt")}
    again = cli("knowledge", "ingest", "knowledge")
    assert (again.status, again.out.splitlines()[1]) == (1, "✓ Processed 0 documents (5 unchanged)")
    assert "✗ knowledge/empty.md: it contains no text" in again.err
    named = cli("knowledge", "ingest", "knowledge/empty.md")
    assert (named.status, "✗ knowledge/empty.md: it contains no text" in named.err) == (1, True)
    retried = cli("knowledge", "ingest", "knowledge", "--retry")
    assert "3 documents could not be read" in retried.err
    write_documents(project, {"knowledge/empty.md": "# Not empty any more\n"})
    assert cli("knowledge", "ingest", "knowledge/empty.md").status == 0
    assert documents(cli)["knowledge/empty.md"] == "READY"


def test_another_embedder_needs_reindex(project: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    cli("knowledge", "ingest", "knowledge")
    write_knowledge_project(
        project,
        embeddings[0],
        knowledge={
            "vector_dbs": [{"id": "main", "provider": "filesystem", "path": "./data/vectors"}],
            "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "other"}],
        },
    )
    for command in (["ingest", "knowledge"], ["query", "apples"]):
        refused = cli("knowledge", *command)
        assert refused.status in {1, 4}
        assert (
            "was taken in with openai/test (64 dimensions, cosine), and is configured for openai/other" in refused.err
        )
        assert "--reindex" in refused.err
    embeddings[1].dimension = 32
    done = cli("knowledge", "ingest", "knowledge", "--reindex")
    assert (done.status, done.out.splitlines()[1]) == (0, "✓ Processed 3 documents")
    assert names(cli, "apples on trees")[0] == "knowledge/apples.md"


def test_a_configured_dimension_is_checked(project: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    store = {"provider": "filesystem", "path": "./data/vectors", "dimension": 1536}
    write_knowledge_project(project, embeddings[0], store=store)
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 1
    assert "vector store 'main' has `dimension: 1536`, and embedder openai/test makes vectors of 64" in done.err


def test_a_failing_embedder_is_retried_and_then_reported(
    project: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    embeddings[1].failures = 2
    assert cli("knowledge", "ingest", "knowledge").status == 0
    write_documents(project, {"knowledge/more.md": "# More\n"})
    embeddings[1].failures, embeddings[1].status = 1, 401
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 1
    assert "embedder openai/test answered 401" in done.err
    assert "check its `api_key`" in done.err
    assert cli("knowledge", "ingest", "knowledge").status == 0
    assert documents(cli)["knowledge/more.md"] == "READY"


def test_agents_get_passages_with_their_sources(project: Path, cli: RunCli) -> None:
    cli("knowledge", "ingest", "knowledge")
    done = cli("workflow", "run", "rag", "--input", '{"query": "apples on trees"}')
    completed, answer, sources = done.out.splitlines()
    assert (completed, answer) == ("Workflow 'rag' completed", "Answer: first")
    assert sources.startswith("Sources: [apples.md")
    run = json.loads(cli("workflow", "run", "rag", "--input", '{"query": "cars"}', "--format", "json").out)
    first = run["output"]["sources"][0]
    assert set(first) == {"document", "title", "score", "chunk"}
    assert (first["document"], first["title"], first["chunk"]) == ("knowledge/deep/cars.txt", "cars.txt", 0)


def test_an_empty_knowledge_base_has_no_passages(project: Path, cli: RunCli) -> None:
    assert cli("knowledge", "query", "apples").out == "No passages found.\n"
    done = cli("workflow", "run", "rag", "--input", '{"query": "apples"}')
    assert done.out.splitlines() == ["Workflow 'rag' completed", "Answer: first", "Sources: []"]


def test_list_get_and_delete(project: Path, cli: RunCli) -> None:
    cli("knowledge", "ingest", "knowledge")
    listed = json.loads(cli("knowledge", "list", "--format", "json").out)["knowledge_bases"]
    assert [(base["id"], base["provider"], base["chunks"]) for base in listed] == [("main", "filesystem", 3)]
    assert "3 ready" in cli("knowledge", "get", "main").out
    assert cli("knowledge", "get", "mian").status == 2
    done = cli("knowledge", "delete", "main", "--document", "knowledge/apples.md", "--yes")
    assert done.out == "Deleted 1 document from 'main'\n"
    assert cli("knowledge", "delete", "main", "--document", "nobody", "--yes").status == 2
    assert cli("knowledge", "delete", "main", "--yes").out == "Deleted 2 documents from 'main'\n"
    assert documents(cli) == {}
    assert cli("knowledge", "ingest", "knowledge").out.splitlines()[1] == "✓ Processed 3 documents"


def test_several_bases_need_a_name(project: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    knowledge = {
        "vector_dbs": [{"id": n, "provider": "filesystem", "path": f"./data/{n}"} for n in ("main", "other")],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
    }
    write_knowledge_project(project, embeddings[0], knowledge=knowledge)
    refused = cli("knowledge", "ingest", "knowledge")
    assert refused.status == 2
    assert "several knowledge bases" in refused.err
    assert "add --kb: main, other" in refused.err
    assert cli("knowledge", "ingest", "knowledge", "--kb", "other").status == 0


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_over_http_and_by_commands_that_find_the_server(
    driver: str, tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands
) -> None:
    with fresh(driver, tmp_path) as database:
        section: dict[str, Any] = {"driver": "sqlite", "path": "./data/compozy.db"}
        if driver == "postgres":
            section = {"driver": driver, **{k: getattr(database, k) for k in ("host", "port", "user", "dbname")}}
        write_knowledge_project(tmp_path, embeddings[0], database=section, server={"port": 0})
        server = start_server(commands, tmp_path)
        found = server.ask("GET", "/api/v0/knowledge-bases").document["knowledge_bases"]
        assert [base["id"] for base in found] == ["main"]
        flag = f"--server={server.url}"
        done = commands.run(tmp_path, "knowledge", "ingest", "./knowledge", flag)
        assert done.status == 0, done.err
        assert done.out.splitlines()[1] == "✓ Processed 3 documents"
        upload = {"documents": [{"name": "up.md", "text": "# Uploaded\n\nzebra stripes"}]}
        answer = server.ask("POST", "/api/v0/knowledge-bases/main/ingest", upload)
        assert answer.status == 202
        path = answer.headers["location"]
        while (run := server.ask("GET", path).document)["status"] not in {"SUCCESS", "FAILED"}:
            pass
        assert run["output"]["documents"] == 1
        body = {"query": "zebra stripes", "top_k": 1}
        (match,) = server.ask("POST", "/api/v0/knowledge-bases/main/query", body).document["matches"]
        assert match["document"] == "data/uploads/main/up.md"
        for bad in ({"path": "../x"}, {"documents": [{"name": "../a.md", "text": "x"}]}, {"path": "a\0b"}):
            assert server.ask("POST", "/api/v0/knowledge-bases/main/ingest", bad).status == 400
        assert server.ask("GET", "/api/v0/knowledge-bases/none").status == 404
        listed = commands.run(tmp_path, "knowledge", "status", flag)
        assert "data/uploads/main/up.md  READY" in listed.out
        assert commands.run(tmp_path, "knowledge", "query", "zebra", flag).out.startswith("1. data/uploads/main/up.md")
        assert server.ask("DELETE", "/api/v0/knowledge-bases/main").document["deleted"] == 4


def test_on_start(tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands) -> None:
    knowledge = {
        "vector_dbs": [{"id": "v", "provider": "filesystem"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
        "knowledge_bases": [{"id": "main", "ingest": "on_start", "sources": [{"path": "knowledge"}]}],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    server = start_server(commands, tmp_path)
    assert "Knowledge base 'main': 3 documents ingested, 0 unchanged, 0 deleted" in server.command.out
    assert server.ask("GET", "/api/v0/knowledge-bases/main").document["chunks"] == 3


def test_a_failing_ingestion_does_not_stop_the_start(
    tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands
) -> None:
    """An unreadable document, a missing source, and an unavailable embedder."""
    away = f"http://127.0.0.1:{free_port()}/v1"
    knowledge = {
        "vector_dbs": [{"id": name, "provider": "filesystem", "path": f"data/{name}"} for name in ("a", "b", "c")],
        "embedders": [
            {"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"},
            {"id": "away", "provider": "openai", "base_url": away, "model": "test", "dimension": 8},
        ],
        "knowledge_bases": [
            {"id": "main", "vector_db": "a", "embedder": "e", "ingest": "on_start", "sources": [{"path": "knowledge"}]},
            {"id": "two", "vector_db": "b", "embedder": "e", "ingest": "on_start", "sources": [{"path": "missing"}]},
            {
                "id": "three",
                "vector_db": "c",
                "embedder": "away",
                "ingest": "on_start",
                "sources": [{"path": "knowledge"}],
            },
        ],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    (tmp_path / "knowledge/broken.pdf").write_bytes(b"%PDF-1.7 broken")

    server = start_server(commands, tmp_path)

    assert server.ask("GET", "/readyz").status == 200
    assert "Knowledge base 'main': 3 documents ingested" in server.command.out
    assert "knowledge/broken.pdf: " in server.command.err
    assert "warning: knowledge base 'three' was not ingested: " in server.command.err
    assert "two" in server.command.err + server.command.out
