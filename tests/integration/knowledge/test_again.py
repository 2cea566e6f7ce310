"""Documents that failed, were left out, are repeated, moved, or have several locations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.knowledge import write_documents, write_knowledge_project
from tests.harness.processes import Commands
from tests.harness.projects import query
from tests.harness.servers import start_server

BROKEN = {"knowledge/empty.md": " \n", "knowledge/also.md": "\n"}


@pytest.fixture
def embeddings() -> Iterator[tuple[str, Embeddings]]:
    with serve_embeddings() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, embeddings: tuple[str, Embeddings]) -> Path:
    return write_knowledge_project(tmp_path, embeddings[0])


def states(cli: RunCli) -> dict[str, str]:
    found = json.loads(cli("knowledge", "status", "--format", "json").out)
    return {row["document"]: row["status"] for row in found["documents"]}


def latest(cli: RunCli) -> dict[str, Any]:
    return json.loads(cli("workflow", "list", "--format", "json").out)["executions"][0]


@pytest.mark.parametrize("path", ["knowlege", "knowledge/none.md", "nowhere/**/*.md", "knowledge/picture.png"])
def test_a_wrong_path_stores_no_run(project: Path, cli: RunCli, path: str) -> None:
    (project / "knowledge/picture.png").write_bytes(b"\x89PNG")
    refused = cli("knowledge", "ingest", path)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("Error: ")
    assert not (project / "data/compozy.db").exists()
    cli("knowledge", "ingest", "knowledge")
    assert cli("knowledge", "ingest", path).status == 2
    assert query(project, "SELECT count(*) FROM workflow_states") == [(1,)]


def test_no_path_and_no_sources(project: Path, cli: RunCli) -> None:
    refused = cli("knowledge", "ingest")
    assert refused.status == 2
    assert "knowledge base 'main' has no sources" in refused.err


def test_a_folder_without_documents(project: Path, cli: RunCli) -> None:
    (project / "empty").mkdir()
    done = cli("knowledge", "ingest", "empty")
    assert (done.status, "note: no documents found" in done.err) == (0, True)


def test_a_file_whose_name_looks_like_a_pattern(project: Path, cli: RunCli) -> None:
    write_documents(project, {"knowledge/[1].md": "# One\n", "knowledge/1.md": "# Other\n"})
    assert cli("knowledge", "ingest", "knowledge/[1].md").status == 0
    assert set(states(cli)) == {"knowledge/[1].md"}


def test_left_out_documents_are_named(project: Path, cli: RunCli) -> None:
    for number in range(120):
        (project / f"knowledge/p{number:03}.png").write_bytes(b"x")
    (project / "knowledge/README").write_text("x")
    (project / "knowledge/gone.md").symlink_to(project / "nothing.md")
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 0
    assert "note: 122 files left out:\n  knowledge/README: files whose names have no ending are not read\n" in done.err
    assert "  knowledge/gone.md: the link target does not exist\n" in done.err
    assert "  knowledge/p000.png: files that end in .png are not read\n" in done.err
    assert "  ... and 112 more; `--format json` lists the first 100\n" in done.err
    output = json.loads(cli("knowledge", "ingest", "knowledge", "--format", "json").out)["output"]
    assert (output["skipped"], len(output["skipped_files"])) == (122, 100)


def test_retry_repeats_failed_documents_and_no_others(
    project: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    write_documents(project, BROKEN)
    assert cli("knowledge", "ingest", "knowledge").status == 1
    bought = embeddings[1].texts.total()
    write_documents(project, {"knowledge/empty.md": "# Not empty now\n", "knowledge/new.md": "# New\n"})
    done = cli("knowledge", "retry")
    assert done.out.splitlines()[:2] == ["Ingesting failed documents again...", "✓ Processed 1 document"]
    assert (done.status, "✗ knowledge/also.md: it contains no text" in done.err) == (1, True)
    assert embeddings[1].texts.total() == bought + 1
    assert states(cli)["knowledge/empty.md"] == "READY"
    assert "knowledge/new.md" not in states(cli)
    (project / "knowledge/also.md").unlink()
    done = cli("knowledge", "retry")
    assert (done.status, done.out.splitlines()[1]) == (0, "✓ Processed 0 documents (1 deleted)")
    assert "FAILED" not in states(cli).values()
    assert cli("knowledge", "retry").status == 0


def test_a_rerun_of_an_ingestion_has_the_same_input(project: Path, cli: RunCli) -> None:
    write_documents(project, BROKEN)
    assert cli("knowledge", "ingest", "knowledge").status == 1
    first = latest(cli)["execution_id"]
    write_documents(project, {"knowledge/empty.md": "# Not empty now\n", "outside.md": "# Other\n"})
    done = cli("workflow", "rerun", first)
    assert (done.status, done.out.splitlines()[0]) == (1, "✓ Processed 1 document (3 unchanged)")
    assert "✗ knowledge/also.md" in done.err
    run = json.loads(cli("workflow", "get", latest(cli)["execution_id"], "--format", "json").out)
    assert (run["rerun_of"], run["input"]["path"]) == (first, "knowledge")
    assert "outside.md" not in states(cli)
    for flags, words in ((["--from", "ingest"], "no task to begin with"), (["--input", "{}"], "as it was asked for")):
        refused = cli("workflow", "rerun", first, *flags)
        assert (refused.status, words in refused.err) == (2, True)
    cli("workflow", "rerun", first, "--id", "mine")
    assert cli("workflow", "rerun", first, "--id", "mine").status == 1
    assert query(project, "SELECT count(*) FROM workflow_states") == [(3,)]


def test_retry_and_rerun_on_a_server(tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands) -> None:
    write_knowledge_project(tmp_path, embeddings[0], server={"port": 0})
    write_documents(tmp_path, BROKEN)
    server = start_server(commands, tmp_path)
    flag = f"--server={server.url}"
    missing = commands.run(tmp_path, "knowledge", "ingest", "nothing", flag)
    assert (missing.status, missing.out) == (2, "")
    assert "'nothing' not found in the project's folder" in missing.err
    answer = server.ask("POST", "/api/v0/knowledge-bases/main/ingest", {"path": "nothing"})
    assert (answer.status, answer.document["code"]) == (404, "not_found")
    assert commands.run(tmp_path, "knowledge", "ingest", "knowledge", flag).status == 1
    write_documents(tmp_path, {"knowledge/empty.md": "# Not empty now\n"})
    retried = commands.run(tmp_path, "knowledge", "retry", flag)
    assert (retried.status, retried.out.splitlines()[1]) == (1, "✓ Processed 1 document")
    runs = server.ask("GET", "/api/v0/executions/workflows").document["executions"]
    again = commands.run(tmp_path, "workflow", "rerun", runs[-1]["execution_id"], flag)
    assert (again.status, again.out.splitlines()[0]) == (1, "✓ Processed 0 documents (4 unchanged)")


def test_a_text_is_embedded_once_wherever_it_occurs(
    project: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    """More documents than one batch: the last one and a moved document reuse the vectors of the first."""
    same = "# Imprint\n\nThe same words in every document.\n"
    write_documents(project, {f"knowledge/many/d{number:03}.md": same for number in range(150)})
    done = cli("knowledge", "ingest", "knowledge", "--format", "json")
    output = json.loads(done.out)["output"]
    assert (output["documents"], output["chunks"], output["embedded"]) == (153, 153, 4)
    assert embeddings[1].texts[same.strip()] == 1
    (project / "knowledge/apples.md").rename(project / "knowledge/pommes.md")
    moved = json.loads(cli("knowledge", "ingest", "knowledge", "--format", "json").out)["output"]
    assert {key: moved[key] for key in ("documents", "embedded", "deleted")} == {
        "documents": 1,
        "embedded": 0,
        "deleted": 1,
    }
    found = json.loads(cli("knowledge", "query", "apples on trees", "--top-k", "1", "--format", "json").out)
    assert found["matches"][0]["document"] == "knowledge/pommes.md"


def test_without_dedupe_each_is_embedded(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    knowledge = {
        "vector_dbs": [{"id": "v", "provider": "filesystem"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
        "knowledge_bases": [{"id": "main", "preprocess": {"dedupe": False}}],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    write_documents(tmp_path, {f"knowledge/d{number}.md": "# Same\n" for number in range(5)})
    assert json.loads(cli("knowledge", "ingest", "knowledge", "--format", "json").out)["output"]["embedded"] == 8


ANSWER = {"type": "object", "properties": {"fruit": {"type": "string"}}, "additionalProperties": False}
CITED = {"type": "object", "properties": {"fruit": {"type": "string"}, "sources": {"type": "array"}}}
AGENT = {"knowledge": [{"knowledge_base_id": "main", "top_k": 1}]}


def test_sources_next_to_an_output_schema(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    tasks = [
        {"id": "plain", "prompt": "apples on trees", "agent": AGENT, "output": ANSWER},
        {"id": "cited", "prompt": "apples on trees", "agent": AGENT, "output": CITED},
        {"id": "listed", "prompt": "apples on trees", "agent": AGENT, "output": {"type": "array"}},
        {"id": "nobody", "prompt": "apples on trees", "output": ANSWER},
    ]
    responses = {
        "plain": {"json": {"fruit": "apple"}},
        "cited": {"json": {"fruit": "apple", "sources": ["of its own"]}},
        "listed": {"json": {"value": [1]}},
        "nobody": {"json": {"fruit": "apple"}},
    }
    llm = {"providers": [{"id": "s", "type": "scripted", "responses": responses}]}
    output = {"answer": "{{ .tasks.plain.output.fruit }}", "sources": "{{ .tasks.plain.output.sources }}"}
    workflows = {"w": {"tasks": tasks, "output": output}}
    write_knowledge_project(tmp_path, embeddings[0], workflows=workflows, llm=llm)
    assert cli("knowledge", "ingest", "knowledge").status == 0
    done = cli("workflow", "run", "w")
    assert done.out == "Workflow 'w' completed\nAnswer: apple\nSources: [apples.md]\n", done.err
    run = json.loads(cli("workflow", "get", latest(cli)["execution_id"], "--format", "json").out)
    outputs = {task["path"]: task["output"] for task in run["tasks"]}
    assert outputs["plain"]["sources"][0]["document"] == "knowledge/apples.md"
    assert outputs["cited"]["sources"] == ["of its own"]
    assert outputs["listed"] == [1]
    assert outputs["nobody"] == {"fruit": "apple"}


def test_a_fallback_replaces_missing_passages(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    words = "Say that the handbook has nothing about it."
    retrieval = {"min_score": 0.9, "fallback": words, "tool_fallback": "never"}
    knowledge = {
        "vector_dbs": [{"id": "v", "provider": "filesystem"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
        "knowledge_bases": [{"id": "main", "retrieval": retrieval}],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    cli("knowledge", "ingest", "knowledge")
    run = json.loads(cli("workflow", "run", "rag", "--input", '{"query": "zebra"}', "--format", "json").out)
    assert run["output"]["sources"] == []
    (recorded,) = query(tmp_path, "SELECT output FROM operation_outputs WHERE function_name = 'one.retrieve'")
    assert json.loads(recorded[0])["value"] == [{"knowledge_base_id": "main", "fallback": words}]
