"""The results of an ingestion that failed, completely or in part, and where they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings
from tests.harness.knowledge import write_documents
from tests.integration.knowledge.test_ingest import documents


def test_a_text_refused_by_the_embedder_fails_only_its_document(
    project: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    _, asked = embeddings
    write_documents(project, {"knowledge/odd.md": "# Odd\n\nzzyzx\n", "knowledge/same.txt": "# Odd\n\nzzyzx\n"})
    asked.refused = "zzyzx"
    done = cli("knowledge", "ingest", "knowledge", "--format", "json")
    output: dict[str, Any] = json.loads(done.out)["output"]
    assert (output["documents"], output["failed"]) == (3, 2), done.err
    assert {failure["document"] for failure in output["failures"]} == {"knowledge/odd.md", "knowledge/same.txt"}
    assert "answered 400: this text is not accepted, for a single text" in output["failures"][0]["message"]
    assert documents(cli) == {
        **dict.fromkeys(("knowledge/apples.md", "knowledge/bread.md", "knowledge/deep/cars.txt"), "READY"),
        **dict.fromkeys(("knowledge/odd.md", "knowledge/same.txt"), "FAILED"),
    }

    asked.refused = None
    assert cli("knowledge", "ingest", "knowledge", "--retry").status == 0
    assert set(documents(cli).values()) == {"READY"}

    # If an embedder refuses every text, the embedder fails, not the documents.
    asked.refused = ""
    write_documents(project, {"knowledge/new.md": "# New\n\nnew\n"})
    failed = cli("knowledge", "ingest", "knowledge")
    assert failed.status == 1
    assert "this text is not accepted" in failed.err
    assert documents(cli)["knowledge/apples.md"] == "READY"


def test_the_last_error_is_shown_until_an_ingestion_succeeds(
    project: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    _, asked = embeddings
    assert cli("knowledge", "ingest", "knowledge").status == 0
    write_documents(project, {"knowledge/new.md": "# New\n"})
    asked.failures, asked.status = 1, 401
    assert cli("knowledge", "ingest", "knowledge").status == 1

    [base] = json.loads(cli("knowledge", "list", "--format", "json").out)["knowledge_bases"]
    error = base["last_error"]
    assert "answered 401" in error["message"]
    words = f"ingestion {error['execution_id']} failed: embedder openai/test answered 401"
    assert f"✗ main: {words}" in cli("knowledge", "list").err
    assert f"Last error     {words}" in cli("knowledge", "get", "main").out
    checked = cli("knowledge", "check")
    assert f"  {words}" in checked.out
    # The new document was planned, and will get no result.
    assert (checked.status, "knowledge/new.md" in checked.out) == (1, True)

    assert cli("knowledge", "check", "--repair", "--quiet").status == 0
    assert documents(cli)["knowledge/new.md"] == "READY"
    [base] = json.loads(cli("knowledge", "list", "--format", "json").out)["knowledge_bases"]
    assert base["last_error"] is None
