"""Projects with knowledge bases whose embedder is a test server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness.projects import write_project

DOCUMENTS = {
    "knowledge/apples.md": "# Apples\n\nApples grow on trees and are red or green.\n",
    "knowledge/bread.md": "# Bread\n\nBread is baked from flour, water and salt.\n",
    "knowledge/deep/cars.txt": "Cars have four wheels and an engine.",
}
RAG = {
    "tasks": [
        {
            "id": "one",
            "prompt": "{{ .input.query }}",
            "agent": {"knowledge": [{"knowledge_base_id": "main", "top_k": 2}]},
        }
    ],
    "output": {"answer": "{{ .tasks.one.output.text }}", "sources": "{{ .tasks.one.output.sources }}"},
}


def write_documents(folder: Path, documents: Mapping[str, str] = DOCUMENTS) -> None:
    """Write files below `folder`."""
    for name, text in documents.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def write_knowledge_project(
    folder: Path, url: str, *, store: Mapping[str, Any] | None = None, workflows: Any = None, **sections: Any
) -> Path:
    """Write a project with a knowledge base `main` and its documents. `url` is the URL of the embedder."""
    knowledge = {
        "vector_dbs": [{"id": "main", **(store or {"provider": "filesystem", "path": "./data/vectors"})}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": url, "model": "test", "batch_size": 2}],
    }
    write_documents(folder)
    return write_project(folder, workflows or {"rag": RAG}, **{"knowledge": knowledge, **sections})
