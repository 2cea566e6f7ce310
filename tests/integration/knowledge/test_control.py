"""Knowledge in nested tasks, and ingestions as runs that are paused and resumed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.knowledge import write_knowledge_project
from tests.harness.processes import Commands
from tests.harness.projects import query
from tests.harness.servers import start_server

EACH = {
    "tasks": [
        {
            "id": "each",
            "type": "collection",
            "items": ["apples on trees", "bread from flour", "cars have wheels"],
            "task": {"id": "ask-{{ .index }}", "type": "composite", "tasks": [{"id": "one", "prompt": "{{ .item }}"}]},
        }
    ]
}
LLM = {"providers": [{"id": "s", "type": "scripted", "responses": [{"text": "any"}] * 3}]}


@pytest.fixture
def embeddings() -> Iterator[tuple[str, Embeddings]]:
    with serve_embeddings() as found:
        yield found


def best(run: dict[str, Any]) -> dict[str, str]:
    return {
        task["path"]: task["output"]["sources"][0]["document"]
        for task in run["tasks"]
        if task["type"] == "basic" and task["output"]["sources"]
    }


def test_agents_inside_of_tasks_use_the_knowledge_of_the_project(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    knowledge = {
        "vector_dbs": [{"id": "main", "provider": "filesystem", "path": "./data/vectors"}],
        "embedders": [{"id": "e", "provider": "openai", "base_url": embeddings[0], "model": "test"}],
        "bindings": [{"knowledge_base_id": "main", "top_k": 1}],
    }
    write_knowledge_project(tmp_path, embeddings[0], workflows={"each": EACH}, knowledge=knowledge, llm=LLM)
    assert cli("knowledge", "ingest", "knowledge").status == 0
    done = cli("workflow", "run", "each", "--format", "json")
    assert done.status == 0, done.err
    assert best(json.loads(done.out)) == {
        "each/ask-0/one": "knowledge/apples.md",
        "each/ask-1/one": "knowledge/bread.md",
        "each/ask-2/one": "knowledge/deep/cars.txt",
    }


def test_an_ingestion_is_paused_and_resumed(
    tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands
) -> None:
    url, asked = embeddings
    write_knowledge_project(tmp_path, url)
    asked.gate.clear()
    ingesting = commands.start(tmp_path, "knowledge", "ingest", "knowledge")
    ingesting.until(lambda: asked.requests >= 1)
    (run,) = json.loads(commands.run(tmp_path, "workflow", "list", "--format", "json").out)["executions"]
    run_id = run["execution_id"]
    assert run["workflow_id"] == "knowledge/main"
    pausing = commands.start(tmp_path, "workflow", "pause", run_id)
    pausing.until(lambda: query(tmp_path, "SELECT requested FROM workflow_states") == [("PAUSED",)])
    # The executing process checks for requests several times per second.
    time.sleep(4)
    asked.gate.set()
    assert pausing.wait().status == 0, pausing.err
    # It completes what it has started, and sends no further requests.
    assert ingesting.wait().status == 1
    assert asked.requests == 1
    waiting = commands.run(tmp_path, "knowledge", "ingest", "knowledge")
    assert waiting.status == 1
    assert f"execution {run_id} is paused: compozy workflow resume {run_id}" in waiting.err
    assert commands.run(tmp_path, "workflow", "resume", run_id).status == 0
    done = commands.run(tmp_path, "knowledge", "ingest", "knowledge")
    assert done.status == 0, done.err
    got = json.loads(commands.run(tmp_path, "workflow", "get", run_id, "--format", "json").out)
    assert (got["status"], got["output"]["documents"]) == ("SUCCESS", 3)
    assert [(task["path"], task["type"], task["status"]) for task in got["tasks"]] == [
        ("ingest", "ingestion", "SUCCESS")
    ]


def test_an_ingestion_is_canceled_and_the_next_one_does_the_rest(
    tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands
) -> None:
    url, asked = embeddings
    write_knowledge_project(tmp_path, url)
    # After the request for the dimension, one batch of two is stored, and the next one hangs.
    asked.last = 2
    ingesting = commands.start(tmp_path, "knowledge", "ingest", "knowledge")
    ingesting.until(lambda: asked.requests >= 3)
    (run,) = json.loads(commands.run(tmp_path, "workflow", "list", "--format", "json").out)["executions"]
    canceled = commands.run(tmp_path, "workflow", "cancel", run["execution_id"])
    assert canceled.status == 0, canceled.err
    assert ingesting.wait().status == 130
    asked.last = None
    asked.gate.set()
    listed = json.loads(commands.run(tmp_path, "knowledge", "status", "--format", "json").out)
    assert sorted(row["status"] for row in listed["documents"]) == ["PENDING", "READY", "READY"]
    done = commands.run(tmp_path, "knowledge", "ingest", "knowledge", "--format", "json")
    assert done.status == 0, done.err
    # Two of the three were already stored. The one in progress is sent again.
    output = json.loads(done.out)["output"]
    assert (output["documents"], output["unchanged"], output["embedded"]) == (1, 2, 1)


@pytest.mark.parametrize("served", [False, True], ids=["here", "server"])
def test_ctrl_c_cancels_an_ingestion(
    tmp_path: Path, embeddings: tuple[str, Embeddings], commands: Commands, *, served: bool
) -> None:
    url, asked = embeddings
    write_knowledge_project(tmp_path, url)
    if served:
        start_server(commands, tmp_path)
    asked.last = 2
    ingesting = commands.start(tmp_path, "knowledge", "ingest", "knowledge")
    ingesting.until(lambda: asked.requests >= 3)
    ingesting.send(signal.SIGINT)
    done = ingesting.wait()
    assert done.status == 130
    assert "canceling the ingestion; ingested documents are kept" in done.err
    assert "Traceback" not in done.err
    assert query(tmp_path, "SELECT status FROM workflow_states") == [("CANCELED",)]
    asked.last = None
    asked.gate.set()
    assert commands.run(tmp_path, "knowledge", "ingest", "knowledge").status == 0
