"""Projects of the 2025 edition run unchanged, and keys without effect are reported once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.projects import PROJECTS, Project
from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, chat_reply, serve_chat


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A model server whose address is in the environment, as in the projects."""
    with serve_chat() as server:
        monkeypatch.setenv("MODEL_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


def write(project: Project, folder: Path) -> None:
    for name, text in project.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def warned(err: str) -> list[str]:
    return re.findall(r"^warning: \S+:\d+:\d+: '(\w+)' has no effect \(.+\)$", err, re.MULTILINE)


@pytest.mark.parametrize("name", PROJECTS)
def test_it_runs_unchanged(name: str, chat: ChatServer, cli: RunCli, tmp_path: Path) -> None:
    project = PROJECTS[name]
    write(project, tmp_path)
    chat.replies = [chat_reply(text) for text in project.replies]

    valid = cli("config", "validate")
    done = cli("workflow", "run", "main", "--format", "json")

    assert valid.status == 0, valid.err
    assert sorted(warned(valid.err)) == sorted(project.warnings), valid.err
    assert done.status == 0, done.err
    # Once for each command, and never in the JSON.
    assert sorted(warned(done.err)) == sorted(project.warnings)
    assert json.loads(done.out)["output"] == project.output
    prompts = [str(seen.body["messages"][-1]["content"]) for seen in chat.seen]
    assert all(text in prompt for text, prompt in zip(project.asked, prompts, strict=False)), prompts
    assert {key: chat.seen[0].body.get(key) for key in project.settings} == project.settings


def test_a_project_without_a_database_means_postgresql_on_this_machine(
    chat: ChatServer, cli: RunCli, tmp_path: Path
) -> None:
    files = {**PROJECTS["mode"].files}
    files["compozy.yaml"] = files["compozy.yaml"].replace("database: {driver: sqlite, path: ./data/compozy.db}\n", "")
    write(Project(files=files, output=None), tmp_path)

    settings = json.loads(cli("config", "show", "--format", "json").out)["settings"]

    assert {key: settings[f"database.{key}"] for key in ("driver", "host", "port", "user", "dbname")} == {
        "driver": "postgres",
        "host": "localhost",
        "port": 5432,
        "user": "postgres",
        "dbname": "compozy",
    }
    del chat


KNOWLEDGE = """\
name: demo
database: {driver: postgres, host: localhost}
models: [{provider: openai, model: gpt-4o, api_key: "{{ .env.OPENAI_API_KEY }}"}]
embedders:
  - id: small
    provider: openai
    model: text-embedding-3-small
    api_key: "{{ .env.OPENAI_API_KEY }}"
    config: {dimension: 1536, batch_size: 32}
vector_dbs:
  - {id: pg, type: pgvector, config: {dsn: "{{ .env.PG_URL }}", dimension: 1536, ensure_index: true, table: notes}}
  - {id: mem, type: memory, config: {dimension: 1536}}
knowledge_bases:
  - id: docs
    embedder: small
    vector_db: mem
    sources: [{type: markdown_glob, path: "docs/*.md"}]
    chunking: {strategy: recursive_text_splitter, size: 500}
    retrieval: {top_k: 3}
"""


def test_knowledge_at_the_top_is_read(
    chat: ChatServer, cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_URL", "postgresql://localhost/compozy")
    files = {"compozy.yaml": KNOWLEDGE, "workflows/main.yaml": "id: main\ntasks: [{id: one, prompt: Hi}]\n"}
    write(Project(files=files, output=None), tmp_path)

    done = cli("config", "validate")

    assert done.status == 0, done.err
    assert sorted(warned(done.err)) == ["ensure_index", "table"]
    del chat


MEANINGS = """\
id: main
tasks:
  - id: box
    type: parallel
    tasks: [{id: one, with: {n: 1}}, {id: two, with: {n: 2}}]
    outputs: {sum: "{{ add .tasks.one.output.n .children.two.output.n }}"}
  - {id: read, with: {raw: '{"a": 5, "b": [1.5, 2]}'}}
  - {id: whole, with: {value: "{{ fromJson .tasks.read.output.raw }}"}}
outputs:
  sum: "{{ .tasks.box.output.sum }}"
  done: "{{ .tasks.box.output.progress_info.success_count }}"
  json: "{{ .tasks.whole.output.value }}"
"""


def test_templates_have_the_same_meaning_as_in_2025(cli: RunCli, tmp_path: Path) -> None:
    """Children are read in `outputs` of their container, which counts them, and integers stay integers."""
    files = {"compozy.yaml": "database: {driver: sqlite, path: ./data/compozy.db}\n", "workflows/main.yaml": MEANINGS}
    write(Project(files=files, output=None), tmp_path)

    done = cli("workflow", "run", "main", "--format", "json")

    assert done.status == 0, done.err
    assert '"a": 5,' in done.out
    assert json.loads(done.out)["output"] == {"sum": 3, "done": 2, "json": {"a": 5, "b": [1.5, 2]}}
