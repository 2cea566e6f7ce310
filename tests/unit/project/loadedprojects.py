"""Projects in a folder, and their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compozy.errors import ProjectError
from compozy.project.load import load_project
from compozy.project.loaded import LoadedProject

QUICKSTART = """\
version: "1.0"

database:
  driver: sqlite
  path: ./data/compozy.db

llm:
  providers:
    - id: openai
      type: openai
      api_key: ${OPENAI_API_KEY}

server:
  port: 8080
"""
QDRANT = """\
version: "1.0"

database:
  driver: sqlite
  path: ./data/compozy.db

knowledge:
  vector_dbs:
    - id: main
      provider: qdrant
      url: ${QDRANT_URL:-http://localhost:6333}
      dimension: 1536
"""
POSTGRES = """\
version: "1.0"

database:
  driver: postgres
  host: ${DB_HOST:-localhost}
  port: 5432
  user: ${DB_USER:-compozy}
  password: ${DB_PASSWORD}
  dbname: ${DB_NAME:-compozy}
  sslmode: ${DB_SSLMODE:-disable}

knowledge:
  vector_dbs:
    - id: main
      provider: pgvector  # Uses PostgreSQL
      dimension: 1536
"""
HELLO = """\
id: hello-world
name: Hello World Workflow

tasks:
  - id: greet
    prompt: "Say hello to {{ .input.name | default \\"World\\" }}"
    agent:
      llm: openai

output:
  greeting: "{{ .tasks.greet.output.text }}"
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


Flags = dict[str, tuple[Any, str]]


def load(folder: Path, flags: Flags | None = None, /, **environ: str) -> LoadedProject:
    return load_project(None, cwd=folder, overrides=flags, environ=environ)


def errors_of(folder: Path, **environ: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load(folder, **environ)
    return [str(fault) for fault in caught.value.diagnostics]
