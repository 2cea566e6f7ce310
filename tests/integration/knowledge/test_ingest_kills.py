"""The next command resumes a killed ingestion: no embedding is requested twice, and nothing is missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness.embeddings import serve_embeddings
from tests.harness.forks import shorten_leases
from tests.harness.kills import LEASE_S
from tests.harness.knowledge import write_knowledge_project
from tests.harness.processes import Commands, Conditions
from tests.harness.stores import Store, open_store

DOCUMENTS = 40
# Texts per request, see `write_knowledge_project`.
BATCH = 2
# Each commit of the database has a point before it and one after it.
PLACES = range(1, 60, 5)


def write_many(folder: Path, count: int = DOCUMENTS) -> None:
    (folder / "knowledge").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = f"# Document {number}\n\nIt speaks of subject{number} and of thing{number % 7}.\n"
        (folder / f"knowledge/d{number:03}.md").write_text(text)


def prepare(folder: Path, url: str, section: dict[str, Any]) -> None:
    shutil.rmtree(folder / "data", ignore_errors=True)
    write_knowledge_project(folder, url, database=section)
    shutil.rmtree(folder / "knowledge")
    write_many(folder)


def check_whole(folder: Path, store: Store, commands: Commands) -> None:
    rows = store.query("SELECT status, count(*), sum(chunks) FROM knowledge_documents GROUP BY status")
    assert [(status, int(count), int(chunks)) for status, count, chunks in rows] == [("READY", DOCUMENTS, DOCUMENTS)]
    found = commands.run(folder, "knowledge", "query", "subject17", "--mode", "text", "--format", "json")
    assert [match["document"] for match in json.loads(found.out)["matches"]] == ["knowledge/d017.md"]
    more = commands.run(folder, "knowledge", "query", "x", "--top-k", "50", "--min-score", "-1", "--format", "json")
    matches = [match["document"] for match in json.loads(more.out)["matches"]]
    assert len(matches) == len(set(matches)) == DOCUMENTS
    assert store.damage() == []


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_a_commit(place: int, tmp_path: Path, commands: Commands) -> None:
    with serve_embeddings() as (url, asked), open_store("sqlite", tmp_path) as store:
        prepare(tmp_path, url, store.section)
        victim = commands.run(tmp_path, "knowledge", "ingest", "knowledge", conditions=Conditions(kill_at=place))
        assert victim.status in {0, -signal.SIGKILL}
        done = commands.run(tmp_path, "knowledge", "ingest", "knowledge")
        assert done.status == 0, done.err
        check_whole(tmp_path, store, commands)
        bought = {text: count for text, count in asked.texts.items() if text.startswith("#")}
        assert len(bought) == DOCUMENTS
        # The lease is renewed by a separate thread, whose commit may occur during a batch.
        assert sum(bought.values()) <= DOCUMENTS + BATCH


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.parametrize("batches", [1, 4, 9, 19])
def test_killed_at_any_moment(driver: str, batches: int, tmp_path: Path, commands: Commands) -> None:
    with serve_embeddings() as (url, asked), open_store(driver, tmp_path) as store:
        prepare(tmp_path, url, store.section)
        conditions = Conditions(before=partial(shorten_leases, LEASE_S))
        victim = commands.start(tmp_path, "knowledge", "ingest", "knowledge", conditions=conditions)
        victim.until(lambda: asked.requests >= batches + 1)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        if driver == "postgres":
            # Its death is not known immediately.
            time.sleep(LEASE_S + 0.5)
        done = commands.run(tmp_path, "knowledge", "ingest", "knowledge", conditions=conditions)
        assert done.status == 0, done.err
        check_whole(tmp_path, store, commands)
        bought = {text: count for text, count in asked.texts.items() if text.startswith("#")}
        assert len(bought) == DOCUMENTS
        # The one batch that was in progress when the process died is requested again.
        assert sum(bought.values()) <= DOCUMENTS + BATCH
        assert max(bought.values()) <= 2


def test_questions_are_answered_meanwhile(tmp_path: Path, commands: Commands) -> None:
    with serve_embeddings() as (url, _), open_store("sqlite", tmp_path) as store:
        prepare(tmp_path, url, store.section)
        assert commands.run(tmp_path, "knowledge", "ingest", "knowledge").status == 0
        for number in range(DOCUMENTS):
            (tmp_path / f"knowledge/d{number:03}.md").write_text(f"# Changed {number}\n\nsubject{number} anew\n")
        ingesting = commands.start(tmp_path, "knowledge", "ingest", "knowledge")
        answers = 0
        while ingesting.is_alive:
            found = commands.run(tmp_path, "knowledge", "query", "subject3", "--mode", "text", "--format", "json")
            assert found.status == 0, found.err
            matches = [match["document"] for match in json.loads(found.out)["matches"]]
            # Either version: while one document is replaced, both of its texts may exist.
            assert set(matches) == {"knowledge/d003.md"}
            answers += 1
        assert answers >= 1
        assert ingesting.wait().status == 0
        check_whole(tmp_path, store, commands)


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.parametrize("batches", [1, 9])
def test_a_repair_that_is_killed_loses_nothing(driver: str, batches: int, tmp_path: Path, commands: Commands) -> None:
    with serve_embeddings() as (url, asked), open_store(driver, tmp_path) as store:
        prepare(tmp_path, url, store.section)
        assert commands.run(tmp_path, "knowledge", "ingest", "knowledge").status == 0
        asked.texts.clear()
        before = asked.requests
        shutil.rmtree(tmp_path / "data/vectors")
        conditions = Conditions(before=partial(shorten_leases, LEASE_S))
        victim = commands.start(tmp_path, "knowledge", "check", "--repair", conditions=conditions)
        victim.until(lambda: asked.requests >= before + batches + 1)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        if driver == "postgres":
            time.sleep(LEASE_S + 0.5)
        done = commands.run(tmp_path, "knowledge", "check", "--repair", conditions=conditions)
        assert done.status == 0, done.out + done.err
        check_whole(tmp_path, store, commands)
        bought = {text: count for text, count in asked.texts.items() if text.startswith("#")}
        assert len(bought) == DOCUMENTS
        assert sum(bought.values()) <= DOCUMENTS + BATCH


def test_two_processes_ingest_at_the_same_time(tmp_path: Path, commands: Commands) -> None:
    with serve_embeddings() as (url, _), open_store("postgres", tmp_path) as store:
        prepare(tmp_path, url, store.section)
        for _ in range(3):
            store.change("DELETE FROM knowledge_documents")
            shutil.rmtree(tmp_path / "data/vectors", ignore_errors=True)
            paths = ("knowledge", "knowledge/d0*.md", "knowledge")
            ended = [
                command.wait() for command in [commands.start(tmp_path, "knowledge", "ingest", path) for path in paths]
            ]
            assert 0 in {each.status for each in ended}
            for each in ended:
                assert each.status == 0 or "knowledge base 'main' takes in knowledge" in each.err, each.err
            assert commands.run(tmp_path, "knowledge", "check").status == 0
            check_whole(tmp_path, store, commands)


def test_a_process_that_was_stopped_harms_nothing_when_it_continues(tmp_path: Path, commands: Commands) -> None:
    """Meanwhile, another process took over its ingestion."""
    with serve_embeddings() as (url, asked), open_store("postgres", tmp_path) as store:
        prepare(tmp_path, url, store.section)
        conditions = Conditions(before=partial(shorten_leases, LEASE_S))
        # It is stopped while it waits for an answer: in a transaction it would keep the lock of the store's file.
        asked.last = 4
        stopped = commands.start(tmp_path, "knowledge", "ingest", "knowledge", conditions=conditions)
        stopped.until(lambda: not asked.gate.is_set())
        stopped.send(signal.SIGSTOP)
        asked.last = None
        asked.gate.set()
        try:
            time.sleep(LEASE_S + 0.5)
            done = commands.run(tmp_path, "knowledge", "ingest", "knowledge", conditions=conditions)
            assert done.status == 0, done.err
        finally:
            stopped.send(signal.SIGCONT)
        ended = stopped.wait()
        assert "Traceback" not in ended.err
        assert commands.run(tmp_path, "knowledge", "check").status == 0
        check_whole(tmp_path, store, commands)
