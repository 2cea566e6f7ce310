"""Types of documents on the command line: pages of PDFs, words, one hint for many documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from compozy.errors import DocumentError
from compozy.knowledge import ingest_batch
from compozy.knowledge.extras import missing_package
from compozy.knowledge.read.document import DocumentText
from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings
from tests.harness.knowledge import write_knowledge_project
from tests.unit.knowledge.test_pdf import encrypted, pages


def test_sources_of_pdfs_have_pages(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    knowledge = {
        "vector_dbs": [{"id": "v", "provider": "filesystem"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
        "knowledge_bases": [{"id": "main", "chunking": {"size": 16, "overlap": 0}}],
    }
    write_knowledge_project(tmp_path, embeddings[0], knowledge=knowledge)
    texts = (
        "nothing at all is written here, or hardly any",
        "zebras sleep in trees of the savanna",
        "zebras have many stripes on them",
    )
    (tmp_path / "knowledge/trees.pdf").write_bytes(pages(*texts))
    assert cli("knowledge", "ingest", "knowledge").status == 0
    found = json.loads(cli("knowledge", "query", "sleep", "--mode", "text", "--format", "json").out)["matches"]
    assert [(match["text"], match["page"], match["metadata"]["page"]) for match in found] == [(texts[1], 2, "2")]
    assert "trees.pdf #1 p. 2" in cli("knowledge", "query", "sleep", "--mode", "text").out
    question = '{"query": "zebras sleep in trees"}'
    run = json.loads(cli("workflow", "run", "rag", "--input", question, "--format", "json").out)
    source, *others = run["output"]["sources"]
    assert (source["document"], source["page"]) == ("knowledge/trees.pdf", 2)
    assert all("page" not in other for other in others if not other["document"].endswith(".pdf"))
    answered = cli("workflow", "run", "rag", "--input", question)
    assert answered.out.splitlines()[2].startswith("Sources: [trees.pdf (p. 2")


def test_metadata_of_other_documents_is_not_a_page(project: Path, cli: RunCli) -> None:
    (project / "knowledge/a.md").write_text("---\npage: 7\n---\nZebras sleep.\n")
    assert cli("knowledge", "ingest", "knowledge").status == 0
    found = json.loads(cli("knowledge", "query", "zebras", "--mode", "text", "--format", "json").out)["matches"]
    assert [(match["metadata"]["page"], "page" in match) for match in found] == [("7", False)]


def test_words_are_found_in_any_unicode_form(project: Path, cli: RunCli) -> None:
    (project / "knowledge/a.md").write_text("The certi\ufb01cate of the o\ufb03ce.\n")
    (project / "knowledge/b.md").write_text("A \uff26\uff35\uff2c\uff2c-width word.\n")
    assert cli("knowledge", "ingest", "knowledge").status == 0
    for question, document in (("certificate", "a.md"), ("OFFICE", "a.md"), ("o\ufb03ce", "a.md"), ("full", "b.md")):
        found = json.loads(cli("knowledge", "query", question, "--mode", "text", "--format", "json").out)["matches"]
        assert [match["document"] for match in found] == [f"knowledge/{document}"], question


def test_pdfs_that_are_only_protected_are_read(project: Path, cli: RunCli) -> None:
    (project / "knowledge/aes.pdf").write_bytes(encrypted("AES-256"))
    (project / "knowledge/locked.pdf").write_bytes(encrypted("AES-256", "secret"))
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 1
    assert "✗ knowledge/locked.pdf: the PDF needs a password (save it without one" in done.err
    assert "aes.pdf" not in done.err


def test_the_hint_of_a_missing_package_is_printed_once(
    project: Path, cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(name: str, data: bytes, suffix: str) -> DocumentText:
        raise missing_package(DocumentError, "reading PDF", ImportError(name="pypdf"), extra="knowledge")

    monkeypatch.setattr(ingest_batch, "read_in_sandbox", fails)
    done = cli("knowledge", "ingest", "knowledge")
    assert done.status == 1
    assert done.err.count("✗ knowledge/") == 3
    assert done.err.count("needs a package that is not installed (pypdf)") == 3
    assert done.err.count("compozy[knowledge]") == 1, sys.executable
